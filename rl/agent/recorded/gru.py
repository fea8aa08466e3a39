"""The fast path of the GRU; the notation is in rl/agent/recorded/recording.py."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl.agent.cores import CoreState
from rl.agent.recorded.buffers import arrays, set_or_copy, sigmoid_backward, tanh_backward
from rl.agent.recorded.recording import Recording


class GRURecording(Recording):
    """GRU: r, z = σ(p);   n = tanh(a + r · q);   h = n + z · (h⁻ − n).

    Blocks r, z, a = W x + b, q = U h⁻ + b: the reset gate acts on q alone, so the part of the candidate that comes from
    x has a block of its own; one product with a few zeros in it is quicker than two.
    """

    blocks = 4

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        size = self.hidden
        self.states = [(h[None, :, :-1],) for h in self.outputs]
        self.work = np.empty_like(self.dh)
        self.weight_buffer = self.p.new_zeros(self.inputs + size + 1, 4 * size)
        activated, d_activated = (buffer.split([2 * size, size, size], dim=-1)[:2] for buffer in (self.p, self.dp))
        self.activated, self.d_activated = list(zip(*activated, strict=True)), list(zip(*d_activated, strict=True))
        h = arrays(self.outputs[..., :-1])
        self.cell_rows = list(zip(*self.block_arrays(self.p), self.before, h, strict=True))
        self.d_cell_rows = list(zip(*self.block_arrays(self.dp), strict=True))

    def laid_out(self) -> Tensor:
        cell, weight, x, rz = self.cell, self.weight_buffer, self.inputs, 2 * self.hidden
        n, q = slice(rz, rz + self.hidden), slice(rz + self.hidden, None)
        weight[:x, : n.stop] = cell.weight_ih.T
        weight[x:-1, :rz] = cell.weight_hh[:rz].T
        weight[x:-1, q] = cell.weight_hh[rz:].T
        weight[-1, : n.stop] = cell.bias_ih
        weight[-1, :rz] += cell.bias_hh[:rz]
        weight[-1, q] = cell.bias_hh[rz:]
        return weight

    def set_core_gradients(self, d_weight: Tensor) -> None:
        cell, x, rz = self.cell, self.inputs, 2 * self.hidden
        n = rz + self.hidden
        from_state = torch.cat([d_weight[x:, :rz], d_weight[x:, n:]], dim=1)
        set_or_copy(cell.weight_ih, d_weight[:x, :n].T)
        set_or_copy(cell.weight_hh, from_state[:-1].T)
        set_or_copy(cell.bias_ih, d_weight[-1, :n])
        set_or_copy(cell.bias_hh, from_state[-1])

    def advance(self, t: int) -> CoreState:
        gates, candidate = self.activated[t]
        r, z, n, q, before, h = self.cell_rows[t]
        gates.sigmoid_()
        np.multiply(r, q, out=self.work)
        np.add(n, self.work, out=n)
        candidate.tanh_()
        np.subtract(before, n, out=h)
        np.multiply(h, z, out=h)
        np.add(h, n, out=h)
        return self.states[t]

    def retreat(self, t: int) -> None:
        """dh has two ways back, through p and, as dh · z, directly: dh += d_state, then d_state = dh · z.

        dp_z = dh · (h⁻ − n) σ';   da = dh · (1 − z)(1 − n²);   dq = da · r;   dp_r = da · q σ'
        """
        gates, candidate = self.activated[t]
        r, z, n, q, before, _ = self.cell_rows[t]
        d_r, d_z, d_n, d_q = self.d_cell_rows[t]
        d_gates, d_candidate = self.d_activated[t]
        dh = self.dh
        np.add(dh, self.d_state, out=dh)
        np.multiply(dh, z, out=self.d_state)
        np.subtract(dh, self.d_state, out=d_n)
        tanh_backward(d_candidate, candidate, grad_input=d_candidate)
        np.multiply(d_n, r, out=d_q)
        np.multiply(d_n, q, out=d_r)
        np.subtract(before, n, out=self.work)
        np.multiply(dh, self.work, out=d_z)
        sigmoid_backward(d_gates, gates, grad_input=d_gates)
