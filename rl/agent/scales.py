"""The scales of observations and rewards: running statistics that the Learner keeps and an agent applies.

They lie behind an agent's parameters in its one flat vector, without a gradient. So whoever has the parameters has the
scales of the same moment: a worker that pulls, an evaluation, a checkpoint, a Player, an exported file.
"""

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

MOST = 10.0  # deviations from the mean that an observation keeps
FEWEST = 1e-8  # a variance below this is none: the number is constant so far
COUNTS = 4  # env steps of observations and of returns, Σ and Σ² of the returns; then Σ and Σ² of each number observed


class Scales(nn.Module):
    """Mean and deviation of each observed number, and the deviation of the discounted return.

        x̃ = clip((x − mean) / deviation, ±10),   r̃ = r / deviation of R,   Rₜ = γ Rₜ₋₁ + rₜ within an episode

    (Engstrom et al. 2020, §3, "observation normalization" and "reward scaling"). Of observations, floating-point
    numbers whose bounds do not lie within ±1 are scaled: one-hots, masks, flags and images have their scale.
    """

    def __init__(self, space: Box, observations: bool, returns: bool) -> None:
        """Begin with scales that change nothing.

        Args:
            space: of what the agent observes.
            observations: whether observations are scaled.
            returns: whether rewards are.
        """
        super().__init__()
        self.scaled = scaled_numbers(space) if observations else np.zeros(0, dtype=bool)  # [number], of one observation
        self.numbers = len(self.scaled) if self.scaled.any() else 0
        shape = space.shape if self.numbers else (0,)
        self.returns = returns
        self.reward = fixed(torch.ones(1))  # 1 / deviation of R
        self.mean, self.inverse = fixed(torch.zeros(shape)), fixed(torch.ones(shape))  # of an observation

    def observations(self, observations: Tensor) -> Tensor:
        """x̃ of observations [..., *shape]."""
        if not self.numbers:
            return observations
        return ((observations - self.mean) * self.inverse).clamp(-MOST, MOST)

    def rewards(self, rewards: Tensor) -> Tensor:
        """r̃ of rewards [...]."""
        return rewards * self.reward if self.returns else rewards


def make_scales(space: Box, observations: bool, returns: bool) -> Scales | None:
    """The scales that an agent needs; None where nothing is scaled."""
    scales = Scales(space, observations, returns) if observations or returns else None
    return scales if scales and (scales.numbers or scales.returns) else None


def scaled_numbers(space: Box) -> np.ndarray:
    """Which numbers of an observation are scaled, [number] bool; none of a space that holds no floating-point ones."""
    if space.dtype.kind != "f":
        return np.zeros(0, dtype=bool)
    return ~((space.low >= -1.0) & (space.high <= 1.0)).ravel()


def fixed(values: Tensor) -> nn.Parameter:
    """Numbers of a module that are not learnt."""
    return nn.Parameter(values, requires_grad=False)


def sums_size(scales: Scales | None) -> int:
    """How many running sums there are."""
    return COUNTS + 2 * scales.numbers if scales else 0


def scales_of(sums: Tensor) -> Tensor:
    """The numbers of a `Scales`, in the order of its parameters, by running sums in float64.

    Variance is Σ²/n − (Σ/n)². What is constant so far keeps its size.
    """
    (observed, returned, total, squares), rest = sums[:COUNTS].tolist(), sums[COUNTS:]
    variance = squares / returned - (total / returned) ** 2 if returned else 0.0
    reward = variance**-0.5 if variance > FEWEST else 1.0
    totals, square_totals = rest.chunk(2)
    mean = totals / max(observed, 1.0)
    variances = square_totals / max(observed, 1.0) - mean.square()
    inverse = torch.where(variances > FEWEST, variances, 1.0).rsqrt()
    return torch.cat([sums.new_tensor([reward]), mean, inverse])
