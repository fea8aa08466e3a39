"""What an environment gives is compared with what it said: shapes, kinds of numbers, bounds, rewards, flags.

Infinities and nan are refused in every space, since no network can learn from them.
"""

from collections.abc import Sequence
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import logger
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from envs.vector.entries import leaves
from envs.vector.messages import BrokenContract, in_short
from envs.vector.packing import Packed

WHOLE = "biu"  # kinds of NumPy's dtypes that hold whole numbers
LARGE = 4096  # numbers, from which on a minimum is cheaper than a comparison of each
LARGEST = float(np.finfo(np.float32).max)
MOST_BITS = 1000  # of a whole number that a float can hold
FLAGS = (bool, np.bool_)


def kinds_for(space: gymnasium.Space) -> str:
    """Return the kinds of dtypes in which a space's observations may come: a float space takes whole numbers too."""
    return "biuf" if space.dtype.kind == "f" else WHOLE


def why_not(space: gymnasium.Space, observation: Any) -> str:
    """Say in words why an observation is not one of its space; "" if it is one."""
    if isinstance(space, Dict | Tuple):
        return _why_not_entries(space, observation)
    if not isinstance(space, Box | Discrete | MultiDiscrete | MultiBinary):
        return "" if space.contains(observation) else "it is of another kind"
    try:
        array = np.asarray(observation)
    except ValueError as error:  # rows of different lengths
        return f"it is no array ({in_short(error)})"
    if array.dtype.kind not in kinds_for(space):
        return f"it is of {array.dtype}, and the space is of {space.dtype}"
    if array.shape != tuple(space.shape):
        return f"its shape is {array.shape}, and that of the space is {tuple(space.shape)}"
    low, high = bounds_of(space)
    outside = ~((array >= low) & (array <= high) & np.isfinite(array))
    if not outside.any():
        return ""
    place = tuple(int(index) for index in np.argwhere(outside)[0])
    bounds = f"{np.broadcast_to(low, array.shape)[place]} to {np.broadcast_to(high, array.shape)[place]}"
    entry = f"entry {', '.join(map(str, place))} is {array[place]}" if place else f"it is {array[()]}"
    return f"{entry}, and a finite number from {bounds} is needed"


def _why_not_entries(space: Dict | Tuple, observation: Any) -> str:
    for leaf in leaves(space):
        try:
            value = leaf.of(observation)
        except ValueError as error:
            return str(error)
        if reason := why_not(leaf.space, value):
            return f"entry {leaf.name}: {reason}"
    return ""


def bounds_of(space: Box | Discrete | MultiDiscrete | MultiBinary) -> tuple[Any, Any]:
    """Return the least and the greatest values of a space."""
    if isinstance(space, Box):
        return space.low, space.high
    if isinstance(space, MultiBinary):
        return 0, 1
    if isinstance(space, Discrete):
        return int(space.start), int(space.start + space.n) - 1
    return space.start, space.start + space.nvec - 1


def not_in(env: str, what: str, observation: Any, space: gymnasium.Space, reason: str) -> BrokenContract:
    """Return the error of an observation that is not one of its space.

    Args:
        env: the name of the environment.
        what: where the observation came from, as "step".
        observation: the observation.
        space: the environment's.
        reason: what is wrong with it, in words.
    """
    return BrokenContract(f"{env}: {what} gave {in_short(observation)}, which is not in {in_short(space)}: {reason}")


class Bounds:
    """Checks a whole batch of observations against a Box, in a few calls whatever the number of rows.

    A finite floating-point number out of bounds is taken as it is, and said once: bounds of such numbers are often
    guesses (Gymnasium's LunarLander leaves its own), and a run of hours must not end by one.
    """

    said = False  # that a number is out of bounds

    def __init__(self, env: str, box: Box, space: gymnasium.Space):
        """Take the name of the environment, the Box of its arrays, and its own space for the message."""
        self.env, self.box, self.space = env, box, space
        self.low, self.high, self.everything = box.low, box.high, False
        if box.dtype.kind == "f":  # these two comparisons refuse infinities and nan as well
            largest = np.finfo(box.dtype).max
            self.low, self.high = np.maximum(box.low, -largest), np.minimum(box.high, largest)
        lows, highs = np.unique(self.low), np.unique(self.high)
        self.uniform = (lows[0], highs[0]) if len(lows) == len(highs) == 1 else ()  # the bounds of all entries
        if box.dtype.kind != "f":
            least, most = (0, 1) if box.dtype.kind == "b" else (np.iinfo(box.dtype).min, np.iinfo(box.dtype).max)
            self.everything = bool((box.low == least).all() and (box.high == most).all())  # as uint8 from 0 to 255

    def check(self, observations: np.ndarray, what: str) -> None:
        """Refuse observations [batch, ...] of which one is outside, or only say so once if it is a finite float.

        Raises:
            BrokenContract: one is outside and whole, or is no finite number.
        """
        if self.everything and observations.dtype == self.box.dtype:
            return
        if self.uniform and observations.size > LARGE:
            lowest, highest = self.uniform
            if observations.min() >= lowest and observations.max() <= highest:  # nan is neither
                return
        inside = (observations >= self.low) & (observations <= self.high)
        if np.count_nonzero(inside) != inside.size:
            tolerable = self.space.dtype.kind == "f" and np.isfinite(observations).all()
            if tolerable and self.said:
                return
            row = observations[np.argwhere(~inside)[0][0]]
            line = not_in(self.env, what, row, self.space, why_not(self.box, row))
            if not tolerable:
                raise line
            logger.warn(f"{line}; such numbers are taken as they are, and each process says so once")
            self.said = True


class PackedBounds:
    """Checks each entry of a whole batch of packed observations against its Box."""

    def __init__(self, env: str, space: Packed, observed: Sequence[gymnasium.Space]):
        """Take the name of the environment, the space, and those of its first entries; one-hots and masks are exact."""
        pairs = zip(space.boxes, observed, strict=False)
        self._bounds = [Bounds(env, box, own) if isinstance(own, Box) else None for box, own in pairs]
        self._space = space

    def check(self, observations: np.ndarray, what: str) -> None:
        """Refuse observations [batch, number] of which one is outside, as `Bounds.check`."""
        for entry, view, bounds in zip(
            self._space.entries, self._space.views(observations), self._bounds, strict=False
        ):
            if bounds:
                bounds.check(view, f"entry {entry.name} of {what}")


def check_rewards(env: str, rewards: np.ndarray) -> None:
    """Refuse rewards [batch] of which one is nan, infinite, or too large for float32.

    Raises:
        BrokenContract: names the environment and the reward.
    """
    finite = np.abs(rewards) <= LARGEST
    if np.count_nonzero(finite) != finite.size:
        wrong = rewards[~finite][0]
        raise BrokenContract(f"{env}: step gave the reward {wrong}; a finite number is needed (float32)")


def reward_number(env: str, reward: SupportsFloat) -> float:
    """Return a reward as a number.

    Raises:
        BrokenContract: it is none.
    """
    if isinstance(reward, int) and reward.bit_length() > MOST_BITS:
        raise BrokenContract(f"{env}: step gave a reward of {reward.bit_length()} bits; a finite number is needed")
    if isinstance(reward, float | int | np.number | np.bool_) and not isinstance(reward, np.complexfloating):
        return reward
    if isinstance(reward, SupportsFloat) and getattr(reward, "shape", ()) == ():
        try:
            return float(reward)
        except (TypeError, ValueError, OverflowError):
            pass
    raise BrokenContract(f"{env}: step gave the reward {in_short(reward)}; a number is needed")


def check_flags(env: str, terminated: Any, truncated: Any) -> None:
    """Refuse flags of a step that are no bools.

    Raises:
        BrokenContract: names the environment and the flag.
    """
    for name, flag in (("terminated", terminated), ("truncated", truncated)):
        if type(flag) not in FLAGS and not (isinstance(flag, np.ndarray) and flag.dtype.kind == "b" and flag.ndim == 0):
            raise BrokenContract(f"{env}: step gave {name} {in_short(flag)}; True or False is needed")


def check_batch(env: str, name: str, array: Any, shape: tuple[int, ...], kinds: str) -> np.ndarray:
    """Return what a vector environment gave as a new array.

    Raises:
        BrokenContract: it has another shape or another kind of dtype than is needed.
    """
    try:
        array = np.array(array)
    except ValueError as error:
        raise BrokenContract(f"{env}: {name} is no array ({in_short(error)}); shape {shape} is needed") from None
    if array.shape != shape or array.dtype.kind not in kinds:
        needed = f"shape {shape} and a dtype of {' or '.join(_KINDS[kind] for kind in kinds)}"
        raise BrokenContract(f"{env}: {name} has shape {array.shape} and dtype {array.dtype}; {needed} is needed")
    return array


_KINDS = {"b": "bools", "i": "whole numbers", "u": "unsigned whole numbers", "f": "floating-point numbers"}
