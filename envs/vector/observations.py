"""One observation is one array: which array stands for an observation of each space that has no entries."""

import math
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

from envs.vector.contract import WHOLE, bounds_of, kinds_for, why_not
from envs.vector.packing import BYTE, FLOAT

SUPPORTED = "Box of numbers, Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of these"
SIGNED = {"uint16": np.int32, "uint32": np.int64}
EXACT = 2**24  # float32 holds every whole number up to this


def array_encoder(space: Space) -> "Numbers | OneHots | Bits | None":
    """Return what turns the observations of a space without entries into arrays; None if it is not supported."""
    if array_box(space) is not None:
        return Numbers(space)
    if isinstance(space, MultiBinary):
        return Bits(space)
    return OneHots(space) if isinstance(space, Discrete | MultiDiscrete) else None


def array_box(space: Space) -> Box | None:
    """Return the Box of the arrays that stand for a Box's observations; None if the space is not a Box of numbers.

    A Box of one axis becomes float32. Any other Box keeps its shape and dtype, except that float64 and uint64 become
    float32, uint16 int32, and uint32 int64: torch can do little with unsigned numbers of more than a byte. The bounds
    stay, except that a bound beyond float32 becomes infinite.
    """
    if not isinstance(space, Box) or space.dtype.kind not in "biuf":
        return None
    if len(space.shape) != 1 and space.dtype.name in SIGNED:
        return Box(space.low, space.high, space.shape, dtype=SIGNED[space.dtype.name])
    wider = space.dtype.kind == "f" and space.dtype.itemsize > np.dtype(np.float32).itemsize
    if len(space.shape) != 1 and not wider and space.dtype != np.uint64:
        return space
    with np.errstate(over="ignore"):
        low, high = space.low.astype(np.float32), space.high.astype(np.float32)
    return Box(low, high, space.shape, dtype=np.float32)


def packable(box: Box) -> Box:
    """Return the Box of an array within a packed one: bytes and truth values are uint8, other numbers float32."""
    dtype = BYTE if box.dtype.kind == "b" or box.dtype == BYTE else FLOAT
    if box.dtype == dtype:
        return box
    with np.errstate(over="ignore"):  # a bound beyond float32 becomes infinite
        return Box(box.low.astype(dtype), box.high.astype(dtype), box.shape, dtype=dtype.type)


def lost_precision(space: Space, packed: bool = False) -> str:
    """Say in words what the arrays cannot hold of a space's observations; "" where they hold everything.

    Args:
        space: the environment's own.
        packed: whether its array is one within a packed array.
    """
    box = array_box(space)
    box = packable(box) if packed and box is not None else box
    if box is None or box.dtype in (space.dtype, BYTE) or box.dtype.kind in WHOLE:
        return ""
    if space.dtype.kind == "f":
        lost = space.dtype.itemsize > box.dtype.itemsize
        return f"observations of {space.dtype} are read as float32, which keeps 7 digits" if lost else ""
    low, high = int(space.low.min(initial=0)), int(space.high.max(initial=0))
    if max(-low, high) <= EXACT:
        return ""
    return f"observations of {space.dtype} up to {max(-low, high)} are read as float32, exact to {EXACT}"


class Numbers:
    """Copies an observation of a Box of numbers into a new array. `space` is the Box of the result.

    Raises:
        ValueError: the observation has another shape or kind of number, or would not fit into the array. Bounds are not
            looked at: `envs.vector.contract.Bounds` does so for a whole batch.
    """

    def __init__(self, space: Box):
        self.space, self.observed = array_box(space), space
        self._dtype, self._shape, self._kinds = self.space.dtype, space.shape, kinds_for(space)
        self._wraps = self._dtype.kind in WHOLE  # where a number too large would become another one

    def __call__(self, observation: Any) -> np.ndarray:
        array = np.asarray(observation)
        fits = array.shape == self._shape and array.dtype.kind in self._kinds
        if (not fits or (self._wraps and array.dtype != self._dtype)) and (reason := why_not(self.observed, array)):
            raise ValueError(reason)
        if array.dtype == self._dtype:
            return array.copy()
        with np.errstate(over="ignore"):  # an infinity, which is refused later
            return array.astype(self._dtype)


class OneHots:
    """Turns a Discrete observation into a one-hot, and a MultiDiscrete one into its one-hots side by side.

    `space` is the Box of the result, float32 [feature].

    Raises:
        ValueError: the observation is not one of its space.
    """

    def __init__(self, space: Discrete | MultiDiscrete):
        self.observed = space
        sizes = np.atleast_1d(space.n if isinstance(space, Discrete) else space.nvec).ravel()
        self._shape, (self._first, self._last) = space.shape, bounds_of(space)
        self._scalar = isinstance(space, Discrete)
        self._ones = np.cumsum(sizes) - sizes - np.ravel(space.start)  # value v has its one at this + v
        self.space = Box(0.0, 1.0, (int(sizes.sum()),), dtype=np.float32)

    def __call__(self, observation: Any) -> np.ndarray:
        row = np.zeros(self.space.shape, dtype=np.float32)
        if self._scalar and isinstance(observation, int | np.integer) and self._first <= observation <= self._last:
            row[observation - self._first] = 1.0  # five times as fast as what follows
            return row
        values = np.asarray(observation)
        fits = values.shape == self._shape and values.dtype.kind in WHOLE
        if not fits or np.count_nonzero((values < self._first) | (values > self._last)):
            raise ValueError(why_not(self.observed, values))
        row[self._ones + values.ravel()] = 1.0
        return row


class Bits:
    """Turns a MultiBinary observation into its zeros and ones side by side. `space` is their Box, float32 [feature].

    Raises:
        ValueError: the observation is not one of its space.
    """

    def __init__(self, space: MultiBinary):
        self.observed = space
        self.space = Box(0.0, 1.0, (math.prod(space.shape),), dtype=np.float32)

    def __call__(self, observation: Any) -> np.ndarray:
        if reason := why_not(self.observed, observation):
            raise ValueError(reason)
        return np.asarray(observation).ravel().astype(np.float32)
