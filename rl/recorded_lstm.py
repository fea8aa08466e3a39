"""The fast path of the LSTM; the notation is in rl/recorded.py."""

import torch
from einops import rearrange
from torch import Tensor

from rl.agent import Agent
from rl.cores import CoreState
from rl.recorded import ROWS, Recording

GATES = "time batch (gate hidden) -> time batch gate hidden"


class LSTMRecording(Recording):
    """LSTM: o, i, f = σ(p);   g = tanh(p);   c = f · c⁻ + i · g;   h = o · tanh(c).

    Gates lie in the order o, i, f, g: the three sigmoids are neighbours, and so are the three whose gradient comes
    through c.
    """

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
        gates, local = rearrange(self.activations[:n], GATES, gate=4), self.local
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
        joined_gates = rearrange(dp, "time batch gate hidden -> time batch (gate hidden)")
        dp_rows, dp_o, dp_ifg = joined_gates.unbind(0), dp[:, :, 0].unbind(0), dp[:, :, 1:].unbind(0)
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
        flat = rearrange(joined_gates, ROWS)
        d_weight = self.to_torchs(flat.T @ rearrange(self.joined[:n], ROWS), size)
        d_bias = self.to_torchs(flat.sum(0), size)
        d_inputs = flat @ self.weight[:, : self.inputs]
        return [d_weight[:, : self.inputs], d_weight[:, self.inputs :], d_bias, d_bias], d_inputs
