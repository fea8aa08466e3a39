"""The fast path of the LSTM; the notation is in rl/agent/recorded/recording.py."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl.agent.cores import CoreState
from rl.agent.recorded.buffers import arrays, sigmoid_backward, tanh_backward
from rl.agent.recorded.recording import Recording


class LSTMRecording(Recording):
    """LSTM: i, f, o = σ(p);   g = tanh(p);   c = f · c⁻ + i · g;   h = o · tanh(c).

    Blocks lie in the order i, f, o, g, so that the three sigmoids are neighbours; torch's order is i, f, g, o.
    """

    blocks = 4

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        size = self.hidden
        self.cells, self.tanh_cells = self.rows(size), self.rows(size)  # c and its tanh
        self.all_cells_before = self.rows(size)  # c⁻
        self.cells_before = arrays(self.all_cells_before)
        self.states = [(h[None, :, :-1], c[None]) for h, c in zip(self.outputs, self.cells, strict=True)]
        self.d_cells = self.rows(size)  # ∂c/∂h
        self.dc, self.work = self.rows(size)[:2].numpy()

        activated = self.p.split([3 * size, size], dim=-1)
        self.activated = list(zip(*activated, self.cells, self.tanh_cells, strict=True))
        cells, tanh_cells, h = arrays(self.cells), arrays(self.tanh_cells), arrays(self.outputs[..., :-1])
        self.cell_rows = list(zip(*self.block_arrays(self.p), self.cells_before, cells, tanh_cells, h, strict=True))
        forget = self.block_arrays(self.p)[1]
        self.d_cell_rows = list(zip(*self.block_arrays(self.dp), forget, arrays(self.d_cells), strict=True))

    def swapped(self, blocks: Tensor) -> Tensor:
        """Columns i, f, g, o <-> i, f, o, g."""
        first, third, fourth = blocks.split([2 * self.hidden, self.hidden, self.hidden], dim=-1)
        return torch.cat([first, fourth, third], dim=-1)

    def laid_out(self) -> Tensor:
        return self.swapped(super().laid_out())

    def set_core_gradients(self, d_weight: Tensor) -> None:
        super().set_core_gradients(self.swapped(d_weight))

    def state_before(self, t: int) -> tuple[np.ndarray, ...]:
        return self.before[t], self.cells_before[t]

    def advance(self, t: int) -> CoreState:
        sigmoids, candidate, cell, tanh_cell = self.activated[t]
        i, f, o, g, c_before, c, tanh_c, h = self.cell_rows[t]
        sigmoids.sigmoid_()
        candidate.tanh_()
        np.multiply(f, c_before, out=c)
        np.multiply(i, g, out=self.work)
        np.add(c, self.work, out=c)
        torch.tanh(cell, out=tanh_cell)
        np.multiply(o, tanh_c, out=h)
        return self.states[t]

    def prepare(self, n: slice) -> None:
        """∂p_i, ∂p_f, ∂p_g of c are g σ', c⁻ σ', i (1 − g²);   ∂p_o of h is σ' tanh c;   ∂c of h is o (1 − tanh² c)."""
        i, f, o, g = (block[n] for block in self.p.split(self.hidden, dim=-1))
        by_i, by_f, by_o, by_g = (block[n] for block in self.dp.split(self.hidden, dim=-1))
        sigmoid_backward(g, i, grad_input=by_i)
        sigmoid_backward(self.all_cells_before[n], f, grad_input=by_f)
        sigmoid_backward(self.tanh_cells[n], o, grad_input=by_o)
        tanh_backward(i, g, grad_input=by_g)
        tanh_backward(o, self.tanh_cells[n], grad_input=self.d_cells[n])

    def retreat(self, t: int) -> None:
        """dc = dh · ∂c + d_state;   dp_o = dh · ∂p_o, the others dc · ∂p;   d_state = dc · f for the step before."""
        d_i, d_f, d_o, d_g, f, d_cell = self.d_cell_rows[t]
        dc = self.dc
        np.multiply(self.dh, d_cell, out=dc)
        np.add(dc, self.d_state, out=dc)
        np.multiply(d_o, self.dh, out=d_o)
        np.multiply(d_i, dc, out=d_i)
        np.multiply(d_f, dc, out=d_f)
        np.multiply(d_g, dc, out=d_g)
        np.multiply(dc, f, out=self.d_state)
