"""The fast path of the LSTM; the notation is in rl/agent/recorded/recording.py."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from einops import rearrange
from torch import Tensor

from rl.agent.recorded.buffers import arrays, sigmoid_backward, tanh_backward
from rl.agent.recorded.gated import GatedRecording


class LSTMRecording(GatedRecording):
    """LSTM: i, f, o = σ(p);   g = tanh(p);   c = f · c⁻ + i · g;   h = o · tanh(c).

    Blocks lie in the order o, i, f, g: the three sigmoids are neighbours, and so are the three that c is made of.
    Torch's order is i, f, g, o.
    """

    blocks = 4

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        size = self.hidden
        self.cells, self.tanh_cells, self.cells_before = self.rows(size), self.rows(size), self.rows(size)  # of c, c⁻
        self.states = [(h[None, :, :-1], c[None]) for h, c in zip(self.outputs, self.cells, strict=True)]
        self.d_cells = self.rows(size)  # ∂c of h
        self.dc = self.rows(size)[0].numpy()

        self.before.append(self.cells_before.numpy())
        self.after.append(self.cells.numpy())
        o, i, f, g = self.p.split(size, dim=-1)
        parts = map(arrays, (o, i, f, g, self.cells, self.tanh_cells, self.outputs[..., :-1]))
        self.cell_rows = list(zip(self.p[..., : 3 * size], *parts, strict=True))
        by_o, by_ifg = self.dp[..., :size], rearrange(self.dp[..., size:], "t b (block h) -> t b block h", block=3)
        self.d_cell_rows = list(zip(*map(arrays, (by_o, by_ifg, f, self.d_cells)), strict=True))
        self.dc_of_three = self.dc[:, None]

    def laid_out(self) -> Tensor:
        return super().laid_out().roll(self.hidden, dims=0)

    def set_core_gradients(self, d_weight: Tensor) -> None:
        super().set_core_gradients(d_weight.roll(-self.hidden, dims=0))

    def advance(self, t: int, before: Sequence[np.ndarray]) -> None:
        sigmoids, o, i, f, g, c, tanh_c, h = self.cell_rows[t]
        sigmoids.sigmoid_()
        np.tanh(g, out=g)
        np.multiply(f, before[1], out=c)
        np.multiply(i, g, out=self.scratch)
        np.add(c, self.scratch, out=c)
        np.tanh(c, out=tanh_c)
        np.multiply(o, tanh_c, out=h)

    def prepare(self, n: slice) -> None:
        """∂p_i, ∂p_f, ∂p_g of c are g σ', c⁻ σ', i (1 − g²);   ∂p_o of h is σ' tanh c;   ∂c of h is o (1 − tanh² c)."""
        o, i, f, g = (block[n] for block in self.p.split(self.hidden, dim=-1))
        by_o, by_i, by_f, by_g = (block[n] for block in self.dp.split(self.hidden, dim=-1))
        sigmoid_backward(self.tanh_cells[n], o, grad_input=by_o)
        sigmoid_backward(g, i, grad_input=by_i)
        sigmoid_backward(self.cells_before[n], f, grad_input=by_f)
        tanh_backward(i, g, grad_input=by_g)
        tanh_backward(o, self.tanh_cells[n], grad_input=self.d_cells[n])

    def retreat(self, t: int) -> None:
        """dc = dh · ∂c + d_state;   dp_o = dh · ∂p_o, the others dc · ∂p;   d_state = dc · f for the step before."""
        by_o, by_ifg, f, d_cell = self.d_cell_rows[t]
        np.multiply(self.dh, d_cell, out=self.dc)
        np.add(self.dc, self.d_state, out=self.dc)
        np.multiply(by_o, self.dh, out=by_o)
        np.multiply(by_ifg, self.dc_of_three, out=by_ifg)
        np.multiply(self.dc, f, out=self.d_state)
