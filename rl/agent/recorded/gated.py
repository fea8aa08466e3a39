"""The fast path of gated cells: a product of h⁻ in each step. The notation is in rl/agent/recorded/recording.py.

p = W [x, h⁻, 1] is one product in acting, with p in blocks of hidden units. In learning again, the part of x is one
product over all rows, and only that of h⁻ is left for the loop over time.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rl.agent.cores import CoreState
from rl.agent.recorded.buffers import arrays, set_or_copy, with_ones
from rl.agent.recorded.recording import Recording


class GatedRecording(Recording):
    """What RNN, GRU and LSTM have in common."""

    blocks: int  # blocks of hidden units in the pre-activations; x feeds the first ones, h⁻ the last ones
    without_x = without_h = 0  # blocks that x does not feed, and that h⁻ does not

    def allocated(self) -> Tensor:
        state = slice(self.inputs, self.inputs + self.hidden)
        self.joined = with_ones(self.rows(self.inputs + self.hidden + 1))  # x, h⁻, 1
        self.p, self.dp = self.rows(self.blocks * self.hidden), self.rows(self.blocks * self.hidden)
        self.of_x = slice(0, (self.blocks - self.without_x) * self.hidden)  # columns of p
        self.of_h = slice(self.without_h * self.hidden, self.blocks * self.hidden)
        self.products = list(zip(self.joined, self.p, strict=True))
        self.p_of_h = list(self.p[..., self.of_h])
        self.scratch = self.rows(self.hidden)[0].numpy()
        self.dp_of_h, self.d_h_before = list(self.dp[..., self.of_h]), self.rows(self.hidden)[0]
        self.d_before, self.d_by_heads = self.d_h_before.numpy(), arrays(self.d_outputs)
        self.dh, self.d_state = self.rows(self.hidden)[:2].numpy()  # d_state: what comes back beside the product
        self.before, self.after = [self.joined[..., state].numpy()], [self.outputs[..., :-1].numpy()]  # of h
        return self.joined[..., : self.inputs]

    def lay_out(self) -> None:
        weight = self.laid_out()  # [blocks · hidden, x h⁻ 1]
        self.weight_t = weight.T
        self.weight_x = weight[self.of_x, : self.inputs].contiguous()
        self.weight_h = weight[self.of_h, self.inputs : -1].contiguous()

    def act(self, t: int, core_state: CoreState) -> CoreState:
        before = self.keep_before(t, [part.numpy()[0] for part in core_state])
        joined, p = self.products[t]
        torch.mm(joined, self.weight_t, out=p)
        self.advance(t, before)
        return self.states[t]

    def run(self, core_state: CoreState) -> None:
        p, bias = self.p.flatten(0, 1), self.weight_t[-1]
        x = self.joined.flatten(0, 1)[:, : self.inputs]
        torch.addmm(bias[self.of_x], x, self.weight_x.T, out=p[:, self.of_x])
        p[:, self.of_x.stop :] = bias[self.of_x.stop :]
        weight_h_t = self.weight_h.T
        states_before = self.rows_from([part.numpy()[0] for part in core_state])
        for t, (p_of_h, before) in enumerate(zip(self.p_of_h, states_before, strict=True)):
            torch.addmm(p_of_h, torch.from_numpy(before[0]), weight_h_t, out=p_of_h)
            self.advance(t, before)
        self.keep_all_before()

    def backward_core(self, n: slice) -> None:
        """dp of rows `n`, last first: dh = dh by the heads + dh⁻ of t + 1.

        What goes to the step before ends where step t opens an episode.
        """
        self.prepare(n)
        self.d_state[:] = 0.0
        self.dh[:] = self.d_by_heads[n.stop - 1]
        for t in reversed(range(n.start, n.stop)):
            self.retreat(t)
            if t > n.start:
                self.to_row_before(t)
        dp, joined = self.dp[n].flatten(0, 1), self.joined[n].flatten(0, 1)
        self.set_core_gradients((joined.T @ dp).T)  # sooner than dp.T @ joined: p is the wider of the two
        torch.mm(dp[:, self.of_x], self.weight_x, out=self.d_features[n].flatten(0, 1))

    def to_row_before(self, t: int) -> None:
        """From dp of row t to dh of the row before, with `d_state`."""
        torch.mm(self.dp_of_h[t], self.weight_h, out=self.d_h_before)
        if len(self.opened[t]):
            self.d_before[self.opened[t]] = 0.0
            self.d_state[self.opened[t]] = 0.0
        np.add(self.d_before, self.d_by_heads[t - 1], out=self.dh)

    # --- what a kind of cell defines

    def laid_out(self) -> Tensor:
        """The cell's weights and biases as one matrix [blocks · hidden, x h⁻ 1]."""
        cell = self.cell
        return torch.cat([cell.weight_ih, cell.weight_hh, (cell.bias_ih + cell.bias_hh)[:, None]], dim=1)

    def set_core_gradients(self, d_weight: Tensor) -> None:
        """Set the gradients of the cell's parameters from that of the matrix of `laid_out`."""
        cell = self.cell
        set_or_copy(cell.weight_ih, d_weight[:, : self.inputs])
        set_or_copy(cell.weight_hh, d_weight[:, self.inputs : -1])
        set_or_copy(cell.bias_ih, d_weight[:, -1])
        set_or_copy(cell.bias_hh, d_weight[:, -1])

    def advance(self, t: int, before: Sequence[np.ndarray]) -> None:
        """From p and the state before row t, after resets, to the state after it, whose h is in row t of `outputs`."""
        raise TypeError(f"{type(self).__name__} must define advance")

    def prepare(self, n: slice) -> None:
        """What dp of rows n is for each unit of dh (or of dc, through which it goes), in `dp`: ∂p for short.

        All of it that needs no gradient is computed here at once, so that little is left for the loop over time.
        """
        raise TypeError(f"{type(self).__name__} must define prepare")

    def retreat(self, t: int) -> None:
        """From dh, `d_state` and ∂p of row t to its dp, and to `d_state` of the row before."""
        raise TypeError(f"{type(self).__name__} must define retreat")
