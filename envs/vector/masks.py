"""Action masks: which actions an environment allows in a state, as zeros and ones, one a logit of the policy."""

import contextlib
import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

from envs.vector.messages import BrokenContract, in_short, one_line
from envs.vector.packing import MASK


def choices(actions: gymnasium.Space) -> tuple[int, ...]:
    """Return of how many actions one is taken, for each choice of an action; () where a mask means nothing.

    One of n for Discrete, several for MultiDiscrete. The bits of a MultiBinary are no choice: all may be masked.
    """
    if isinstance(actions, Discrete):
        return (int(actions.n),)
    if isinstance(actions, MultiDiscrete):
        return tuple(np.ravel(actions.nvec).tolist())
    return (1,) * math.prod(actions.shape) if isinstance(actions, MultiBinary) else ()


class Mask:
    """Turns what an environment gives as its action mask into uint8 [logit], and refuses what is none.

    Raises:
        BrokenContract: it is missing, has another length, has other values than 0 and 1, or allows no action.
    """

    def __init__(self, actions: gymnasium.Space, env: str):
        """Take the action space, which has `choices`, and the name of the environment."""
        self.actions, self.env, self._choices = actions, env, choices(actions)
        self._some_needed = not isinstance(actions, MultiBinary)
        self._starts = np.cumsum((0, *self._choices[:-1]))
        self.space = Box(0, 1, (sum(self._choices),), dtype=np.uint8)

    def __call__(self, given: Any, call: str = "step", over: bool = False) -> np.ndarray:
        """Return the mask as an array.

        Args:
            given: numbers or truth values; for several choices also one array of them for each, as Gymnasium has it.
            call: what gave it.
            over: the episode has ended, so that nothing is chosen any more: then a mask may be missing or empty.
        """
        size = self.space.shape[0]
        if given is None:
            if over:
                return np.ones(size, dtype=np.uint8)
            raise BrokenContract(f"{self.env}: {call} gave no {MASK} in its info, and the first reset did")
        try:
            parts = given if isinstance(given, tuple | list) else (given,)
            array = np.concatenate([np.ravel(part) for part in parts])
        except (TypeError, ValueError):
            array = np.empty(0)
        said = f"{self.env}: {call} gave the {MASK} {in_short(given)}"
        if array.shape != (size,) or array.dtype.kind not in "biuf":
            raise BrokenContract(f"{said}; {size} zeros and ones are needed for {one_line(self.actions)}")
        if np.count_nonzero((array != 0) & (array != 1)):
            raise BrokenContract(f"{said}; zeros and ones are needed")
        mask = array.astype(np.uint8)
        if self._some_needed and not (some := np.logical_or.reduceat(mask, self._starts)).all():
            if not over:
                raise BrokenContract(f"{said}, which allows no action; where none is left, the episode must have ended")
            mask |= np.repeat(~some, self._choices).astype(np.uint8)
        return mask


def asked_for_mask(env: gymnasium.Env | gymnasium.vector.VectorEnv) -> bool:
    """Return whether the infos of an environment's reset have an action mask; the environment is closed then.

    It is made for nothing else: a reset may change what comes after it.
    """
    try:
        answer = env.reset()
        return isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], dict) and MASK in answer[1]
    except Exception:  # a foreign environment may raise anything, and will do so again where that is said
        return False
    finally:
        with contextlib.suppress(Exception):
            env.close()
