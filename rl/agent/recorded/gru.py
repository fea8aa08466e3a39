"""The fast path of the GRU; the notation is in rl/agent/recorded/recording.py."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from rl.agent.recorded.buffers import arrays, set_or_copy, sigmoid_backward, tanh_backward
from rl.agent.recorded.gated import GatedRecording


class GRURecording(GatedRecording):
    """GRU: r, z = σ(p);   n = tanh(a + r · q);   h = n + z · (h⁻ − n).

    Blocks a = W x + b, r, z, q = U h⁻ + b: the reset gate acts on q alone, so the part of the candidate that comes from
    x has a block of its own. In acting, one product with a few zeros in it is quicker than two.
    """

    blocks, without_x, without_h = 4, 1, 1

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        size = self.hidden
        self.states = [(h[None, :, :-1],) for h in self.outputs]
        self.weight_buffer = self.p.new_zeros(4 * size, self.inputs + size + 1)
        self.update_gates, self.difference = self.rows(size), self.rows(size)  # z, and h⁻ − n
        a, r, z, q = self.p.split(size, dim=-1)
        parts = map(arrays, (a, r, z, q, self.difference, self.outputs[..., :-1]))
        self.cell_rows = list(zip(self.p[..., size : 3 * size], *parts, strict=True))
        by_block = rearrange(self.dp, "t b (block h) -> t b block h", block=4)
        self.d_cell_rows = list(zip(arrays(self.update_gates), arrays(by_block), strict=True))
        self.dh_of_four = self.dh[:, None]

    def laid_out(self) -> Tensor:
        """Torch's order of the blocks is r, z, n, in the parts of x and of h⁻ alike."""
        cell, weight, x, size = self.cell, self.weight_buffer, self.inputs, self.hidden
        weight[:size, :x], weight[size : 3 * size, :x] = cell.weight_ih[2 * size :], cell.weight_ih[: 2 * size]
        weight[size:, x:-1] = cell.weight_hh
        weight[size:, -1] = cell.bias_hh
        weight[size : 3 * size, -1] += cell.bias_ih[: 2 * size]
        weight[:size, -1] = cell.bias_ih[2 * size :]
        return weight

    def set_core_gradients(self, d_weight: Tensor) -> None:
        cell, x, size = self.cell, self.inputs, self.hidden
        of_x, of_h = torch.cat([d_weight[size : 3 * size], d_weight[:size]]), d_weight[size:]
        set_or_copy(cell.weight_ih, of_x[:, :x])
        set_or_copy(cell.weight_hh, of_h[:, x:-1])
        set_or_copy(cell.bias_ih, of_x[:, -1])
        set_or_copy(cell.bias_hh, of_h[:, -1])

    def advance(self, t: int, before: Sequence[np.ndarray]) -> None:
        gates, n, r, z, q, difference, h = self.cell_rows[t]
        gates.sigmoid_()
        np.multiply(r, q, out=self.scratch)
        np.add(n, self.scratch, out=n)
        np.tanh(n, out=n)
        np.subtract(before[0], n, out=difference)
        np.multiply(difference, z, out=self.scratch)
        np.add(n, self.scratch, out=h)

    def prepare(self, n: slice) -> None:
        """With m = (1 − z)(1 − n²):   ∂n, ∂r, ∂z, ∂q of h by p are m, m q σ'(r), (h⁻ − n) σ'(z), m r."""
        candidate, r, z, q = (block[n] for block in self.p.split(self.hidden, dim=-1))
        by_n, by_r, by_z, by_q = (block[n] for block in self.dp.split(self.hidden, dim=-1))
        torch.sub(1.0, z, out=by_z)
        tanh_backward(by_z, candidate, grad_input=by_n)
        torch.mul(by_n, r, out=by_q)
        torch.mul(by_n, q, out=by_z)
        sigmoid_backward(by_z, r, grad_input=by_r)
        sigmoid_backward(self.difference[n], z, grad_input=by_z)
        self.update_gates[n] = z

    def retreat(self, t: int) -> None:
        """dh has two ways back, by p and, as dh · z, directly: dh += d_state;   dp = dh · ∂p;   d_state = dh · z."""
        z, by_block = self.d_cell_rows[t]
        np.add(self.dh, self.d_state, out=self.dh)
        np.multiply(self.dh, z, out=self.d_state)
        np.multiply(by_block, self.dh_of_four, out=by_block)
