"""The fast path: the activations of acting are the forward pass of learning.

Parameters do not change within a segment, so what the network computed while acting is what an unroll would compute
again. A `Recording` steps like the Agent does, but into buffers; `unroll` hands them to autograd as the forward pass,
with the backward pass through time written out: local derivatives for the whole segment at once, a short loop over time
for what is carried, one matrix product for each weight. Three units of arithmetic a step where acting and unrolling
again take four, and a few large calls where autograd makes many small ones.

It equals `Agent.unroll` in value and gradient, which stays the definition; tests/test_recorded.py compares them.

Notation, with rows [batch] of step t:   x = torso output,   h⁻, c⁻ = state after resets,   h, c = state after the step,
p = pre-activations,   dy = ∂L/∂y,   d⃖ = what arrives from step t + 1 (zero where t + 1 opens an episode).
"""

from collections.abc import Callable
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from rl.agent import Agent, AgentOutput
from rl.cores import CoreState

Step = Callable[[Tensor, CoreState, Tensor], tuple[AgentOutput, CoreState]]  # observation, core_state, is_first

ROWS = "time batch feature -> (time batch) feature"


class Recording:
    """One segment of acting, kept: torso and heads, which all cores share.

    Buffers are used again by the next segment.
    """

    def __init__(self, agent: Agent, steps: int, batch: int) -> None:
        """Allocate for N = `steps` steps and the bootstrap."""
        self.agent, self.steps, self.batch = agent, steps, batch
        self.layers: list[nn.Linear] = [layer for layer in agent.torso if isinstance(layer, nn.Linear)]
        self.cell: Any = agent.core.cells[0]
        self.hidden, self.inputs = self.cell.hidden_size, self.cell.input_size
        self.actions = agent.policy_head.out_features
        reference = agent.policy_head.weight.detach()
        features = self.layers[0].in_features if self.layers else self.inputs

        def rows(*size: int) -> Tensor:
            return reference.new_zeros(steps + 1, batch, *size)

        self.rows = rows
        self.joined = rows(self.inputs + self.hidden)  # x and h⁻ side by side, so that one product serves both
        self.before = self.joined[..., self.inputs :]
        self.observations = rows(features) if self.layers else self.joined[..., : self.inputs]
        self.torso = [rows(layer.out_features) for layer in self.layers[:-1]]
        if self.layers:
            self.torso.append(self.joined[..., : self.inputs])
        self.outputs = rows(self.hidden)  # h
        self.heads = rows(self.actions + 1)
        self.keep = rows(1)  # 0 where is_first, else 1
        # A view costs as much as a small operation: all that a step needs are made here, once.
        self.scratch = [row.new_empty(row.shape) for row in (layer[0] for layer in self.torso)]
        self.torso_rows = list(zip(*(layer.unbind(0) for layer in self.torso), strict=True))
        buffers = (self.observations, self.before, self.outputs, self.heads, self.heads[..., :-1], self.heads[..., -1])
        self.step_rows = list(zip(*(buffer.unbind(0) for buffer in buffers), strict=True))
        self.t = 0

    def begin(self) -> Step:
        """Start a segment: lay the parameters out for acting, and return `step`."""
        self.t = 0
        with torch.no_grad():
            policy, value = self.agent.policy_head, self.agent.value_head
            self.head_weight = torch.cat([policy.weight, value.weight])  # [action + 1, hidden]
            self.head_bias = torch.cat([policy.bias, value.bias])
            self.head_weight_t = self.head_weight.T.contiguous()
            self.torso_weights = [(layer.bias, layer.weight.T) for layer in self.layers]
            self.lay_out()
        return self.step

    def step(self, observation: Tensor, core_state: CoreState, is_first: Tensor) -> tuple[AgentOutput, CoreState]:
        """What `Agent.step` does, kept in row t; the state that comes out is a view that lasts one segment.

        Args:
            observation: [batch, feature].
            core_state: the state before this observation, [1, batch, hidden] each.
            is_first: [batch] bool.

        Returns:
            Logits [batch, action] and values [batch], and the state after this observation.
        """
        t = self.t
        inputs, before, output, heads, logits, values = self.step_rows[t]
        inputs.copy_(observation)
        layers = zip(self.torso_rows[t] if self.torso else (), self.torso_weights, self.scratch, strict=True)
        for kept, (bias, weight), scratch in layers:
            inputs = torch.tanh(torch.addmm(bias, inputs, weight, out=scratch), out=kept)
        state = [part[0] for part in core_state]
        if is_first.any():
            torch.logical_not(is_first, out=self.keep[t, :, 0])
            state = [part.masked_fill(is_first.unsqueeze(-1), 0.0) for part in state]
        else:
            self.keep[t] = 1.0
        before.copy_(state[0])
        after = self.advance(t, state)
        torch.addmm(self.head_bias, output, self.head_weight_t, out=heads)
        self.t += 1
        return AgentOutput(logits, values), after

    def unroll(self) -> AgentOutput:
        """The recorded segment and its bootstrap as an unroll: logits [time + 1, batch, action], values, with gradient.

        Raises:
            RuntimeError: the segment is not complete.
        """
        if self.t != self.steps + 1:
            raise RuntimeError(f"{self.t} of {self.steps} steps and the bootstrap are recorded")
        heads = _Recorded.apply(self, *self.parameters())
        return AgentOutput(heads[..., :-1], heads[..., -1])

    def parameters(self) -> list[Tensor]:
        """In the order in which `gradients` returns theirs."""
        cell, policy, value = self.cell, self.agent.policy_head, self.agent.value_head
        torso = [parameter for layer in self.layers for parameter in (layer.weight, layer.bias)]
        core = [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh]
        return [*torso, *core, policy.weight, value.weight, policy.bias, value.bias]

    def gradients(self, d_heads: Tensor) -> list[Tensor]:
        """∂L/∂parameters from ∂L/∂heads [time, batch, action + 1], heads = W h + b.

        dW = Σ dheads hᵀ,   db = Σ dheads,   dh = dheads W (without the value's row where the critic is detached).
        """
        n, k = self.steps, self.actions  # n time, k actions
        flat = rearrange(d_heads, ROWS)
        d_weight = flat.T @ rearrange(self.outputs[:n], ROWS)
        d_bias = flat.sum(0)
        through = k if self.agent.detach_critic else k + 1
        d_outputs = (flat[:, :through] @ self.head_weight[:through]).view_as(self.outputs[:n])
        d_core, d_inputs = self.core_gradients(d_outputs)
        return [*self.torso_gradients(d_inputs), *d_core, d_weight[:k], d_weight[k:], d_bias[:k], d_bias[k:]]

    def torso_gradients(self, d_outputs: Tensor) -> list[Tensor]:
        """Of y = tanh(W x + b), layer by layer:   dp = dy · (1 − y²),   dW = Σ dp xᵀ,   db = Σ dp,   dx = dp W."""
        gradients: list[Tensor] = []
        below = [self.observations, *self.torso][: len(self.layers)]
        for layer, y, x in reversed(list(zip(self.layers, self.torso, below, strict=True))):
            y, x = (rearrange(side[: self.steps], ROWS) for side in (y, x))
            dp = d_outputs - d_outputs * y * y
            gradients = [dp.T @ x, dp.sum(0), *gradients]
            if layer is not self.layers[0]:
                d_outputs = dp @ layer.weight
        return gradients

    def lay_out(self) -> None:
        """Copy the cell's weights into the form that acting uses."""
        raise TypeError(f"{type(self).__name__} must define lay_out")

    def advance(self, t: int, state: list[Tensor]) -> CoreState:
        """One step of the cell in row t, from `joined` and the state after resets [batch, hidden] each.

        Returns:
            The state after it, [1, batch, hidden] each; h is in row t of `outputs`.
        """
        raise TypeError(f"{type(self).__name__} must define advance")

    def core_gradients(self, d_outputs: Tensor) -> tuple[list[Tensor], Tensor]:
        """From ∂L/∂h by the heads [time, batch, hidden]: of weight_ih, weight_hh, bias_ih, bias_hh, and ∂L/∂x."""
        raise TypeError(f"{type(self).__name__} must define core_gradients")


class _Recorded(torch.autograd.Function):
    """A recorded segment as a function of the parameters; the bootstrap's row has no gradient, nor has the state."""

    @staticmethod
    def forward(ctx: Any, recording: Recording, *_parameters: Tensor) -> Tensor:
        ctx.recording = recording
        return recording.heads.clone()

    @staticmethod
    def backward(ctx: Any, d_heads: Tensor) -> tuple[Tensor | None, ...]:
        recording = ctx.recording
        return None, *recording.gradients(d_heads[: recording.steps])
