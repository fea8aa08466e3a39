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

    Blocks a = W x + b, r, z, q = U h⁻ + b: the reset gate acts on q alone, so the part of the candidate that comes from
    x has a block of its own. In acting, one product with a few zeros in it is quicker than two.
    """

    blocks, without_x, without_h = 4, 1, 1

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        size = self.hidden
        self.states = [(h[None, :, :-1],) for h in self.outputs]
        self.work = np.empty_like(self.dh)
        self.weight_buffer = self.p.new_zeros(self.inputs + size + 1, 4 * size)
        self.difference = self.rows(size)  # h⁻ − n
        self.activated = list(zip(*self.p.split([size, 2 * size, size], dim=-1)[:2], strict=True))
        h = arrays(self.outputs[..., :-1])
        self.cell_rows = list(zip(*self.block_arrays(self.p), self.before, h, strict=True))
        update = self.block_arrays(self.p)[2]
        self.d_cell_rows = list(zip(update, *self.block_arrays(self.dp), strict=True))

    def laid_out(self) -> Tensor:
        """Torch's order of the blocks is r, z, n, in the parts of x and of h⁻ alike."""
        cell, weight, x, size = self.cell, self.weight_buffer, self.inputs, self.hidden
        rz, rzq = slice(size, 3 * size), slice(size, None)
        weight[:x, rz], weight[:x, :size] = cell.weight_ih[: 2 * size].T, cell.weight_ih[2 * size :].T
        weight[x:-1, rzq] = cell.weight_hh.T
        weight[-1, rzq] = cell.bias_hh
        weight[-1, rz] += cell.bias_ih[: 2 * size]
        weight[-1, :size] = cell.bias_ih[2 * size :]
        return weight

    def set_core_gradients(self, d_weight: Tensor) -> None:
        cell, x, size = self.cell, self.inputs, self.hidden
        of_x, of_h = torch.cat([d_weight[:, size : 3 * size], d_weight[:, :size]], dim=1), d_weight[:, size:]
        set_or_copy(cell.weight_ih, of_x[:x].T)
        set_or_copy(cell.weight_hh, of_h[x:-1].T)
        set_or_copy(cell.bias_ih, of_x[-1])
        set_or_copy(cell.bias_hh, of_h[-1])

    def advance(self, t: int) -> CoreState:
        candidate, gates = self.activated[t]
        n, r, z, q, before, h = self.cell_rows[t]
        gates.sigmoid_()
        np.multiply(r, q, out=self.work)
        np.add(n, self.work, out=n)
        candidate.tanh_()
        np.subtract(before, n, out=h)
        np.multiply(h, z, out=h)
        np.add(h, n, out=h)
        return self.states[t]

    def prepare(self, n: slice) -> None:
        """With m = (1 − z)(1 − n²):   ∂n, ∂r, ∂z, ∂q of h by p are m, m q σ'(r), (h⁻ − n) σ'(z), m r."""
        candidate, r, z, q = (block[n] for block in self.p.split(self.hidden, dim=-1))
        by_n, by_r, by_z, by_q = (block[n] for block in self.dp.split(self.hidden, dim=-1))
        torch.sub(1.0, z, out=by_z)
        tanh_backward(by_z, candidate, grad_input=by_n)
        torch.mul(by_n, r, out=by_q)
        torch.mul(by_n, q, out=by_z)
        sigmoid_backward(by_z, r, grad_input=by_r)
        torch.sub(self.joined[n][..., self.inputs : -1], candidate, out=self.difference[n])
        sigmoid_backward(self.difference[n], z, grad_input=by_z)

    def retreat(self, t: int) -> None:
        """dh has two ways back, through p and, as dh · z, directly: dh += d_state, then dp = dh · ∂p, d_state = dh · z."""
        z, d_n, d_r, d_z, d_q = self.d_cell_rows[t]
        dh = self.dh
        np.add(dh, self.d_state, out=dh)
        np.multiply(dh, z, out=self.d_state)
        np.multiply(d_n, dh, out=d_n)
        np.multiply(d_r, dh, out=d_r)
        np.multiply(d_z, dh, out=d_z)
        np.multiply(d_q, dh, out=d_q)
