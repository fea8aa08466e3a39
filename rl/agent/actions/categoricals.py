"""Several numbers, each one of its own n: the actions of a MultiDiscrete space."""

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from rl.agent.actions.categorical import gumbel_numbers
from rl.agent.actions.distribution import ONE_LESS, ONE_MORE, Actions, Taken
from rl.agent.actions.mask import MASKED
from rl.agent.axes import in_one_axis, in_shape

SIDE_BY_SIDE = "... part option -> ... (part option)"


class Categoricals(Actions):
    """Independent numbers, π = Π softmax(logits of each); their logits lie side by side, in the order of the counts.

    Where the counts differ, the parts are padded to the largest one by logits that have probability exactly 0.
    """

    dtype = torch.int64

    def __init__(self, counts: np.ndarray) -> None:
        """Take how many options each number has, an array of any shape."""
        self.shape, sizes = counts.shape, in_one_axis(counts, counts.shape)
        self.parts, self.most, self.head_size = len(sizes), int(sizes.max()), int(sizes.sum())
        options = np.arange(self.most)
        real = options < rearrange(sizes, ONE_MORE)  # [part, option]
        starts = np.cumsum(sizes) - sizes
        self.equal = bool(real.all())
        # Where each option of a part lies in the head (padding: one behind its end), and each of the head in the parts.
        self.sources = torch.from_numpy(np.where(real, rearrange(starts, ONE_MORE) + options, self.head_size))
        self.places = torch.from_numpy(np.flatnonzero(real))

    def in_parts(self, head: Tensor) -> Tensor:
        """Numbers of the head [..., head] part by part [..., part, option]."""
        if self.equal:
            return rearrange(head, "... (part option) -> ... part option", part=self.parts)
        return nn.functional.pad(head, (0, 1), value=MASKED)[..., self.sources]

    def out_of_parts(self, parts: Tensor) -> Tensor:
        """The way back."""
        flat = rearrange(parts, SIDE_BY_SIDE)
        return flat if self.equal else flat[..., self.places]

    def chosen(self, actions: Tensor) -> Tensor:
        """Actions [..., *shape] as [..., part, 1]."""
        return rearrange(in_one_axis(actions, self.shape), ONE_MORE)

    def draw(self, generators: Sequence[np.random.Generator], steps: int) -> np.ndarray:
        """Gumbel numbers [time, batch, head]."""
        return gumbel_numbers(generators, steps, self.head_size)

    def sample(self, head: Tensor, noise: Tensor, out: Tensor | None = None) -> Tensor:
        """argmax (logits + g) of each part, as one Categorical."""
        actions = self.mode(head + noise)
        return actions if out is None else out.copy_(actions)

    def mode(self, head: Tensor) -> Tensor:
        """argmax of the logits of each part."""
        return in_shape(self.in_parts(head).argmax(-1), self.shape)

    def log_probs(self, head: Tensor, actions: Tensor) -> Tensor:
        """log π(a) = Σ log π of each part."""
        log_probs = self.in_parts(head).log_softmax(-1)
        return rearrange(log_probs.gather(-1, self.chosen(actions)), ONE_LESS).sum(-1)

    def entropies(self, head: Tensor) -> Tensor:
        """H = Σ H of each part, since they are independent."""
        log_probs = self.in_parts(head).log_softmax(-1)
        return -(log_probs.exp() * log_probs).sum((-1, -2))

    def kl(self, head: Tensor, other: Tensor) -> Tensor:
        """Σ of that of each part."""
        log_probs, others = (self.in_parts(one).log_softmax(-1) for one in (head, other))
        return (log_probs.exp() * (log_probs - others)).sum((-1, -2))

    def taken(self, head: Tensor, actions: Tensor) -> Taken:
        """Written out: that of one Categorical, in each part."""
        log_probs, chosen = self.in_parts(head).log_softmax(-1), self.chosen(actions)
        probs = log_probs.exp()
        entropies = -(probs * log_probs).sum(-1, keepdim=True)  # [..., part, 1]

        def backward(d_log_probs: Tensor, d_entropy: float | None) -> Tensor:
            wide = rearrange(d_log_probs, "... -> ... 1 1").expand(chosen.shape)
            d_parts = (probs * -wide).scatter_add_(-1, chosen, wide)
            if d_entropy:
                d_parts += -d_entropy * probs * (log_probs + entropies)
            return self.out_of_parts(d_parts)

        return Taken(log_probs.gather(-1, chosen).sum((-1, -2)), entropies.sum((-1, -2)), backward)
