"""One observation is one array: which array stands for an observation of each space."""

from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete, MultiDiscrete

SUPPORTED = "Box of numbers, Discrete, MultiDiscrete"


def make_encoder(space: Space) -> "Numbers | OneHots | None":
    """Return what turns the observations of a space into arrays; None for a space that is not supported.

    Whoever has an environment's own observations encodes them with it: training, evaluation and a Player alike.
    """
    if array_box(space) is not None:
        return Numbers(space)
    return OneHots(space) if isinstance(space, Discrete | MultiDiscrete) else None


def array_box(space: Space) -> Box | None:
    """Return the Box of the arrays that stand for a Box's observations; None if the space is not a Box of numbers.

    A Box of one axis becomes float32. Any other Box keeps its shape and dtype, except that float64 becomes float32.
    The bounds stay, except that a bound beyond float32 becomes infinite.
    """
    if not isinstance(space, Box) or space.dtype.kind not in "biuf":
        return None
    wider = space.dtype.kind == "f" and space.dtype.itemsize > np.dtype(np.float32).itemsize
    if len(space.shape) != 1 and not wider:
        return space
    with np.errstate(over="ignore"):
        low, high = space.low.astype(np.float32), space.high.astype(np.float32)
    return Box(low, high, space.shape, dtype=np.float32)


class Numbers:
    """Copies an observation of a Box of numbers into a new array. `space` is the Box of the result."""

    def __init__(self, space: Box):
        self.space = array_box(space)
        self._dtype = self.space.dtype

    def __call__(self, observation: Any) -> np.ndarray:
        return np.array(observation, dtype=self._dtype)


class OneHots:
    """Turns a Discrete observation into a one-hot, and a MultiDiscrete one into its one-hots side by side.

    `space` is the Box of the result, float32 [feature].
    """

    def __init__(self, space: Discrete | MultiDiscrete):
        sizes = np.atleast_1d(space.n if isinstance(space, Discrete) else space.nvec).ravel()
        self._ones = np.cumsum(sizes) - sizes - np.ravel(space.start)  # value v has its one at this + v
        self.space = Box(0.0, 1.0, (int(sizes.sum()),), dtype=np.float32)

    def __call__(self, observation: Any) -> np.ndarray:
        row = np.zeros(self.space.shape, dtype=np.float32)
        row[self._ones + np.ravel(observation)] = 1.0
        return row
