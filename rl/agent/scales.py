"""The scales of observations and rewards: running statistics that the Learner keeps and an agent applies.

They lie behind an agent's parameters in its one flat vector, without a gradient. So whoever has the parameters has the
scales of the same moment: a worker that pulls, an evaluation, a checkpoint, a Player, an exported file.
"""

from typing import Any

import numpy as np
import torch
from einops import rearrange
from gymnasium.spaces import Box
from torch import Tensor, nn

from rl.agent.axes import in_one_axis

MOST = 10.0  # deviations from the mean that an observation keeps
FEWEST, ROUNDING = 1e-8, 1e-12  # a variance below this, or this share of the mean square, is none: a constant so far
CLIPPED = 1.0  # the largest reward of a run with --clip-rewards
FLOAT = 4  # bytes
STEPS = "time batch number -> (time batch) number"
COUNTS = 4  # env steps of observations and of returns, Σ and Σ² of the returns; then Σ and Σ² of each number observed


class Scales(nn.Module):
    """Mean and deviation of each observed number, and the deviation of the discounted return.

        x̃ = clip((x − mean) / deviation, ±10),   r̃ = clip(r / deviation of R, ±10),   Rₜ = γ Rₜ₋₁ + rₜ in an episode

    (Engstrom et al. 2020, §3, "observation normalization" and "reward scaling"). Of observations, floating-point
    numbers whose bounds do not lie within ±1 are scaled: one-hots, masks, flags and images have their scale. Floats may
    lie beside bytes in one packed array of bytes.
    """

    def __init__(self, space: Box, observations: bool, returns: bool) -> None:
        """Begin with scales that change nothing.

        Args:
            space: what the agent observes.
            observations: whether observations are scaled.
            returns: whether rewards are.
        """
        super().__init__()
        self.places = float_places(space) if observations else []
        self.scaled = scaled_numbers(space) if observations else np.zeros(0, dtype=bool)  # [number], of one observation
        self.numbers = len(self.scaled) if self.scaled.any() else 0
        shape = (self.numbers,) if self.places or not self.numbers else space.shape
        self.returns = returns
        self.reward = fixed(torch.ones(1))  # 1 / deviation of R
        self.mean, self.inverse = fixed(torch.zeros(shape)), fixed(torch.ones(shape))  # of an observation

    def observations(self, observations: Tensor) -> Tensor:
        """x̃ of observations [..., *shape]; of bytes a copy, in which floats are scaled."""
        if not self.numbers:
            return observations
        if self.places:
            return self._among_bytes(observations.clone())
        return ((observations - self.mean) * self.inverse).clamp(-MOST, MOST)

    def _among_bytes(self, observations: Tensor) -> Tensor:
        """Scale the floats of packed bytes in place."""
        sizes = [(place.stop - place.start) // FLOAT for place in self.places]
        for place, mean, inverse in zip(self.places, self.mean.split(sizes), self.inverse.split(sizes), strict=True):
            part = observations[..., place].view(torch.float32)
            part.copy_(((part - mean) * inverse).clamp(-MOST, MOST))
        return observations

    def floats(self, observations: np.ndarray) -> np.ndarray:
        """The numbers [step, number] of observations [time, batch, *shape]."""
        if not self.places:
            return rearrange(in_one_axis(observations, self.mean.shape), STEPS)
        parts = [np.ascontiguousarray(observations[..., place]).view(np.float32) for place in self.places]
        return rearrange(np.concatenate(parts, axis=-1), STEPS)

    def rewards(self, rewards: Tensor) -> Tensor:
        """r̃ of rewards [...]."""
        return (rewards * self.reward).clamp(-MOST, MOST) if self.returns else rewards


def make_scales(space: Box, observations: bool, returns: bool) -> Scales | None:
    """The scales that an agent needs; None where nothing is scaled."""
    scales = Scales(space, observations, returns) if observations or returns else None
    return scales if scales and (scales.numbers or scales.returns) else None


def scaled_numbers(space: Box) -> np.ndarray:
    """Which numbers of an observation are scaled, [number] bool; none of a space that holds no floating-point ones."""
    boxes = [space] if space.dtype.kind == "f" else [box for box, _ in floats_among_bytes(space)]
    within = [np.asarray((box.low >= -1.0) & (box.high <= 1.0)) for box in boxes]
    return ~np.concatenate([np.zeros(0, bool), *(in_one_axis(one, one.shape) for one in within)])


def float_places(space: Box) -> list[slice]:
    """Where the floats lie in a packed array of bytes; none of any other space."""
    return [] if space.dtype.kind == "f" else [slice(entry.start, entry.stop) for _, entry in floats_among_bytes(space)]


def floats_among_bytes(space: Box) -> list[tuple[Box, Any]]:
    """The space of each entry of floats in a packed space, and the entry."""
    entries, boxes = getattr(space, "entries", ()), getattr(space, "boxes", ())
    return [(box, entry) for box, entry in zip(boxes, entries, strict=True) if entry.dtype == "float32"]


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
    reward = variance**-0.5 if variance > FEWEST + ROUNDING * squares / max(returned, 1.0) else 1.0
    totals, square_totals = rest.chunk(2)
    mean = totals / max(observed, 1.0)
    mean_squares = square_totals / max(observed, 1.0)
    variances = mean_squares - mean.square()
    inverse = torch.where(variances > FEWEST + ROUNDING * mean_squares, variances, 1.0).rsqrt()
    return torch.cat([sums.new_tensor([reward]), mean, inverse])
