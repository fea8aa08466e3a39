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
        self.cells_before = arrays(self.rows(size))  # c⁻
        self.states = [(h[None, :, :-1], c[None]) for h, c in zip(self.outputs, self.cells, strict=True)]
        self.d_cell, self.d_tanh_cell = self.rows(size)[:2]  # dc, and dh · o, of one step
        self.dc, self.work = self.d_cell.numpy(), self.d_tanh_cell.numpy()

        activated, d_activated = (buffer.split([3 * size, size], dim=-1) for buffer in (self.p, self.dp))
        self.activated = list(zip(*activated, self.cells, self.tanh_cells, strict=True))
        self.d_activated = list(zip(*d_activated, strict=True))
        cells, tanh_cells, h = arrays(self.cells), arrays(self.tanh_cells), arrays(self.outputs[..., :-1])
        self.cell_rows = list(zip(*self.block_arrays(self.p), self.cells_before, cells, tanh_cells, h, strict=True))
        self.d_cell_rows = list(zip(*self.block_arrays(self.dp), strict=True))

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

    def retreat(self, t: int) -> None:
        """dc = dh · o (1 − tanh² c) + d_state;   d_state = dc · f for the step before.

        dp_i, dp_f, dp_o = (dc · g, dc · c⁻, dh · tanh c) σ';   dp_g = dc · i (1 − g²)
        """
        sigmoids, candidate, _, tanh_cell = self.activated[t]
        i, f, o, g, c_before, _, tanh_c, _ = self.cell_rows[t]
        d_i, d_f, d_o, d_g = self.d_cell_rows[t]
        d_sigmoids, d_candidate = self.d_activated[t]
        dc = self.dc
        np.multiply(self.dh, o, out=self.work)
        tanh_backward(self.d_tanh_cell, tanh_cell, grad_input=self.d_cell)
        np.add(dc, self.d_state, out=dc)
        np.multiply(dc, g, out=d_i)
        np.multiply(dc, c_before, out=d_f)
        np.multiply(self.dh, tanh_c, out=d_o)
        sigmoid_backward(d_sigmoids, sigmoids, grad_input=d_sigmoids)
        np.multiply(dc, i, out=d_g)
        tanh_backward(d_candidate, candidate, grad_input=d_candidate)
        np.multiply(dc, f, out=self.d_state)
