"""The fast path: the activations of acting are the forward pass of learning.

Parameters do not change within a segment, so what the network computed while acting is what an unroll would compute
again. A `Recording` steps like the Agent does, but into buffers, and its `backward` is the backward pass through time
written out: one short loop for what is carried, one matrix product for all the weights of a core. Three units of
arithmetic a step where acting and unrolling again take four, and a few large calls where autograd makes many small
ones. It equals `Agent.unroll` in value and gradient, which stays the definition; tests/test_recorded.py compares them.

Notation, with rows [batch] of step t:   x = torso output,   h⁻ = state after resets (c⁻ too),   h = state after the
step,   p = pre-activations, in blocks of hidden units,   dy = ∂L/∂y.

A core's cell is one product, p = W [x, h⁻, 1]: the column of ones makes the bias a row of the weights, which saves
adding it here and summing its gradient later. Torso and heads do the same.

Tensors and arrays share memory. NumPy does the additions and multiplications of the loops over time, since one of its
calls on so few numbers takes half the time of torch's; torch does the rest, where it is the faster.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from rl.agent.agent import Agent, AgentOutput
from rl.agent.cores import CoreState

Step = Callable[[Tensor, CoreState, Tensor], tuple[AgentOutput, CoreState]]  # observation, core_state, is_first

ROWS = "time batch feature -> (time batch) feature"
tanh_backward = torch.ops.aten.tanh_backward.grad_input  # dy (1 − y²), into grad_input
sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input  # dy (1 − y) y


class Recording:
    """One segment of acting, kept, and its backward pass: all that does not depend on the kind of cell.

    Buffers are used again by the next segment.
    """

    blocks: int  # of hidden units in the pre-activations

    def __init__(self, agent: Agent, steps: int, batch: int) -> None:
        """Allocate for N = `steps` steps and the bootstrap."""
        self.agent, self.steps, self.batch = agent, steps, batch
        self.layers: list[nn.Linear] = [layer for layer in agent.torso if isinstance(layer, nn.Linear)]
        self.cell: Any = agent.core.cells[0]
        self.hidden, self.inputs = self.cell.hidden_size, self.cell.input_size
        self.actions = agent.policy_head.out_features
        x, state = slice(0, self.inputs), slice(self.inputs, self.inputs + self.hidden)

        self.below = [self.with_ones(layer.in_features) for layer in self.layers]  # what each layer of the torso sees
        self.joined = self.with_ones(self.inputs + self.hidden)  # x, h⁻, 1
        self.p = self.rows(self.blocks * self.hidden)
        self.outputs = self.with_ones(self.hidden)  # h, 1
        self.heads = self.rows(self.actions + 1)
        self.d_joined = self.rows(self.inputs + self.hidden)
        self.dp = self.rows(self.blocks * self.hidden)
        self.d_outputs = self.rows(self.hidden)  # by the heads
        self.d_torso = [self.rows(layer.out_features) for layer in self.layers]
        self.opened: list[np.ndarray] = [np.empty(0, dtype=np.int64)] * (steps + 1)  # rows that open an episode

        # Making a view costs as much as a small operation: all that a step needs are made here, once.
        observations, *self.above = [*(below[..., :-1] for below in self.below), self.joined[..., x]]
        layers = (zip(*pair, strict=True) for pair in zip(self.below, self.above, strict=True))
        self.torso_rows = list(zip(*layers, strict=True)) or [()] * (steps + 1)
        self.observed = arrays(observations)
        self.before = arrays(self.joined[..., state])
        self.products = list(zip(self.joined, self.p, self.outputs, self.heads, strict=True))
        self.said = [AgentOutput(heads[:, :-1], heads[:, -1]) for heads in self.heads]
        self.d_products = list(zip(self.dp, self.d_joined, strict=True))
        self.d_before, self.d_by_heads = arrays(self.d_joined[..., state]), arrays(self.d_outputs)
        self.dh, self.d_state = self.rows(self.hidden)[:2].numpy()  # d_state: what comes back beside the product
        self.t = 0

    def rows(self, *size: int) -> Tensor:
        """Zeros [time + 1, batch, *size] in the network's precision."""
        return self.agent.policy_head.weight.new_zeros(self.steps + 1, self.batch, *size).detach()

    def with_ones(self, size: int) -> Tensor:
        """Room for [time + 1, batch, size], and a last column of ones."""
        rows = self.rows(size + 1)
        rows[..., -1] = 1.0
        return rows

    def block_arrays(self, buffer: Tensor) -> list[list[np.ndarray]]:
        """Of each block in a buffer [time + 1, batch, blocks · hidden], its rows as arrays."""
        return [arrays(block) for block in buffer.split(self.hidden, dim=-1)]

    @torch.no_grad()
    def begin(self) -> Step:
        """Start a segment: lay the parameters out for its products, and return `step`."""
        self.t = 0
        policy, value = self.agent.policy_head, self.agent.value_head
        self.torso_weights = [torch.cat([layer.weight.T, layer.bias[None]]) for layer in self.layers]  # [in + 1, out]
        self.weight_t = self.laid_out()  # [x h⁻ 1, gates]
        self.weight = self.weight_t[:-1].T.contiguous()  # [gates, x h⁻]
        self.head_weight = torch.cat([policy.weight, value.weight])  # [action + 1, hidden]
        bias = torch.cat([policy.bias, value.bias])
        self.head_weight_t = torch.cat([self.head_weight.T, bias[None]])
        return self.step

    def step(self, observation: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[AgentOutput, CoreState]:
        """What `Agent.step` does, kept in row t; what comes out are views that last one segment.

        Args:
            observation: [batch, feature].
            core_state: the state before this observation, [1, batch, hidden] each.
            is_first: [batch] bool.

        Returns:
            Logits [batch, action] and values [batch], and the state after this observation.
        """
        t = self.t
        self.observed[t][:] = observation.numpy()
        for (below, above), weight in zip(self.torso_rows[t], self.torso_weights, strict=True):
            torch.mm(below, weight, out=above).tanh_()
        self.opened[t] = opened = is_first.numpy().nonzero()[0]
        for before, part in zip(self.state_before(t), core_state, strict=True):
            before[:] = part.numpy()[0]
            if len(opened):
                before[opened] = 0.0
        joined, p, output, heads = self.products[t]
        torch.mm(joined, self.weight_t, out=p)
        after = self.advance(t)
        torch.mm(output, self.head_weight_t, out=heads)
        self.t += 1
        return self.said[t], after

    @torch.no_grad()
    def unroll(self, observations: Tensor, core_state: CoreState, is_first: Tensor) -> AgentOutput:
        """What `Agent.unroll` does, kept: torso and heads as one product each over all rows.

        Args:
            observations: [time + 1, batch, feature].
            core_state: the state before observations[0].
            is_first: [time + 1, batch] bool.

        Returns:
            Logits [time + 1, batch, action] and values [time + 1, batch]; the state after row t is `states[t]`.
        """
        self.begin()
        observed = self.below[0][..., :-1] if self.layers else self.joined[..., : self.inputs]
        observed.copy_(observations)
        for inputs, outputs, weight in zip(self.below, self.above, self.torso_weights, strict=True):
            torch.mm(rearrange(inputs, ROWS), weight, out=rearrange(outputs, ROWS)).tanh_()
        for t, opens in enumerate(is_first.numpy()):
            self.opened[t] = opened = opens.nonzero()[0]
            for before, part in zip(self.state_before(t), core_state, strict=True):
                before[:] = part.numpy()[0]
                if len(opened):
                    before[opened] = 0.0
            joined, p, _, _ = self.products[t]
            torch.mm(joined, self.weight_t, out=p)
            core_state = self.advance(t)
        torch.mm(rearrange(self.outputs, ROWS), self.head_weight_t, out=rearrange(self.heads, ROWS))
        self.t = self.steps + 1
        return self.output

    @property
    def output(self) -> AgentOutput:
        """What was said at each step and at the bootstrap: logits [time + 1, batch, action], values [time + 1, batch].

        Raises:
            RuntimeError: the segment is not complete.
        """
        if self.t != self.steps + 1:
            raise RuntimeError(f"{self.t} of {self.steps} steps and the bootstrap are recorded")
        return AgentOutput(self.heads[..., :-1], self.heads[..., -1])

    @torch.no_grad()
    def backward(self, d_logits: Tensor, d_values: Tensor, first: int = 0) -> None:
        """Set the gradients of the agent's parameters by rows `first` to `first` + time − 1.

        No other row, such as the bootstrap, has a gradient, nor has the state before row `first`.

        With y = W [x, 1]:   dW = Σ dy [x, 1]ᵀ,   dx = dy Wᵀ (without W's last row);   of tanh:   dp = dy (1 − y²).

        Args:
            d_logits: ∂L/∂logits [time, batch, action].
            d_values: ∂L/∂values [time, batch].
            first: the row that they begin with; those before it only brought the state up to date.
        """
        n, agent = slice(first, first + len(d_logits)), self.agent
        d_heads = rearrange(torch.cat([d_logits, d_values.unsqueeze(-1)], dim=-1), ROWS)
        d_weight = rearrange(self.outputs[n], ROWS).T @ d_heads
        set_gradient(agent.policy_head, d_weight[:, :-1])
        set_gradient(agent.value_head, d_weight[:, -1:])
        through = self.actions if agent.detach_critic else self.actions + 1
        torch.mm(d_heads[:, :through], self.head_weight[:through], out=rearrange(self.d_outputs[n], ROWS))

        self.through_time(n.start, n.stop)
        dp, joined = rearrange(self.dp[n], ROWS), rearrange(self.joined[n], ROWS)
        self.set_core_gradients(joined.T @ dp)

        d_above = self.d_joined[n, :, : self.inputs]
        torso = zip(self.layers, self.torso_weights, self.below, self.above, self.d_torso, strict=True)
        for layer, weight, below, above, d_layer in reversed(list(torso)):
            tanh_backward(d_above, above[n], grad_input=d_layer[n])
            dp = rearrange(d_layer[n], ROWS)
            set_gradient(layer, rearrange(below[n], ROWS).T @ dp)
            if layer is not self.layers[0]:
                d_above = (dp @ weight[:-1].T).view(len(d_logits), self.batch, -1)

    def through_time(self, start: int, stop: int) -> None:
        """dp and ∂L/∂[x, h⁻] of steps from `start` to before `stop`, last first: dh = dh by the heads + dh⁻ of t + 1.

        What goes to the step before ends where step t opens an episode.
        """
        self.d_state[:] = 0.0
        self.dh[:] = self.d_by_heads[stop - 1]
        for t in reversed(range(start, stop)):
            self.retreat(t)
            dp, d_joined = self.d_products[t]
            torch.mm(dp, self.weight, out=d_joined)
            if t > start:
                if len(self.opened[t]):
                    self.d_before[t][self.opened[t]] = 0.0
                    self.d_state[self.opened[t]] = 0.0
                np.add(self.d_before[t], self.d_by_heads[t - 1], out=self.dh)

    # --- what a kind of cell defines

    def laid_out(self) -> Tensor:
        """The cell's weights and biases as one matrix [x h⁻ 1, blocks · hidden]."""
        cell = self.cell
        return torch.cat([cell.weight_ih.T, cell.weight_hh.T, (cell.bias_ih + cell.bias_hh)[None]])

    def set_core_gradients(self, d_weight: Tensor) -> None:
        """Set the gradients of the cell's parameters from that of the matrix of `laid_out`."""
        cell = self.cell
        set_or_copy(cell.weight_ih, d_weight[: self.inputs].T)
        set_or_copy(cell.weight_hh, d_weight[self.inputs : -1].T)
        set_or_copy(cell.bias_ih, d_weight[-1])
        set_or_copy(cell.bias_hh, d_weight[-1])

    def state_before(self, t: int) -> tuple[np.ndarray, ...]:
        """Where row t keeps each part of the state after resets [batch, hidden]; `before[t]` is that of h⁻."""
        return (self.before[t],)

    def advance(self, t: int) -> CoreState:
        """From p to h in row t.

        Returns:
            The state after it, [1, batch, hidden] each; h is in row t of `outputs`.
        """
        raise TypeError(f"{type(self).__name__} must define advance")

    def retreat(self, t: int) -> None:
        """From dh and `d_state` of row t to its dp, and to `d_state` of the row before."""
        raise TypeError(f"{type(self).__name__} must define retreat")


def arrays(buffer: Tensor) -> list[np.ndarray]:
    """The rows of a buffer as arrays on the same memory."""
    return list(buffer.numpy())


def set_gradient(layer: nn.Linear, d_weight: Tensor) -> None:
    """The gradient [in + 1, out] of a layer's weight and bias, in the layer's own form."""
    set_or_copy(layer.weight, d_weight[:-1].T)
    set_or_copy(layer.bias, d_weight[-1])


def set_or_copy(parameter: nn.Parameter, gradient: Tensor) -> None:
    """Give a parameter its gradient, in place where it has room for one."""
    if parameter.grad is None:
        parameter.grad = gradient.clone(memory_format=torch.contiguous_format)
    else:
        parameter.grad.copy_(gradient)
