"""Numbers: the actions of a Box."""

import math
from collections.abc import Sequence
from typing import Literal

import gymnasium
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from rl.agent.actions.distribution import ONE_MORE, Actions, Taken
from rl.agent.axes import in_one_axis, in_shape

ENDLESS = 1e30  # a bound this large is none
POINTS = 16  # at which the entropy of a squashed number is computed
HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class Gaussian(Actions):
    """Independent normal numbers u ~ N(μ, σ²), one for each entry of a Box; the head has all μ, then all log σ.

    What is sampled, stored and learnt from is u. An environment takes low + (y + 1)(high − low)/2: −1 and 1 stand
    for the bounds of each entry.

    * "clip": y is u, clipped to ±1. log π and H are those of u, since a clipped number has no density.
    * "tanh": y = tanh u, and log π(y) = log N(u) − log(1 − tanh² u)   (Haarnoja et al. 2018, appendix C). H is that of
      y, so it has a maximum, log 2, where y is uniform: an entropy bonus does not widen σ without end, as it does
      where actions are clipped.

    Both are densities of y in an entry's own unit, (high − low)/2. An entry without bounds is u itself. One with a
    single bound is u, moved so that −1 (or 1) lies on the bound, and clipped there in either case.
    """

    dtype = torch.float32
    maskable = as_sampled = False

    def __init__(
        self,
        space: gymnasium.spaces.Box,
        std: Literal["parameter", "head"] = "parameter",
        std_init: float = 0.5,
        bounds: Literal["clip", "tanh"] = "clip",
    ) -> None:
        """Take a Box.

        Args:
            space: its bounds.
            std: σ is a parameter, the same whatever is observed, or comes from the head.
            std_init: σ at first.
            bounds: how bounds are kept.
        """
        self.own_shape, size = space.shape, math.prod(space.shape)
        self.size, self.shape, self.head_size = size, (size,), 2 * size
        self.free = size if std == "parameter" else 0
        self.log_std_init = math.log(std_init)
        low, high, centre, half, both = units(space)
        as_tensors = (torch.from_numpy(one.astype(np.float32)) for one in (low, high, centre, half))
        self.low, self.high, self.centre, self.half = as_tensors
        self.squashed = torch.from_numpy(both if bounds == "tanh" else np.zeros_like(both))  # [number] bool
        self.squashes, self.squashes_all = bool(self.squashed.any()), bool(self.squashed.all())
        points, weights = np.polynomial.hermite_e.hermegauss(POINTS)
        self.points, self.weights = points.tolist(), (weights / weights.sum()).tolist()  # of N(0, 1)

    def parts(self, head: Tensor) -> tuple[Tensor, Tensor]:
        """μ and log σ, both [..., number]."""
        mean, log_std = head.split(self.size, dim=-1)
        return mean, log_std + self.log_std_init

    def draw(self, generators: Sequence[np.random.Generator], steps: int) -> np.ndarray:
        """Standard normal numbers [time, batch, number]."""
        return np.stack([generator.standard_normal((steps, self.size)) for generator in generators], axis=1)

    def sample(self, head: Tensor, noise: Tensor, out: Tensor | None = None) -> Tensor:
        """u = μ + σ ε [batch, number]."""
        mean, log_std = self.parts(head)
        actions = torch.addcmul(mean, log_std.exp(), noise)
        return actions.to(self.dtype) if out is None else out.copy_(actions)

    def mode(self, head: Tensor) -> Tensor:
        """μ: what is most probable before it is clipped or squashed."""
        return head[..., : self.size].to(self.dtype)

    def for_environment(self, actions: Tensor) -> Tensor:
        """What u stands for [..., *shape of the space], float32, within the bounds."""
        if self.squashes:
            squashed = actions.tanh()
            actions = squashed if self.squashes_all else torch.where(self.squashed, squashed, actions)
        return in_shape(torch.addcmul(self.centre, self.half, actions).clamp(self.low, self.high), self.own_shape)

    def log_probs(self, head: Tensor, actions: Tensor) -> Tensor:
        """log π = Σ [−½ z² − log σ − ½ log 2π] with z = (u − μ) / σ, and minus log(1 − tanh² u) where u is squashed."""
        mean, log_std = self.parts(head)
        z = (actions - mean) * (-log_std).exp()
        log_probs = -0.5 * z.square() - log_std - HALF_LOG_2PI
        if self.squashes:
            log_probs = log_probs - self.log_slopes(actions.to(head.dtype))
        return log_probs.sum(-1)

    def entropies(self, head: Tensor) -> Tensor:
        """H = Σ [½ + ½ log 2π + log σ], and plus E log(1 − tanh² u) where u is squashed.

        The expectation is a sum over 16 points of Gauss and Hermite, the same for a head whatever was sampled:
        within 0.001 for σ up to 1, and within 0.06 for σ up to 3.
        """
        mean, log_std = self.parts(head)
        entropies = log_std + 0.5 + HALF_LOG_2PI
        if self.squashes:
            std = log_std.exp()
            for point, weight in zip(self.points, self.weights, strict=True):
                entropies = entropies + weight * self.log_slopes(mean + std * point)
        return entropies.sum(-1)

    def log_slopes(self, numbers: Tensor) -> Tensor:
        """log(1 − tanh² u) [..., number] where u is squashed, else 0: 2 (log 2 − |u| − log(1 + e^−2|u|))."""
        size = numbers.abs()
        slopes = 2.0 * (math.log(2.0) - size - (-2.0 * size).exp().log1p())
        return slopes if self.squashes_all else torch.where(self.squashed, slopes, 0.0)

    def kl(self, head: Tensor, other: Tensor) -> Tensor:
        """Σ [log σ' − log σ + (σ² + (μ − μ')²) / 2 σ'² − ½], of u: tanh, which can be undone, does not change it."""
        (mean, log_std), (other_mean, other_log_std) = self.parts(head), self.parts(other)
        apart = log_std - other_log_std
        away = ((mean - other_mean) * (-other_log_std).exp()).square()
        return (0.5 * ((2.0 * apart).exp() + away - 1.0) - apart).sum(-1)

    def taken(self, head: Tensor, actions: Tensor) -> Taken:
        """Written out: with d = ∂L/∂log π and e = ∂L/∂H,   ∂L/∂μ = d z / σ + e h,   ∂L/∂log σ = d (z² − 1) + e (1 + k).

        Without tanh h = k = 0. With it h = E[−2 tanh u] and k = E[−2 σ ε tanh u], over the points of `entropies`.
        """
        mean, log_std = self.parts(head)
        inverse = (-log_std).exp()
        z = (actions - mean) * inverse
        log_probs, entropies = -0.5 * z.square() - log_std - HALF_LOG_2PI, log_std + 0.5 + HALF_LOG_2PI
        by_mean = by_std = None
        if self.squashes:
            log_probs = log_probs - self.log_slopes(actions.to(head.dtype))
            std = log_std.exp()
            by_mean, by_std = torch.zeros_like(mean), torch.zeros_like(mean)
            for point, weight in zip(self.points, self.weights, strict=True):
                numbers = mean + std * point
                entropies = entropies + weight * self.log_slopes(numbers)
                slope = (-2.0 * weight) * numbers.tanh()
                by_mean += slope
                by_std += slope * std * point
            if not self.squashes_all:
                by_mean, by_std = by_mean * self.squashed, by_std * self.squashed

        def backward(d_log_probs: Tensor, d_entropy: float | None) -> Tensor:
            wide = rearrange(d_log_probs, ONE_MORE)
            d_mean, d_log_std = wide * z * inverse, wide * (z.square() - 1.0)
            if d_entropy:
                d_log_std += d_entropy
                if by_mean is not None:
                    d_mean += d_entropy * by_mean
                    d_log_std += d_entropy * by_std
            return torch.cat([d_mean, d_log_std], dim=-1)

        return Taken(log_probs.sum(-1), entropies.sum(-1), backward)


def units(space: gymnasium.spaces.Box) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Bounds of each number, what 0 stands for, what a step of 1 stands for, and whether both bounds are there.

    All are [number], and float64 but for the last. Bounds that are none are infinite.
    """
    low, high = (in_one_axis(one, space.shape).astype(np.float64) for one in (space.low, space.high))
    low, high = np.where(low <= -ENDLESS, -np.inf, low), np.where(high >= ENDLESS, np.inf, high)
    below, above = np.isfinite(low), np.isfinite(high)
    both = below & above
    with np.errstate(invalid="ignore"):
        middle, half = (low + high) / 2, (high - low) / 2
    centre = np.select([both, below, above], [middle, low + 1.0, high - 1.0], 0.0)
    return low, high, centre, np.where(both, half, 1.0), both
