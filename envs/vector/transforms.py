"""Transforms change what an agent observes. They know no environment, so whoever has its observations can apply them.

A transform is told which observations open an episode (`open`) and which follow a step (`step`), for whole batches. It
keeps whatever it must remember between two steps of a row. `envs.vector.chain` applies several, one after the other.
"""

from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete

from envs.vector.actions import Shown
from envs.vector.messages import one_line
from envs.vector.packing import Packed
from envs.vector.state import arrays_of, load_arrays


class Transform:
    """A change of observations; this one changes nothing. `space` is the space of one observation after it."""

    steps_differ = False  # whether an observation that follows a step is changed in another way than one that opens

    def __init__(self, space: Box):
        self.space = space

    def open(self, observations: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Change observations [number, feature] that open an episode.

        Args:
            observations: those of the rows that open an episode, in their order.
            rows: [batch] bool, which rows these are; the first call has all of them.
        """
        return observations

    def step(self, observations: np.ndarray, actions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        """Change observations [batch, feature] that follow actions [batch, ...], which earned rewards [batch]."""
        return observations

    def state_dict(self) -> dict[str, Any]:
        """Return what it remembers, in plain Python."""
        return arrays_of(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the `state_dict()` of an equal transform; this one must have opened episodes."""
        load_arrays(self, state)


class StackFrames(Transform):
    """Concatenates the last `frames` observations, oldest first; an episode's first stands in for those before it."""

    steps_differ = True

    def __init__(self, space: Box, frames: int):
        self.frames = frames
        self._stack: np.ndarray | None = None  # [batch, (frame feature)]
        super().__init__(box(np.tile(space.low, frames), np.tile(space.high, frames)))

    def open(self, observations: np.ndarray, rows: np.ndarray) -> np.ndarray:
        opened = np.tile(observations, self.frames)  # "number feature -> number (frame feature)"
        if self._stack is None:
            self._stack = opened.copy()
        else:
            self._stack[rows] = opened
        return opened

    def step(self, observations: np.ndarray, actions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        recent = self._stack[:, observations.shape[1] :]  # without the oldest frame
        self._stack = np.concatenate((recent, observations), axis=1)
        return self._stack.copy()


class PreviousAction(Transform):
    """Appends the previous action as `envs.vector.actions.Shown` shows it: zeros where an episode opens."""

    steps_differ = True

    def __init__(self, space: Box, actions: Space):
        self.shown, self._one_hot = Shown(actions), None
        if isinstance(actions, Discrete):  # five times as fast
            self._one_hot = np.eye(int(actions.n), dtype=np.float32)
        super().__init__(box(np.append(space.low, self.shown.low), np.append(space.high, self.shown.high)))

    def open(self, observations: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return with_zeros(observations, self.shown.size)

    def step(self, observations: np.ndarray, actions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        shown = self.shown(actions) if self._one_hot is None else self._one_hot[actions]
        return np.concatenate((observations, shown), axis=1)


class PreviousReward(Transform):
    """Appends the previous reward, as the environment gave it: zero where an episode opens."""

    steps_differ = True

    def __init__(self, space: Box):
        super().__init__(box(np.append(space.low, -np.inf), np.append(space.high, np.inf)))

    def open(self, observations: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return with_zeros(observations, 1)

    def step(self, observations: np.ndarray, actions: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        return np.concatenate((observations, rewards[:, None].astype(np.float32)), axis=1)  # "batch -> batch 1"


def with_zeros(observations: np.ndarray, columns: int) -> np.ndarray:
    """Append so many columns of zeros."""
    return np.concatenate((observations, np.zeros((len(observations), columns), dtype=np.float32)), axis=1)


def box(low: np.ndarray, high: np.ndarray) -> Box:
    """The space of float32 observations between these bounds [feature]."""
    return Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)


def is_vector(space: Box) -> bool:
    """Whether an observation is one vector, and not several entries or an array of other axes."""
    return len(space.shape) == 1 and not isinstance(space, Packed)


def require_one_axis(space: Box, option: str, env: str) -> None:
    """Refuse observations of another number of axes than one.

    Args:
        space: that of one observation.
        option: needs one axis.
        env: the name of the environment.

    Raises:
        ValueError: one line that names the option.
    """
    if not is_vector(space):
        raise ValueError(f"{option} needs observations of one axis, and one observation of {env} is {one_line(space)}")
