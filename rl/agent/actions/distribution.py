"""What every distribution over actions is: it owns the size of its head, its noise, and what a loss may ask of it.

Losses say ∂L/∂log π and ∂L/∂H; the way back from there to the head is the distribution's own.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

ONE_MORE, ONE_LESS = "... -> ... 1", "... 1 -> ..."
Backward = Callable[[Tensor, float | None], Tensor]


class Taken(NamedTuple):
    """What a policy says of actions that were taken, without a gradient of its own: `backward` is the way back."""

    log_probs: Tensor  # [...] log π(aₜ)
    entropies: Tensor  # [...] H(πₜ)
    backward: Backward  # ∂L/∂log π [...] and ∂L/∂H (one number for all; None: 0) -> ∂L/∂head [..., head]


class Actions:
    """A distribution over actions, given by the policy head's numbers [..., head]; a subclass says which."""

    head_size: int  # numbers that the policy head says
    free: int = 0  # how many of them, the last ones, are parameters that no observation changes
    shape: tuple[int, ...]  # of one sampled action
    dtype: torch.dtype  # of one sampled action
    maskable: bool = True  # an action is chosen of several, of which a mask may forbid some
    as_sampled: bool = True  # an environment takes what was sampled as it is

    def draw(self, generators: Sequence[np.random.Generator], steps: int) -> np.ndarray:
        """The noise of the next `steps` samples [time, batch, ...], each column from its own generator."""
        raise TypeError(f"{type(self).__name__} must define draw")

    def sample(self, head: Tensor, noise: Tensor, out: Tensor | None = None) -> Tensor:
        """Actions [batch, ...] drawn with noise, written into `out` where it is given."""
        raise TypeError(f"{type(self).__name__} must define sample")

    def mode(self, head: Tensor) -> Tensor:
        """The most probable actions [batch, ...], as `sample` gives them."""
        raise TypeError(f"{type(self).__name__} must define mode")

    def for_environment(self, actions: Tensor) -> Tensor:
        """What an environment takes in the place of sampled actions."""
        return actions

    def log_probs(self, head: Tensor, actions: Tensor) -> Tensor:
        """log π of sampled actions [...], differentiable."""
        raise TypeError(f"{type(self).__name__} must define log_probs")

    def entropies(self, head: Tensor) -> Tensor:
        """Entropies [...], differentiable."""
        raise TypeError(f"{type(self).__name__} must define entropies")

    def kl(self, head: Tensor, other: Tensor) -> Tensor:
        """KL(π ‖ π') [...] from the policy of one head to that of another."""
        raise TypeError(f"{type(self).__name__} must define kl")

    def taken(self, head: Tensor, actions: Tensor) -> Taken:
        """Log-probabilities, entropies, and the way back: what `by_autograd` says, or quicker."""
        return by_autograd(self, head, actions)


def by_autograd(distribution: Actions, head: Tensor, actions: Tensor) -> Taken:
    """`taken` of a distribution that does not write its way back out, and the definition for one that does."""
    with torch.enable_grad():
        live = head.detach().requires_grad_()
        log_probs, entropies = distribution.log_probs(live, actions), distribution.entropies(live)

    def backward(d_log_probs: Tensor, d_entropy: float | None) -> Tensor:
        d_entropies = torch.full_like(entropies, d_entropy or 0.0)
        return torch.autograd.grad([log_probs, entropies], live, [d_log_probs, d_entropies])[0]

    return Taken(log_probs.detach(), entropies.detach(), backward)
