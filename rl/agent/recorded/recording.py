"""The fast path: the activations of acting are the forward pass of learning.

Parameters do not change within a segment, so what the network computed while acting is what an unroll would compute
again. A `Recording` steps like the Agent does, but into buffers, and its `backward` is the backward pass through time
written out: one short loop for what is carried, one matrix product for all the weights of a core. Three units of
arithmetic a step where acting and unrolling again take four, and a few large calls where autograd makes many small
ones. It equals `Agent.unroll` in value and gradient, which stays the definition; tests/agent/test_recorded.py compares
them.

A recording begins at the core's input, so that any torso may stand before it (rl/agent/recorded/torso.py).

Notation, with rows [batch] of step t:   x = torso output,   h⁻ = state after resets (c⁻ too),   h = state after the
step,   p = pre-activations, in blocks of hidden units,   dy = ∂L/∂y.

A core's cell is one product, p = W [x, h⁻, 1]: the column of ones makes the bias a column of the weights, which saves
adding it here and summing its gradient later. Torso and heads do the same. Weights are [out, in], as torch has them.

Tensors and arrays share memory. NumPy does the additions and multiplications of the loops over time, since one of its
calls on so few numbers takes half the time of torch's; torch does the rest, where it is the faster. And flatten(0, 1)
stands for the pattern "time batch feature -> (time batch) feature", which einops takes ten times as long to read.
"""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl.agent.actions.mask import MASKED, allowed
from rl.agent.agent import Agent, AgentOutput, Step
from rl.agent.cores import CoreState
from rl.agent.recorded.buffers import (
    arrays,
    laid_out,
    laid_out_head,
    rows,
    set_gradient,
    set_head_gradient,
    set_or_copy,
    with_ones,
)
from rl.agent.recorded.torso import AnyTorso, LinearTorso


class Recording:
    """An `Unrolled` that keeps one segment of acting, with all of its backward pass that no kind of cell changes.

    The next segment uses the buffers again.
    """

    blocks: int  # blocks of hidden units in the pre-activations; x feeds the first ones, h⁻ the last ones
    without_x = without_h = 0  # blocks that x does not feed, and that h⁻ does not
    states: list[CoreState]  # the state after each row, [1, batch, hidden] each, in the buffers

    def __init__(self, agent: Agent, steps: int, batch: int, first: int = 0, written_torso: bool = True) -> None:
        """Allocate.

        Args:
            agent: gets the gradients.
            steps: N, one fewer than rows: the last row is the bootstrap.
            batch: environments.
            first: the first row that learns; the rows before it only bring the state up to date.
            written_torso: whether the torso is linear layers behind tanh, which are written out too.
        """
        self.agent, self.steps, self.batch, self.first = agent, steps, batch, first
        self.cell: Any = agent.core.cells[0]
        self.hidden, self.inputs = self.cell.hidden_size, self.cell.input_size
        self.actions, self.mask = agent.actions.head_size, agent.mask
        state = slice(self.inputs, self.inputs + self.hidden)

        self.joined = with_ones(self.rows(self.inputs + self.hidden + 1))  # x, h⁻, 1
        self.p = self.rows(self.blocks * self.hidden)
        self.outputs = with_ones(self.rows(self.hidden + 1))  # h, 1
        self.heads = self.rows(self.actions + 1)
        self.d_features = self.rows(self.inputs)  # by x
        self.dp = self.rows(self.blocks * self.hidden)
        self.d_outputs = self.rows(self.hidden)  # by the heads
        self.opened: list[np.ndarray] = [np.empty(0, dtype=np.int64)] * (steps + 1)  # rows that open an episode

        # Making a view costs as much as a small operation: all that a step needs are made here, once.
        self.torso = (LinearTorso if written_torso else AnyTorso)(agent, self.joined[..., : self.inputs])
        self.before = arrays(self.joined[..., state])
        self.of_x = slice(0, (self.blocks - self.without_x) * self.hidden)  # columns of p
        self.of_h = slice(self.without_h * self.hidden, self.blocks * self.hidden)
        self.products_of_h = list(zip(self.joined[..., state], self.p[..., self.of_h], strict=True))
        self.products = list(zip(self.joined, self.p, self.outputs, self.heads, strict=True))
        self.said = [AgentOutput(heads[:, :-1], heads[:, -1]) for heads in self.heads]
        self.dp_of_h, self.d_h_before = list(self.dp[..., self.of_h]), self.rows(self.hidden)[0]
        self.d_before, self.d_by_heads = self.d_h_before.numpy(), arrays(self.d_outputs)
        self.dh, self.d_state = self.rows(self.hidden)[:2].numpy()  # d_state: what comes back beside the product
        self.t = 0

    def rows(self, size: int) -> Tensor:
        """Zeros [time + 1, batch, size] in the network's precision."""
        return rows(self.agent, self.steps + 1, self.batch, size)

    @torch.no_grad()
    def begin(self) -> Step:
        """Start a segment: lay the parameters out for its products, and return `step`."""
        self.t = 0
        self.torso.begin()
        weight = self.laid_out()  # [blocks · hidden, x h⁻ 1]
        self.weight_t = weight.T
        self.weight_x, self.weight_h = weight[self.of_x, : self.inputs], weight[self.of_h, self.inputs : -1]
        self.head_weight = torch.cat([laid_out_head(self.agent.policy_head), laid_out(self.agent.value_head)])
        self.head_weight_t = self.head_weight.T
        return self.step

    def step(self, observation: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[AgentOutput, CoreState]:
        """What `Agent.step` does, kept in row t; the outputs are views that last one segment.

        Args:
            observation: [batch, *shape].
            core_state: the state before this observation, [1, batch, hidden] each.
            is_first: [batch] bool.

        Returns:
            Logits [batch, head] and values [batch], and the state after this observation.
        """
        t = self.t
        self.torso.step(t, observation)
        self.opened[t] = opened = is_first.numpy().nonzero()[0]
        for before, part in zip(self.state_before(t), core_state, strict=True):
            before[:] = part.numpy()[0]
            if len(opened):
                before[opened] = 0.0
        joined, p, output, heads = self.products[t]
        torch.mm(joined, self.weight_t, out=p)
        after = self.advance(t)
        torch.mm(output, self.head_weight_t, out=heads)
        if self.mask is not None:
            self.said[t].logits.masked_fill_(self.mask.forbidden(observation), MASKED)
        self.t += 1
        return self.said[t], after

    @torch.no_grad()
    def unroll(self, observations: Tensor, core_state: CoreState, is_first: Tensor) -> AgentOutput:
        """What `Agent.unroll` does, kept: torso, heads and the cell's part of x as one product each over all rows.

        Args:
            observations: [time + 1, batch, *shape].
            core_state: the state before observations[0].
            is_first: [time + 1, batch] bool.

        Returns:
            Logits [time + 1, batch, head] and values [time + 1, batch]; the state after row t is `states[t]`.
        """
        self.begin()
        self.torso.unroll(observations)
        p, bias = self.p.flatten(0, 1), self.weight_t[-1]
        x = self.joined.flatten(0, 1)[:, : self.inputs]
        torch.addmm(bias[self.of_x], x, self.weight_x.T, out=p[:, self.of_x])
        p[:, self.of_x.stop :] = bias[self.of_x.stop :]
        parts, weight_h_t = [part.numpy()[0] for part in core_state], self.weight_h.T
        for t, opens in enumerate(is_first.numpy()):
            self.opened[t] = opened = opens.nonzero()[0]
            for before, part in zip(self.state_before(t), parts, strict=True):
                before[:] = part
                if len(opened):
                    before[opened] = 0.0
            h_before, p_of_h = self.products_of_h[t]
            torch.addmm(p_of_h, h_before, weight_h_t, out=p_of_h)
            self.advance(t)
            parts = self.state_arrays[t]
        torch.mm(self.outputs.flatten(0, 1), self.head_weight_t, out=self.heads.flatten(0, 1))
        if self.mask is not None:
            self.heads[..., :-1].masked_fill_(self.mask.forbidden(observations), MASKED)
        self.t = self.steps + 1
        return self.output

    @cached_property
    def state_arrays(self) -> list[list[np.ndarray]]:
        """`states` as arrays [batch, hidden]."""
        return [[part.numpy()[0] for part in state] for state in self.states]

    @property
    def output(self) -> AgentOutput:
        """What was said at each step and at the bootstrap: logits [time + 1, batch, head], values [time + 1, batch].

        Raises:
            RuntimeError: the segment is not complete.
        """
        if self.t != self.steps + 1:
            raise RuntimeError(f"{self.t} of {self.steps} steps and the bootstrap are recorded")
        return AgentOutput(self.heads[..., :-1], self.heads[..., -1])

    @torch.no_grad()
    def acted(self, observations: Tensor, core_state: CoreState, is_first: Tensor) -> AgentOutput:
        """The rows that acting kept; only the bootstrap row is computed here."""
        if self.t == self.steps:
            self.step(observations[-1], self.states[self.steps - 1], is_first[-1])
        return self.output

    def state_after(self, row: int) -> CoreState:
        """A view that lasts until the next segment."""
        return self.states[row]

    @torch.no_grad()
    def backward(self, gradient: AgentOutput) -> None:
        """Set the gradients of the agent's parameters by the rows from `first` on.

        No row behind the gradient's, such as the bootstrap, has a gradient, nor has the state before row `first`.

        With y = W [x, 1]:   dW = Σ dy [x, 1]ᵀ,   dx = Wᵀ dy (without W's last column);   of tanh:   dp = dy (1 − y²).
        """
        agent, n = self.agent, slice(self.first, self.first + len(gradient.values))
        d_logits = gradient.logits
        if self.mask is not None:  # no gradient comes back to a logit that was masked
            d_logits = d_logits.masked_fill(~allowed(self.heads[n, :, :-1]), 0.0)
        d_heads = torch.cat([d_logits, gradient.values.unsqueeze(-1)], dim=-1).flatten(0, 1)
        d_weight = d_heads.T @ self.outputs[n].flatten(0, 1)
        set_head_gradient(agent.policy_head, d_weight[:-1])
        set_gradient(agent.value_head, d_weight[-1:])
        through = self.actions if agent.detach_critic else self.actions + 1
        torch.mm(d_heads[:, :through], self.head_weight[:through, :-1], out=self.d_outputs[n].flatten(0, 1))

        self.prepare(n)
        self.through_time(n.start, n.stop)
        dp, joined = self.dp[n].flatten(0, 1), self.joined[n].flatten(0, 1)
        self.set_core_gradients(dp.T @ joined)
        torch.mm(dp[:, self.of_x], self.weight_x, out=self.d_features[n].flatten(0, 1))
        self.torso.backward(n, self.d_features[n])

    def through_time(self, start: int, stop: int) -> None:
        """dp of steps from `start` to before `stop`, last first: dh = dh by the heads + dh⁻ of t + 1.

        What goes to the step before ends where step t opens an episode.
        """
        self.d_state[:] = 0.0
        self.dh[:] = self.d_by_heads[stop - 1]
        for t in reversed(range(start, stop)):
            self.retreat(t)
            if t > start:
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

    def state_before(self, t: int) -> tuple[np.ndarray, ...]:
        """Where row t keeps each part of the state after resets [batch, hidden]; `before[t]` is that of h⁻."""
        return (self.before[t],)

    def advance(self, t: int) -> CoreState:
        """From p to h in row t.

        Returns:
            The state after it, [1, batch, hidden] each; h is in row t of `outputs`.
        """
        raise TypeError(f"{type(self).__name__} must define advance")

    def prepare(self, n: slice) -> None:
        """What dp of rows n is for each unit of dh (or of dc, through which it goes), in `dp`: ∂p for short.

        All of it that needs no gradient is computed here at once, so that little is left for the loop over time.
        """
        raise TypeError(f"{type(self).__name__} must define prepare")

    def retreat(self, t: int) -> None:
        """From dh, `d_state` and ∂p of row t to its dp, and to `d_state` of the row before."""
        raise TypeError(f"{type(self).__name__} must define retreat")
