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
from torch import Tensor, nn

from rl.agent import Agent, AgentOutput
from rl.cores import CoreState, GRUCore, LSTMCore

Step = Callable[[Tensor, CoreState, Tensor], tuple[AgentOutput, CoreState]]  # observation, core_state, is_first


def can_record(agent: Agent) -> bool:
    """Whether there is a fast path: one LSTM or GRU layer behind linear layers with tanh; anything else is unrolled."""
    torso = agent.torso
    plain_torso = isinstance(torso, nn.Sequential) and all(
        isinstance(part, nn.Linear if place % 2 == 0 else nn.Tanh) for place, part in enumerate(torso)
    )
    return plain_torso and len(torso) % 2 == 0 and type(agent.core) in RECORDINGS and len(agent.core.cells) == 1


def make_recording(agent: Agent, steps: int, batch: int) -> "Recording":
    """The recording for an agent's core, of segments of `steps` steps of `batch` environments."""
    return RECORDINGS[type(agent.core)](agent, steps, batch)


class Recording:
    """One segment of acting, kept: torso and heads, which all cores share.

    Buffers are used again by the next segment.
    """

    gates: int  # blocks of the cell's weights

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
        n, k = self.steps, self.actions
        flat = d_heads.reshape(n * self.batch, k + 1)
        d_weight = flat.T @ self.outputs[:n].view(-1, self.hidden)
        d_bias = flat.sum(0)
        through = k if self.agent.detach_critic else k + 1
        d_outputs = (flat[:, :through] @ self.head_weight[:through]).view(n, self.batch, self.hidden)
        d_core, d_inputs = self.core_gradients(d_outputs)
        return [*self.torso_gradients(d_inputs), *d_core, d_weight[:k], d_weight[k:], d_bias[:k], d_bias[k:]]

    def torso_gradients(self, d_outputs: Tensor) -> list[Tensor]:
        """Of y = tanh(W x + b), layer by layer:   dp = dy · (1 − y²),   dW = Σ dp xᵀ,   db = Σ dp,   dx = dp W."""
        rows, gradients = self.steps * self.batch, []
        below = [self.observations, *self.torso][: len(self.layers)]
        for layer, y, x in reversed(list(zip(self.layers, self.torso, below, strict=True))):
            y, x = (side[: self.steps].reshape(rows, -1) for side in (y, x))
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


class LSTMRecording(Recording):
    """LSTM: o, i, f = σ(p);   g = tanh(p);   c = f · c⁻ + i · g;   h = o · tanh(c).

    Gates lie in the order o, i, f, g: the three sigmoids are neighbours, and so are the three whose gradient comes
    through c.
    """

    gates = 4

    def __init__(self, agent: Agent, steps: int, batch: int) -> None:
        super().__init__(agent, steps, batch)
        size = self.hidden
        self.activations = self.rows(4 * size)
        self.cells, self.tanh_cells = self.rows(size), self.rows(size)  # c and its tanh
        self.cells_before = self.rows(size)  # c⁻
        # Of the backward pass; fresh ones would cost more in page faults than in arithmetic.
        self.local, self.dp = self.heads.new_zeros(2, steps, batch, 4, size)
        self.through, self.carried = self.heads.new_zeros(2, steps, batch, size)
        p = self.activations
        blocks = [p[..., k * size : (k + 1) * size] for k in range(4)]
        buffers = (self.joined, p, p[..., : 3 * size], *blocks, self.cells_before, self.cells, self.tanh_cells)
        self.cell_rows = list(zip(*(buffer.unbind(0) for buffer in (*buffers, self.outputs)), strict=True))
        self.states = [(h.unsqueeze(0), c.unsqueeze(0)) for h, c in zip(self.outputs, self.cells, strict=True)]

    @staticmethod
    def to_ours(blocks: Tensor, hidden: int) -> Tensor:
        """Rows i, f, g, o of torch's cell -> o, i, f, g."""
        return torch.cat([blocks[3 * hidden :], blocks[: 3 * hidden]])

    @staticmethod
    def to_torchs(blocks: Tensor, hidden: int) -> Tensor:
        """Rows o, i, f, g -> i, f, g, o."""
        return torch.cat([blocks[hidden:], blocks[:hidden]])

    def lay_out(self) -> None:
        """Both matrices in our order, transposed; one bias."""
        cell, size = self.cell, self.hidden
        self.weight_h = self.to_ours(cell.weight_hh, size)
        self.weight = torch.cat([self.to_ours(cell.weight_ih, size), self.weight_h], dim=1)  # [4 hidden, x and h⁻]
        self.weight_t = self.weight.T.contiguous()
        self.bias = self.to_ours(cell.bias_ih + cell.bias_hh, size)

    def advance(self, t: int, state: list[Tensor]) -> CoreState:
        """(h⁻, c⁻) -> (h, c)."""
        joined, p, sigmoids, o, i, f, g, c_before, c, tanh_c, h = self.cell_rows[t]
        torch.addmm(self.bias, joined, self.weight_t, out=p)
        sigmoids.sigmoid_()
        g.tanh_()
        c_before.copy_(state[1])
        torch.mul(f, c_before, out=c).addcmul_(i, g)
        torch.mul(o, torch.tanh(c, out=tanh_c), out=h)
        return self.states[t]

    def core_gradients(self, d_outputs: Tensor) -> tuple[list[Tensor], Tensor]:
        """Backwards in time.

        dh = dh_heads + d⃖h;   dc = dh · o (1 − tanh² c) + d⃖c
        dp_o = dh · tanh c · o (1 − o);   dp_i, dp_f, dp_g = dc · (g i (1 − i), c⁻ f (1 − f), i (1 − g²))
        d⃖h = dp U,   d⃖c = dc · f   for step t − 1, both 0 where step t opens an episode
        """
        n, batch, size = self.steps, self.batch, self.hidden
        gates, local = self.activations[:n].view(n, batch, 4, size), self.local
        o, i, f, g = gates.unbind(2)
        local_o, local_i, local_f, local_g = local.unbind(2)
        sigmoids, slopes = gates[:, :, :3], local[:, :, :3]
        torch.sub(sigmoids, torch.mul(sigmoids, sigmoids, out=slopes), out=slopes)  # σ' = σ − σ²
        local_o.mul_(self.tanh_cells[:n])
        local_i.mul_(g)
        local_f.mul_(self.cells_before[:n])
        torch.sub(i, torch.mul(g, g, out=local_g).mul_(i), out=local_g)
        through = torch.mul(self.tanh_cells[:n], self.tanh_cells[:n], out=self.through)
        torch.sub(o, through.mul_(o), out=through)
        keep = self.keep[:n]
        carried = torch.mul(f, keep, out=self.carried)
        opens = (keep == 0).flatten(1).any(1).tolist()

        dp = self.dp
        dp_rows, dp_o, dp_ifg = dp.flatten(2).unbind(0), dp[:, :, 0].unbind(0), dp[:, :, 1:].unbind(0)
        local_o, local_ifg = local_o.unbind(0), local[:, :, 1:].unbind(0)
        dh_heads, through, carried, keeps = (x.unbind(0) for x in (d_outputs, through, carried, keep))
        dh, dc, dc_next = torch.empty(3, batch, size, dtype=dp.dtype).unbind(0)
        dc_blocks = dc.unsqueeze(1)
        dh.copy_(dh_heads[n - 1])
        dc_next.zero_()
        for t in reversed(range(n)):
            torch.addcmul(dc_next, dh, through[t], out=dc)
            torch.mul(local_o[t], dh, out=dp_o[t])
            torch.mul(local_ifg[t], dc_blocks, out=dp_ifg[t])
            if t == 0:
                break
            torch.mul(dc, carried[t], out=dc_next)
            if opens[t]:
                torch.mm(dp_rows[t], self.weight_h, out=dh).mul_(keeps[t]).add_(dh_heads[t - 1])
            else:
                torch.addmm(dh_heads[t - 1], dp_rows[t], self.weight_h, out=dh)
        flat = dp.view(n * batch, 4 * size)
        d_weight = self.to_torchs(flat.T @ self.joined[:n].view(n * batch, -1), size)
        d_bias = self.to_torchs(flat.sum(0), size)
        d_inputs = flat @ self.weight[:, : self.inputs]
        return [d_weight[:, : self.inputs], d_weight[:, self.inputs :], d_bias, d_bias], d_inputs


class GRURecording(Recording):
    """GRU: r, z = σ(p);   q = U_n h⁻ + b;   n = tanh(p_n + r · q);   h = n + z · (h⁻ − n)."""

    gates = 3

    def __init__(self, agent: Agent, steps: int, batch: int) -> None:
        super().__init__(agent, steps, batch)
        size = self.hidden
        self.activations = p = self.rows(3 * size)  # r, z, n
        self.from_state = u = self.rows(3 * size)  # U h⁻ + b; its last block is q
        x, rz = self.joined[..., : self.inputs], 2 * size
        buffers = (x, self.before, p, u, p[..., :rz], u[..., :rz], p[..., :size], p[..., size:rz], p[..., rz:],
                   u[..., rz:], self.outputs)  # fmt: skip
        self.cell_rows = list(zip(*(buffer.unbind(0) for buffer in buffers), strict=True))
        self.states = [(h.unsqueeze(0),) for h in self.outputs]

    def lay_out(self) -> None:
        """Both matrices, transposed."""
        self.weight_x_t, self.weight_h_t = self.cell.weight_ih.T.contiguous(), self.cell.weight_hh.T.contiguous()

    def advance(self, t: int, state: list[Tensor]) -> CoreState:
        """(h⁻,) -> (h,)."""
        inputs, before, p, from_state, p_rz, u_rz, r, z, n, q, h = self.cell_rows[t]
        torch.addmm(self.cell.bias_ih, inputs, self.weight_x_t, out=p)
        torch.addmm(self.cell.bias_hh, before, self.weight_h_t, out=from_state)
        p_rz.add_(u_rz).sigmoid_()
        n.addcmul_(r, q).tanh_()
        torch.sub(before, n, out=h).mul_(z).add_(n)
        return self.states[t]

    def core_gradients(self, d_outputs: Tensor) -> tuple[list[Tensor], Tensor]:
        """Backwards in time; every local derivative is a multiple of dh.

        dh = dh_heads + d⃖h;   dp_z = dh · (h⁻ − n) z (1 − z);   dp_n = dh · (1 − z)(1 − n²)
        dp_r = dp_n · q r (1 − r);   dq = dp_n · r
        d⃖h = dh · z + (dp_r, dp_z, dq) U   for step t − 1, 0 where step t opens an episode
        """
        steps, batch, size = self.steps, self.batch, self.hidden
        r, z, n = self.activations[:steps].view(steps, batch, 3, size).unbind(2)
        q = self.from_state[:steps, :, 2 * size :]
        local_n = (1.0 - z) * (1.0 - n * n)
        local = torch.empty(steps, batch, 3, size, dtype=n.dtype)  # of r, z, q
        torch.mul(local_n, q * r * (1.0 - r), out=local[:, :, 0])
        torch.mul(self.before[:steps] - n, z * (1.0 - z), out=local[:, :, 1])
        torch.mul(local_n, r, out=local[:, :, 2])
        keep = self.keep[:steps]
        opens = (keep == 0).flatten(1).any(1).tolist()

        weight_h = self.cell.weight_hh.detach()
        dq = torch.empty_like(local)  # dp_r, dp_z, dq
        dh = torch.empty_like(d_outputs)
        dh_rows, dh_heads, dq_rows, dq_flat = dh.unbind(0), d_outputs.unbind(0), dq.unbind(0), dq.flatten(2).unbind(0)
        locals_, zs, keeps = local.unbind(0), z.unbind(0), keep.unbind(0)
        dh_rows[-1].copy_(dh_heads[-1])
        for t in reversed(range(steps)):
            torch.mul(locals_[t], dh_rows[t].unsqueeze(1), out=dq_rows[t])
            if t == 0:
                break
            earlier = torch.mul(dh_rows[t], zs[t], out=dh_rows[t - 1]).addmm_(dq_flat[t], weight_h)
            if opens[t]:
                earlier.mul_(keeps[t])
            earlier.add_(dh_heads[t - 1])
        d_from_state = dq.view(-1, 3 * size)
        dp = torch.cat([dq[:, :, :2].flatten(2), local_n * dh], dim=-1).view(-1, 3 * size)
        joined = self.joined[:steps].view(-1, self.inputs + size)
        d_weight_x = dp.T @ joined[:, : self.inputs]
        d_weight_h = d_from_state.T @ joined[:, self.inputs :]
        return [d_weight_x, d_weight_h, dp.sum(0), d_from_state.sum(0)], dp @ self.cell.weight_ih.detach()


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


RECORDINGS = {LSTMCore: LSTMRecording, GRUCore: GRURecording}
