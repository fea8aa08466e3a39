"""Masks: which actions the environment allows in a state. They come within its observations."""

from typing import Any

from torch import Tensor

MASKED = -1e8  # logit of an action that is not allowed: its probability is exactly 0, and nothing becomes nan
ENTRY = "action_mask"  # name of the entry of an observation


def is_masked(logits: Tensor) -> bool:
    """Whether any of these logits [..., action] is that of an action that is not allowed."""
    return bool(logits.amin() <= MASKED / 2)


def allowed(logits: Tensor) -> Tensor:
    """Which actions are allowed, by their logits [..., action]."""
    return logits > MASKED / 2


class ActionMask:
    """Reads the mask out of observations, and masks logits with it."""

    def __init__(self, entry: Any) -> None:
        """Take the entry of the observation space: it says between which numbers of an observation the mask lies."""
        self.start, self.stop = entry.start, entry.stop

    def forbidden(self, observations: Tensor) -> Tensor:
        """Which actions are not allowed [..., action], of observations [..., feature]."""
        return observations[..., self.start : self.stop] == 0

    def masked(self, logits: Tensor, observations: Tensor) -> Tensor:
        """Logits [..., action], MASKED where an action is not allowed. No gradient comes back to those."""
        return logits.masked_fill(self.forbidden(observations), MASKED)
