"""The minimal gated recurrent unit: its gate sees the input alone (Feng et al. 2024, §3.1).

z = σ(W_z x + b_z),   c = W_c x + b_c,   hₜ = (1 − z) · hₜ₋₁ + z · c;      yₜ = tanh(M hₜ + c_M)
"""

import torch
from torch import Tensor, nn

from rl.agent.cores import orthogonal_linear
from rl.agent.diagonal.core import DiagonalCell, DiagonalCore, decays


class MinGRUCell(DiagonalCell):
    """One layer; see the equation above. Sensitivities: [batch, 2 · hidden, feature + 1], of W_z, b_z and W_c, b_c."""

    def __init__(self, input_size: int, hidden_size: int, longest_memory: int) -> None:
        """Draw parameters: with inputs of 0, 1 / z is log-uniform from 1 to `longest_memory` steps.

        That is what chrono initialisation does to an LSTM (Tallec & Ollivier 2018, §3).
        """
        super().__init__()
        self.input_size, self.hidden_size, self.state_size = input_size, hidden_size, hidden_size
        gate, candidate = (orthogonal_linear(input_size, hidden_size, gain=1.0) for _ in range(2))
        self.weight = nn.Parameter(torch.cat([gate.weight, candidate.weight]).detach())  # [2 · hidden, feature]
        open_for = decays(hidden_size, longest_memory).clamp(max=0.9)
        self.bias = nn.Parameter(torch.cat([torch.logit(open_for), torch.zeros(hidden_size)]))
        self.mix = orthogonal_linear(hidden_size, hidden_size, gain=2**0.5)

    def gates(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """z and c [batch, hidden]."""
        gate, candidate = nn.functional.linear(inputs, self.weight, self.bias).chunk(2, dim=-1)
        return gate.sigmoid(), candidate

    def advance(self, inputs: Tensor, h: Tensor) -> Tensor:
        z, candidate = self.gates(inputs)
        return h + z * (candidate - h)

    def fresh_sensitivities(self, batch_size: int) -> Tensor:
        return self.weight.new_zeros(batch_size, 2 * self.hidden_size, self.input_size + 1)

    def advance_sensitivities(self, inputs: Tensor, h: Tensor, sensitivities: Tensor) -> Tensor:
        """S_z' = (1 − z) S_z + (c − h) z (1 − z) [x, 1];   S_c' = (1 − z) S_c + z [x, 1]."""
        z, candidate = self.gates(inputs)
        by_input = torch.cat([(candidate - h) * z * (1.0 - z), z], dim=-1)
        seen = torch.cat([inputs, inputs.new_ones(len(inputs), 1)], dim=-1)
        return (1.0 - z).repeat(1, 2)[..., None] * sensitivities + by_input[..., None] * seen[:, None]

    def attached(self, h: Tensor, sensitivities: Tensor) -> Tensor:
        """h + Σ ∂h/∂θ (θ − θ), where the second θ is a number."""
        weight = torch.cat([self.weight, self.bias[:, None]], dim=1)
        carried = torch.einsum("bhc, hc -> bh", sensitivities, weight - weight.detach())
        return h + carried.unflatten(-1, (2, -1)).sum(1)  # both gates lead to the same unit

    @torch.no_grad()
    def add_carried(self, d_h: Tensor, sensitivities: Tensor) -> None:
        back = (d_h.repeat(1, 2).unsqueeze(-1) * sensitivities).sum(0)  # a third of the time of einsum
        self.weight.grad += back[:, :-1]
        self.bias.grad += back[:, -1]


class MinGRUCore(DiagonalCore):
    """Minimal gated recurrent units, state (h,)."""

    cell = MinGRUCell
