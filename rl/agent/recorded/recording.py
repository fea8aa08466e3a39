"""The fast path: the activations of acting are the forward pass of learning.

Parameters do not change within a segment, so what the network computed while acting is what an unroll would compute
again. A `Recording` steps like the Agent does, but into buffers, and its `backward` is the backward pass through time
written out. Three units of arithmetic a step where acting and unrolling again take four, and a few large calls where
autograd makes many small ones. It equals `Agent.unroll` in value and gradient, which stays the definition;
tests/agent/test_recorded.py compares them.

A recording begins at the core's input, so that any torso may stand before it (rl/agent/recorded/torso.py). What a core
does between its input and its output is in gated.py (one short loop for what is carried, one product for all weights)
and in diagonal.py.

Notation, with rows [batch] of step t:   x = torso output,   h⁻ = state after resets (c⁻ too),   h = state after the
step,   p = pre-activations,   dy = ∂L/∂y.

A layer is one product, W [x, 1]: the column of ones makes the bias a column of the weights, which saves adding it here
and summing its gradient later. Weights are [out, in], as torch has them.

Tensors and arrays share memory. NumPy does the additions and multiplications of the loops over time, since one of its
calls on so few numbers takes half the time of torch's; torch does the rest, where it is the faster. And flatten(0, 1)
stands for the pattern "time batch feature -> (time batch) feature", which einops takes ten times as long to read.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl.agent.actions.mask import MASKED, allowed
from rl.agent.agent import Agent, AgentOutput, Step
from rl.agent.cores import CoreState
from rl.agent.recorded.buffers import laid_out, laid_out_head, rows, set_gradient, set_head_gradient, with_ones
from rl.agent.recorded.torso import AnyTorso, LinearTorso


class Recording:
    """An `Unrolled` that keeps one segment of acting, with what no kind of core changes.

    The next segment uses the buffers again.
    """

    states: list[CoreState]  # the state after each row, in the buffers
    before: list[np.ndarray]  # each part of the state before each row, after resets [time + 1, batch, ...]
    after: list[np.ndarray]  # and after each row

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
        self.outputs = with_ones(self.rows(self.hidden + 1))  # y, 1
        self.heads = self.rows(self.actions + 1)
        self.d_features = self.rows(self.inputs)  # by x
        self.d_outputs = self.rows(self.hidden)  # by the heads
        self.opened: list[np.ndarray] = [np.empty(0, dtype=np.int64)] * (steps + 1)  # rows that open an episode
        # Making a view costs as much as a small operation: all that a step needs are made here, once.
        self.said = [AgentOutput(heads[:, :-1], heads[:, -1]) for heads in self.heads]
        self.head_rows = list(zip(self.outputs, self.heads, strict=True))
        self.torso = (LinearTorso if written_torso else AnyTorso)(agent, self.allocated())
        self.t = 0

    def rows(self, size: int) -> Tensor:
        """Zeros [time + 1, batch, size] in the network's precision."""
        return rows(self.agent, self.steps + 1, self.batch, size)

    @torch.no_grad()
    def begin(self) -> Step:
        """Start a segment: lay the parameters out for its products, and return `step`."""
        self.t = 0
        self.torso.begin()
        self.lay_out()
        self.head_weight = torch.cat([laid_out_head(self.agent.policy_head), laid_out(self.agent.value_head)])
        self.head_weight_t = self.head_weight.T
        return self.step

    def step(self, observation: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[AgentOutput, CoreState]:
        """What `Agent.step` does, kept in row t; the outputs are views that last one segment.

        Args:
            observation: [batch, *shape].
            core_state: the state before this observation, [1, batch, ...] each.
            is_first: [batch] bool.

        Returns:
            Logits [batch, head] and values [batch], and the state after this observation.
        """
        t = self.t
        self.torso.step(t, observation)
        self.opened[t] = is_first.numpy().nonzero()[0]
        after = self.act(t, core_state)
        output, heads = self.head_rows[t]
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
        self.opened = [opens.nonzero()[0] for opens in is_first.numpy()]
        self.run(core_state)
        torch.mm(self.outputs.flatten(0, 1), self.head_weight_t, out=self.heads.flatten(0, 1))
        if self.mask is not None:
            self.heads[..., :-1].masked_fill_(self.mask.forbidden(observations), MASKED)
        self.t = self.steps + 1
        return self.output

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
        self.backward_core(n)
        self.torso.backward(n, self.d_features[n])

    def keep_before(self, t: int, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Put a state into row t of `before`, with zeros where an episode opens; returns that row."""
        opened, rows = self.opened[t], [before[t] for before in self.before]
        for row, part in zip(rows, parts, strict=True):
            row[:] = part
            if len(opened):
                row[opened] = 0.0
        return rows

    def rows_from(self, parts: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
        """The state before each row, given that before row 0, as rows are computed one after another.

        It is copied where an episode opens. Elsewhere it is the state after the row before, where that stands; once all
        rows are computed, `keep_all_before` puts it into `before`.
        """
        yield self.keep_before(0, parts)
        for t in range(1, self.steps + 1):
            parts = [after[t - 1] for after in self.after]
            yield self.keep_before(t, parts) if len(self.opened[t]) else parts

    def keep_all_before(self) -> None:
        """Put the state after each row into the next row of `before`, with zeros where an episode opens."""
        for before, after in zip(self.before, self.after, strict=True):
            before[1:] = after[:-1]
            for t in range(1, self.steps + 1):
                if len(self.opened[t]):
                    before[t, self.opened[t]] = 0.0

    # --- what a kind of core defines

    def allocated(self) -> Tensor:
        """Make the buffers between the core's input and its output; returns that of its input [time + 1, batch, x]."""
        raise TypeError(f"{type(self).__name__} must define allocated")

    def lay_out(self) -> None:
        """Lay the core's parameters out for the products of a segment."""
        raise TypeError(f"{type(self).__name__} must define lay_out")

    def act(self, t: int, core_state: CoreState) -> CoreState:
        """From the core's input in row t and the state before resets to `outputs` in row t, and the state after it."""
        raise TypeError(f"{type(self).__name__} must define act")

    def run(self, core_state: CoreState) -> None:
        """From all inputs, and the state before row 0, to all `outputs`."""
        raise TypeError(f"{type(self).__name__} must define run")

    def backward_core(self, n: slice) -> None:
        """From `d_outputs` of rows n to the gradients of the core's parameters, and to `d_features` of rows n."""
        raise TypeError(f"{type(self).__name__} must define backward_core")
