"""Actions: the distribution that the policy head's numbers stand for, made from the action space.

A distribution owns the size of its head, the noise that it is sampled with, and every number a loss may ask of it.
Losses say ∂L/∂log π and ∂L/∂H; the way back from there to the head is the distribution's own.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import gymnasium
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

ONE_MORE, ONE_LESS = "... -> ... 1", "... 1 -> ..."
Backward = Callable[[Tensor, float | None], Tensor]


class Taken(NamedTuple):
    """What a policy says of actions that were taken, without a gradient of its own: `backward` is the way back."""

    log_probs: Tensor  # [...] log π(aₜ)
    entropies: Tensor  # [...] H(πₜ)
    backward: Backward  # ∂L/∂log π [...] and ∂L/∂H (one number for all; None: 0) -> ∂L/∂head [..., head]


class Actions(Protocol):
    """A distribution over actions, given by the policy head's numbers [..., head]."""

    head_size: int  # numbers that the policy head says
    shape: tuple[int, ...]  # of one action
    dtype: torch.dtype  # of one action

    def draw(self, generators: Sequence[np.random.Generator], steps: int) -> np.ndarray:
        """The noise of the next `steps` samples [time, batch, ...], each column from its own generator."""

    def sample(self, head: Tensor, noise: Tensor, out: Tensor | None = None) -> Tensor:
        """Actions [batch, ...] drawn with noise, written into `out` where it is given."""

    def mode(self, head: Tensor) -> Tensor:
        """The most probable actions [batch, ...]."""

    def log_probs(self, head: Tensor, actions: Tensor) -> Tensor:
        """log π of actions [...], differentiable."""

    def entropies(self, head: Tensor) -> Tensor:
        """Entropies [...], differentiable."""

    def taken(self, head: Tensor, actions: Tensor) -> Taken:
        """Both of them, and the way back: what `by_autograd` says, or quicker."""


class Categorical:
    """One of n actions, π = softmax(logits)."""

    shape, dtype = (), torch.int64

    def __init__(self, actions: int) -> None:
        self.head_size = actions

    def draw(self, generators: Sequence[np.random.Generator], steps: int) -> np.ndarray:
        """Gumbel numbers [time, batch, action]; an environment's stream is the same however it is cut into draws.

        g = −log(−log u),   u uniform on [0, 1), a whole array at a time: three times as fast as the generator's own.
        """
        uniform = np.stack([generator.random((steps, self.head_size)) for generator in generators], axis=1)
        with np.errstate(divide="ignore"):  # u may be 0: its g is −inf, an action not taken
            return -np.log(-np.log(uniform))

    def sample(self, head: Tensor, noise: Tensor, out: Tensor | None = None) -> Tensor:
        """Actions [batch] of unnormalised log-probabilities and Gumbel numbers, [batch, action] each.

        a = argmax (logits + g),   g ~ Gumbel(0, 1)   (Gumbel 1954; Maddison et al. 2014, §2): two small operations,
        where inverting the cumulative distribution takes five.
        """
        return torch.argmax(head + noise, dim=-1, out=out)

    def mode(self, head: Tensor) -> Tensor:
        """argmax of the logits."""
        return head.argmax(-1)

    def log_probs(self, head: Tensor, actions: Tensor) -> Tensor:
        """log π(a) = logit of a − log Σ exp logits."""
        chosen = rearrange(actions, ONE_MORE)
        return rearrange(head.log_softmax(-1).gather(-1, chosen), ONE_LESS)

    def entropies(self, head: Tensor) -> Tensor:
        """H = −Σ π log π."""
        log_probs = head.log_softmax(-1)
        return -(log_probs.exp() * log_probs).sum(-1)

    def taken(self, head: Tensor, actions: Tensor) -> Taken:
        """Written out: with d = ∂L/∂log π(a) and e = ∂L/∂H,   ∂L/∂logits = d (1ₐ − π) − e π (log π + H)."""
        log_probs, chosen = head.log_softmax(-1), rearrange(actions, ONE_MORE)
        probs = log_probs.exp()
        entropies = -(probs * log_probs).sum(-1)

        def backward(d_log_probs: Tensor, d_entropy: float | None) -> Tensor:
            wide = rearrange(d_log_probs, ONE_MORE)
            d_logits = (probs * -wide).scatter_add_(-1, chosen, wide)
            if d_entropy:
                d_logits += -d_entropy * probs * (log_probs + rearrange(entropies, ONE_MORE))
            return d_logits

        return Taken(rearrange(log_probs.gather(-1, chosen), ONE_LESS), entropies, backward)


def by_autograd(distribution: Actions, head: Tensor, actions: Tensor) -> Taken:
    """`taken` of a distribution that does not write its way back out, and the definition for one that does."""
    with torch.enable_grad():
        live = head.detach().requires_grad_()
        log_probs, entropies = distribution.log_probs(live, actions), distribution.entropies(live)

    def backward(d_log_probs: Tensor, d_entropy: float | None) -> Tensor:
        d_entropies = torch.full_like(entropies, d_entropy or 0.0)
        return torch.autograd.grad([log_probs, entropies], live, [d_log_probs, d_entropies])[0]

    return Taken(log_probs.detach(), entropies.detach(), backward)


def make_actions(space: gymnasium.Space) -> Actions:
    """The distribution over the actions of a space.

    Raises:
        ValueError: there is none for such a space.
    """
    if isinstance(space, gymnasium.spaces.Discrete):
        return Categorical(int(space.n))
    raise ValueError(f"an action space of {space}: Discrete is needed")
