"""The recurrent trace unit: a linear recurrence with a learnt complex number for each unit (Elelimy et al. 2024).

    hₜ = λ · hₜ₋₁ + γ · (W xₜ + b),   λ = r e^{iθ},   r = exp(−e^ν),   γ = √(1 − r²),   yₜ = tanh(M [Re hₜ, Im hₜ] + c)

r stays below 1 whatever ν is, and γ keeps the size of h near that of its inputs (LRU, Orvieto et al. 2023, §3.3, §3.4).
W and b are complex. In states, weights and biases, real and imaginary part of a unit lie side by side. What acts is
real arithmetic, which exports to ONNX; complex numbers are only in what learns.
"""

import math

import torch
from einops import rearrange
from torch import Tensor, nn

from rl.agent.cores import orthogonal_linear
from rl.agent.diagonal.core import DiagonalCell, DiagonalCore, decays


class RTUCell(DiagonalCell):
    """One layer; see the equation above. Sensitivities: complex [batch, hidden, feature + 3], of W, b, ν and θ.

    Those of W and b are with respect to their real parts; i times as much is that with respect to the imaginary ones.
    """

    def __init__(self, input_size: int, hidden_size: int, longest_memory: int) -> None:
        """Draw parameters: τ = −1 / log r log-uniform from 1 to `longest_memory` steps, θ uniform from 0 to π."""
        super().__init__()
        self.input_size, self.hidden_size, self.state_size = input_size, hidden_size, 2 * hidden_size
        self.nu = nn.Parameter(decays(hidden_size, longest_memory).log())
        self.theta = nn.Parameter(torch.rand(hidden_size) * math.pi)
        layer = orthogonal_linear(input_size, 2 * hidden_size, gain=1.0)
        self.weight, self.bias = layer.weight, layer.bias  # [2 · hidden, feature], [2 · hidden]
        self.mix = orthogonal_linear(2 * hidden_size, hidden_size, gain=2**0.5)

    def recurrence(self) -> tuple[Tensor, Tensor, Tensor]:
        """r, θ and γ, [hidden] each."""
        rate = self.nu.exp()
        return torch.exp(-rate), self.theta, torch.sqrt(-torch.expm1(-2.0 * rate))  # √(1 − r²), exact near r = 1

    def derivatives(self) -> tuple[Tensor, Tensor]:
        """dλ/dν / λ = −e^ν, and dγ/dν = e^ν r² / γ."""
        r, _, gain = self.recurrence()
        rate = self.nu.exp()
        return -rate, rate * r * r / gain

    def driven(self, inputs: Tensor) -> Tensor:
        """W x + b, [..., hidden, part]."""
        return rearrange(nn.functional.linear(inputs, self.weight, self.bias), "... (h part) -> ... h part", part=2)

    def advance(self, inputs: Tensor, h: Tensor) -> Tensor:
        r, theta, gain = self.recurrence()
        real, imaginary = rearrange(h, "... (h part) -> part ... h", part=2)
        across, up = r * torch.cos(theta), r * torch.sin(theta)
        turned = torch.stack([across * real - up * imaginary, up * real + across * imaginary], dim=-1)
        return rearrange(turned + gain[:, None] * self.driven(inputs), "... h part -> ... (h part)")

    def fresh_sensitivities(self, batch_size: int) -> Tensor:
        shape = batch_size, self.hidden_size, self.input_size + 3
        return self.nu.new_zeros(shape, dtype=self.nu.dtype.to_complex())

    def advance_sensitivities(self, inputs: Tensor, h: Tensor, sensitivities: Tensor) -> Tensor:
        """S' = λ S + γ [x, 1];   D_ν' = λ D_ν − e^ν λ h + dγ/dν (W x + b);   D_θ' = λ D_θ + i λ h."""
        r, theta, gain = self.recurrence()
        turn, (by_nu, gain_by_nu) = torch.polar(r, theta), self.derivatives()
        turned = turn * as_complex(h)
        of_nu = by_nu * turned + gain_by_nu * torch.view_as_complex(self.driven(inputs))
        seen = torch.cat([inputs, inputs.new_ones(len(inputs), 1)], dim=-1)
        of_weight = gain[:, None] * rearrange(seen, "batch column -> batch 1 column")
        new = torch.cat([of_weight, of_nu[..., None], 1j * turned[..., None]], dim=-1)
        return turn[:, None] * sensitivities + new

    def attached(self, h: Tensor, sensitivities: Tensor) -> Tensor:
        """h + Σ ∂h/∂θ (θ − θ), where the second θ is a number."""
        weight = as_complex(torch.cat([self.weight, self.bias[:, None]], dim=1).T.contiguous()).T
        weight, nu, theta = (part - part.detach() for part in (weight, self.nu, self.theta))
        carried = torch.einsum("bhc, hc -> bh", sensitivities[..., :-2], weight)
        carried = carried + sensitivities[..., -2] * nu + sensitivities[..., -1] * theta
        return h + torch.view_as_real(carried).flatten(-2)  # batch h part -> batch (h part)

    @torch.no_grad()
    def add_carried(self, d_h: Tensor, sensitivities: Tensor) -> None:
        back = (as_complex(d_h).conj().unsqueeze(-1) * sensitivities).sum(0)  # a third of the time of einsum
        self.nu.grad += back[:, -2].real
        self.theta.grad += back[:, -1].real
        # i S is the sensitivity to imaginary parts:   Re (i z) = −Im z
        of_weight = rearrange([back.real, -back.imag], "part h column -> (h part) column")
        self.weight.grad += of_weight[:, :-3]
        self.bias.grad += of_weight[:, -3]


class RTUCore(DiagonalCore):
    """Recurrent trace units, state (h,): real and imaginary parts [layer, batch, 2 · hidden]."""

    cell = RTUCell


def as_complex(pairs: Tensor) -> Tensor:
    """[..., 2 · n] numbers, of which two neighbours are real and imaginary part, as [..., n] complex ones."""
    return torch.view_as_complex(pairs.unflatten(-1, (-1, 2)))  # ... (h part) -> ... h part
