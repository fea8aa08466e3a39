"""Several bits, each on or off by itself: the actions of a MultiBinary space."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import logsigmoid

from rl.agent.actions.categorical import LEAST
from rl.agent.actions.distribution import ONE_MORE, Actions, Taken
from rl.agent.axes import in_one_axis, in_shape


class Bernoullis(Actions):
    """Independent bits, P(1) = σ(logit)."""

    dtype = torch.int8

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.head_size = shape, math.prod(shape)

    def signs(self, head: Tensor, actions: Tensor) -> Tensor:
        """1 where a bit is on, and −1 where it is off [..., bit], in the precision of the head."""
        return in_one_axis(actions, self.shape).to(head.dtype) * 2 - 1

    def draw(self, generators: Sequence[np.random.Generator], steps: int) -> np.ndarray:
        """Logistic numbers [time, batch, bit]: g = log u − log(1 − u), u uniform on (0, 1)."""
        uniform = np.stack([generator.random((steps, self.head_size)) for generator in generators], axis=1)
        np.maximum(uniform, LEAST, out=uniform)
        return np.log(uniform) - np.log1p(-uniform)

    def sample(self, head: Tensor, noise: Tensor, out: Tensor | None = None) -> Tensor:
        """A bit is on where its logit is greater than g, which it is with probability σ(logit)."""
        actions = in_shape(head > noise, self.shape)
        return actions.to(self.dtype) if out is None else out.copy_(actions)

    def mode(self, head: Tensor) -> Tensor:
        """A bit is on where its logit is greater than 0."""
        return in_shape(head > 0, self.shape).to(self.dtype)

    def log_probs(self, head: Tensor, actions: Tensor) -> Tensor:
        """log π(a) = Σ log σ(±logit), + where the bit is on."""
        return logsigmoid(head * self.signs(head, actions)).sum(-1)

    def entropies(self, head: Tensor) -> Tensor:
        """H = −Σ [p log p + (1 − p) log(1 − p)]."""
        on = head.sigmoid()
        return -(on * logsigmoid(head) + (1 - on) * logsigmoid(-head)).sum(-1)

    def kl(self, head: Tensor, other: Tensor) -> Tensor:
        """Σ [p (log p − log p') + (1 − p) (log (1 − p) − log (1 − p'))]."""
        on = head.sigmoid()
        return (on * (logsigmoid(head) - logsigmoid(other)) + (1 - on) * (logsigmoid(-head) - logsigmoid(-other))).sum(
            -1
        )

    def taken(self, head: Tensor, actions: Tensor) -> Taken:
        """Written out: with d = ∂L/∂log π(a) and e = ∂L/∂H,   ∂L/∂logits = d (a − p) − e logit p (1 − p)."""
        signs, on = self.signs(head, actions), head.sigmoid()

        def backward(d_log_probs: Tensor, d_entropy: float | None) -> Tensor:
            d_head = rearrange(d_log_probs, ONE_MORE) * ((signs + 1) / 2 - on)
            if d_entropy:
                d_head -= d_entropy * head * on * (1 - on)
            return d_head

        return Taken(logsigmoid(head * signs).sum(-1), self.entropies(head), backward)
