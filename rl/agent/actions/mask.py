"""Masks: which actions the environment allows in a state. They come within its observations."""

from typing import Any

import gymnasium
from torch import Tensor

from rl.agent.actions.distribution import Actions

MASKED = -1e8  # logit of an action that is not allowed: its probability is exactly 0, and nothing becomes nan
ENTRY = "action_mask"  # name of the entry of an observation


def is_masked(logits: Tensor) -> bool:
    """Whether any of these logits [..., action] is that of an action that is not allowed."""
    return bool((logits <= MASKED / 2).any())


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


def mask_of(observations: gymnasium.Space, actions: Actions) -> ActionMask | None:
    """What reads the action mask of such observations; None where they have none.

    Raises:
        ValueError: such actions have no mask, or it has not one number for each of the policy head's.
    """
    for entry in getattr(observations, "entries", ()):
        if entry.name == ENTRY:
            if not actions.maskable:
                raise ValueError(f"the entry {ENTRY} goes with Discrete, MultiDiscrete and MultiBinary actions only")
            if entry.shape != (actions.head_size,):
                needed = f"one number for each of {actions.head_size} logits is needed"
                raise ValueError(f"the entry {ENTRY} has shape {entry.shape}: {needed}")
            return ActionMask(entry)
    return None
