"""The fast path of the GRU; the notation is in rl/recorded.py."""

import torch
from einops import rearrange
from torch import Tensor

from rl.agent import Agent
from rl.cores import CoreState
from rl.recorded import ROWS, Recording


class GRURecording(Recording):
    """GRU: r, z = σ(p);   q = U_n h⁻ + b;   n = tanh(p_n + r · q);   h = n + z · (h⁻ − n)."""

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
        r, z, n = rearrange(self.activations[:steps], "time batch (gate hidden) -> gate time batch hidden", gate=3)
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
        d_from_state = rearrange(dq, "time batch gate hidden -> (time batch) (gate hidden)")
        dp = rearrange(torch.cat([dq[:, :, :2].flatten(2), local_n * dh], dim=-1), ROWS)
        joined = rearrange(self.joined[:steps], ROWS)
        d_weight_x = dp.T @ joined[:, : self.inputs]
        d_weight_h = d_from_state.T @ joined[:, self.inputs :]
        return [d_weight_x, d_weight_h, dp.sum(0), d_from_state.sum(0)], dp @ self.cell.weight_ih.detach()
