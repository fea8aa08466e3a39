"""The fast path of diagonal cores; rl/agent/recorded/recording.py has the notation, rl/agent/diagonal the equations.

No product of h⁻: in acting one product of x and the mixing layer's; in learning each is one product over all rows, and
a loop of two small operations a step is left. With dh by the mixing layer, and the decay a of the recurrence,

    dhₜ = dh by the mixing layer + ā · dhₜ₊₁ (0 where step t + 1 opens an episode).

Sensitivities are not touched by acting: they go on over a whole segment at its last step, in closed form. With Gₜ the
product of the decays behind step t, 0 where an episode opens behind it,

    ∂h_end/∂θ = G₋₁ · ∂h_start/∂θ + Σₜ Gₜ · (∂hₜ/∂θ of step t alone),

which is one product of [unit, time] and [time, feature] for each environment.
"""

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange, repeat
from torch import Tensor

from rl.agent.cores import CoreState
from rl.agent.diagonal.rtu import as_complex
from rl.agent.recorded.buffers import arrays, set_gradient, set_or_copy, tanh_backward, with_ones
from rl.agent.recorded.recording import Recording


class DiagonalRecording(Recording):
    """What RTU and minGRU have in common."""

    def allocated(self) -> Tensor:
        state = self.cell.state_size
        self.joined = with_ones(self.rows(self.inputs + 1))  # x, 1
        self.p = self.rows(2 * self.hidden)
        self.h, self.state_before, self.dh = self.rows(state), self.rows(state), self.rows(state)
        self.d_mixed = self.rows(self.hidden)
        self.products = list(zip(self.joined, self.p, self.h, self.outputs[..., :-1], strict=True))
        self.outputs_said = arrays(self.outputs[..., :-1])
        self.before, self.after = [self.as_numbers(self.state_before)], [self.as_numbers(self.h)]
        self.states = [(h[None],) for h in self.h]
        self.carried: CoreState = ()  # ∂h/∂θ of the state before row 0, where it is carried
        return self.joined[..., : self.inputs]

    def lay_out(self) -> None:
        self.weight = self.laid_out()  # [2 · hidden, x 1]
        self.weight_t, mix = self.weight.T, self.cell.mix
        self.mix_weight_t, self.mix_bias = mix.weight.detach().T, mix.bias.detach()

    def act(self, t: int, core_state: CoreState) -> CoreState:
        if t == 0:
            self.carried = core_state[1:]
        before = self.keep_before(t, [self.as_numbers(core_state[0][0])])
        joined, p, h, output = self.products[t]
        torch.mm(joined, self.weight_t, out=p)
        self.advance(t, before)
        torch.addmm(self.mix_bias, h, self.mix_weight_t, out=output)
        np.tanh(self.outputs_said[t], out=self.outputs_said[t])
        if self.carried and t == self.steps - 1:
            return (*self.states[t], self.sensitivities()[None])
        return self.states[t]

    def run(self, core_state: CoreState) -> None:
        self.carried = core_state[1:]
        torch.mm(self.joined.flatten(0, 1), self.weight_t, out=self.p.flatten(0, 1))
        for t, before in enumerate(self.rows_from([self.as_numbers(core_state[0][0])])):
            self.advance(t, before)
        self.keep_all_before()
        output = self.outputs.flatten(0, 1)[:, :-1]
        torch.addmm(self.mix_bias, self.h.flatten(0, 1), self.mix_weight_t, out=output).tanh_()

    def backward_core(self, n: slice) -> None:
        tanh_backward(self.d_outputs[n], self.outputs[n][..., :-1], grad_input=self.d_mixed[n])
        d_mixed, h = self.d_mixed[n].flatten(0, 1), self.h[n].flatten(0, 1)
        set_gradient(self.cell.mix, torch.cat([d_mixed.T @ h, d_mixed.sum(0)[:, None]], dim=1))
        torch.mm(d_mixed, self.mix_weight_t.T, out=self.dh[n].flatten(0, 1))
        d_start = self.through_time(n.start, n.stop)
        self.set_core_gradients(n)
        if self.carried and n.start == 0:
            self.cell.add_carried(torch.from_numpy(d_start), self.carried[0][0])

    def through_time(self, start: int, stop: int) -> np.ndarray:
        """Complete dh of steps from `start` to before `stop`, last first; returns that of the state before them."""
        dh, decays = self.backward_rows(start, stop)
        d_before = np.empty_like(dh[0])
        for t in reversed(range(stop - start)):
            np.multiply(dh[t], decays[t], out=d_before)
            if len(self.opened[start + t]):
                d_before[self.opened[start + t]] = 0.0
            if t:
                np.add(dh[t - 1], d_before, out=dh[t - 1])
        return d_before.view(self.dh.numpy().dtype)

    def survives(self) -> Tensor:
        """Whether no episode opens behind step t, and from it on: [time + 1, batch], row 0 for the state before all."""
        alive = torch.ones(self.steps + 1, self.batch, dtype=torch.bool)
        for t in range(self.steps):
            alive[: t + 1, self.opened[t]] = False
        return alive

    # --- what a kind of cell defines

    def laid_out(self) -> Tensor:
        """The cell's weights and biases as one matrix [2 · hidden, x 1]."""
        raise TypeError(f"{type(self).__name__} must define laid_out")

    def as_numbers(self, states: Tensor) -> np.ndarray:
        """States [..., state] as an array of what the recurrence multiplies, which the same memory holds."""
        return states.numpy()

    def advance(self, t: int, before: Sequence[np.ndarray]) -> None:
        """From p and the state before row t, after resets, to h in row t."""
        raise TypeError(f"{type(self).__name__} must define advance")

    def backward_rows(self, start: int, stop: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """dh and the decay of each of these rows, as arrays that multiply."""
        raise TypeError(f"{type(self).__name__} must define backward_rows")

    def set_core_gradients(self, n: slice) -> None:
        """Set the gradients of the recurrence's parameters, and `d_features`, from dh of rows n."""
        raise TypeError(f"{type(self).__name__} must define set_core_gradients")

    def sensitivities(self) -> Tensor:
        """∂h/∂θ [batch, ...] behind the last step, by the closed form above."""
        raise TypeError(f"{type(self).__name__} must define sensitivities")

    def over_time(self, factors: Tensor) -> Tensor:
        """Σₜ of factors [time, batch, unit] times [x, 1]: [batch, unit, feature + 1]."""
        of_unit = rearrange(factors, "time batch unit -> batch unit time")
        return of_unit @ rearrange(self.joined[: self.steps], "time batch column -> batch time column")


class RTURecording(DiagonalRecording):
    """RTU: γ is folded into W, and λ multiplies as one complex number a unit."""

    def allocated(self) -> Tensor:
        features = super().allocated()
        self.cell_rows = list(zip(*map(self.as_numbers, (self.p, self.h)), strict=True))
        self.dh_rows = list(self.as_numbers(self.dh))
        return features

    def as_numbers(self, states: Tensor) -> np.ndarray:
        real = states.numpy()
        return real.view(np.result_type(real, np.complex64))

    def laid_out(self) -> Tensor:
        r, theta, self.gain = self.cell.recurrence()
        self.turn = torch.polar(r, theta)
        self.turn_array = self.turn.numpy()
        self.gains = repeat(self.gain, "hidden -> (hidden part) 1", part=2)
        self.unscaled = torch.cat([self.cell.weight, self.cell.bias[:, None]], dim=1)
        return self.unscaled * self.gains

    def advance(self, t: int, before: Sequence[np.ndarray]) -> None:
        p, h = self.cell_rows[t]
        np.multiply(before[0], self.turn_array, out=h)
        np.add(h, p, out=h)

    def backward_rows(self, start: int, stop: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return self.dh_rows[start:stop], [self.turn_array.conj()] * (stop - start)

    def set_core_gradients(self, n: slice) -> None:
        """dλ = Σ dh · h̄⁻;   dν = Re(dλ̄ · dλ/dν) + dγ · dγ/dν;   dθ = Re(dλ̄ · iλ)."""
        cell, dp = self.cell, self.dh[n].flatten(0, 1)
        d_weight = dp.T @ self.joined[n].flatten(0, 1)
        torch.mm(dp, self.weight[:, : self.inputs], out=self.d_features[n].flatten(0, 1))
        d_gain = rearrange(d_weight * self.unscaled, "(hidden part) column -> hidden (part column)", part=2).sum(1)
        d_turn = (as_complex(self.dh[n]) * as_complex(self.state_before[n]).conj()).sum((0, 1))
        along = d_turn.conj() * self.turn
        by_nu, gain_by_nu = cell.derivatives()
        set_gradient(cell, d_weight * self.gains)
        set_or_copy(cell.nu, along.real * by_nu + d_gain * gain_by_nu)
        set_or_copy(cell.theta, -along.imag)

    def sensitivities(self) -> Tensor:
        powers = self.turn ** torch.arange(self.steps, -1, -1)[:, None]
        reach = rearrange(powers, "time hidden -> time 1 hidden") * self.survives()[..., None]
        start, reach = reach[0], reach[1:]
        by_nu, gain_by_nu = self.cell.derivatives()
        turned = self.turn * as_complex(self.state_before[: self.steps])
        driven = as_complex(self.p[: self.steps]) / self.gain
        new = start[..., None] * self.carried[0][0]
        new[..., -2] += (reach * (by_nu * turned + gain_by_nu * driven)).sum(0)
        new[..., -1] += (reach * turned).sum(0) * 1j
        pairs = self.over_time(torch.view_as_real(reach * self.gain).flatten(-2))  # hidden part -> (hidden part)
        of_weight = rearrange(pairs, "batch (hidden part) column -> batch hidden column part", part=2)
        torch.view_as_real(new)[:, :, :-2] += of_weight  # in place: this is the largest buffer of all
        return new


class MinGRURecording(DiagonalRecording):
    """minGRU: z = σ(p) in the first block, c = p in the second."""

    def allocated(self) -> Tensor:
        features = super().allocated()
        self.keep, self.dp = self.rows(self.hidden), self.rows(2 * self.hidden)
        gates, candidates = self.p.split(self.hidden, dim=-1)
        self.cell_rows = list(zip(gates, *map(arrays, (gates, candidates, self.h)), strict=True))
        self.dh_rows, self.keep_rows = arrays(self.dh), arrays(self.keep)
        return features

    def laid_out(self) -> Tensor:
        return torch.cat([self.cell.weight, self.cell.bias[:, None]], dim=1)

    def advance(self, t: int, before: Sequence[np.ndarray]) -> None:
        """h⁻ + z (c − h⁻)."""
        gate, z, candidate, h = self.cell_rows[t]
        gate.sigmoid_()
        np.subtract(candidate, before[0], out=h)
        np.multiply(h, z, out=h)
        np.add(h, before[0], out=h)

    def backward_rows(self, start: int, stop: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        torch.sub(1.0, self.p[start:stop, :, : self.hidden], out=self.keep[start:stop])
        return self.dh_rows[start:stop], self.keep_rows[start:stop]

    def by_input(self, n: slice) -> tuple[Tensor, Tensor]:
        """∂h/∂p of a step alone: (c − h⁻) z (1 − z) of the gate, and z of the candidate."""
        z, candidate = self.p[n].split(self.hidden, dim=-1)
        return (candidate - self.state_before[n]) * z * (1.0 - z), z

    def set_core_gradients(self, n: slice) -> None:
        """dp = dh · ∂h/∂p."""
        for d_block, factor in zip(self.dp[n].split(self.hidden, dim=-1), self.by_input(n), strict=True):
            torch.mul(self.dh[n], factor, out=d_block)
        dp = self.dp[n].flatten(0, 1)
        set_gradient(self.cell, dp.T @ self.joined[n].flatten(0, 1))
        torch.mm(dp, self.weight[:, : self.inputs], out=self.d_features[n].flatten(0, 1))

    def sensitivities(self) -> Tensor:
        z, alive = self.p[: self.steps, :, : self.hidden], self.survives()
        products = (1.0 - z).flip(0).cumprod(0).flip(0)  # of the decays of step t and of all behind it
        reach = torch.cat([products, torch.ones_like(products[:1])]) * alive[..., None]
        by_gate, by_candidate = self.by_input(slice(0, self.steps))
        new = self.over_time(torch.cat([by_gate, by_candidate], dim=-1) * reach[1:].repeat(1, 1, 2))
        return reach[0].repeat(1, 2)[..., None] * self.carried[0][0] + new
