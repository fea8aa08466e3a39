"""Actions as agents take them, and as an environment does: they count from 0, and numbers are float32."""

from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

from envs.vector.messages import one_line

SUPPORTED_ACTIONS = "Discrete, MultiDiscrete, MultiBinary, Box of floating-point numbers"
ENDLESS = 1e30  # a bound this large is none


class OwnActions:
    """Turns actions of `space`, as agents take them, into the environment's own: its start, its dtype, new arrays.

    `space` is Discrete and MultiDiscrete from 0, MultiBinary as it is, or a Box of float32.

    Raises:
        ValueError: the environment's space is of another kind.
    """

    def __init__(self, own: Space):
        self.own, self.start, self._counts = own, getattr(own, "start", 0), isinstance(own, Discrete)
        match own:
            case Discrete():
                self.space, self.start = Discrete(int(own.n)), int(own.start)
            case MultiDiscrete():
                self.space = MultiDiscrete(own.nvec)
            case MultiBinary():
                self.space = own
            case Box() if 0 in own.shape:
                raise ValueError(f"actions {one_line(own)}, which hold no number; at least one is needed")
            case Box() if own.dtype.kind == "f":
                with np.errstate(over="ignore"):  # a bound beyond float32 becomes infinite
                    low, high = own.low.astype(np.float32), own.high.astype(np.float32)
                self.space = Box(low, high, own.shape, dtype=np.float32)
            case _:
                raise ValueError(f"actions {one_line(own)}; supported: {SUPPORTED_ACTIONS}")

    def one(self, action: Any) -> Any:
        """The environment's own action, in the place of an agent's: a plain int where that is Discrete."""
        return int(action) + self.start if self._counts else self.batch(action)

    def batch(self, actions: np.ndarray) -> np.ndarray:
        """The same of actions [batch, ...], as an array."""
        if isinstance(self.space, Box):
            # float32 rounds the bounds of a wider Box, perhaps to the outside.
            return np.asarray(np.clip(np.asarray(actions, self.own.dtype), self.own.low, self.own.high))
        return (actions + self.start).astype(self.own.dtype)


class Shown:
    """Shows actions [batch, ...] of a space as numbers [batch, feature]: what an agent sees of its previous action.

    Discrete is a one-hot, MultiDiscrete its one-hots side by side, bits are themselves. An entry of a Box between two
    bounds becomes a number from −1 to 1, which are the bounds; one with a single bound is counted from there, −1 or 1;
    one without bounds is itself. `low` and `high` are the bounds of the result.
    """

    def __init__(self, space: Space):
        self.space = space
        if isinstance(space, Box):
            low, high = (np.ravel(bound).astype(np.float64) for bound in (space.low, space.high))
            below, above = low > -ENDLESS, high < ENDLESS
            both = below & above
            with np.errstate(invalid="ignore", over="ignore"):
                middle, half = (low + high) / 2, (high - low) / 2
            self.zero = np.select([both, below, above], [middle, low + 1.0, high - 1.0], 0.0)
            self.unit = np.where(both & (half > 0), half, 1.0)
            self.low, self.high = np.where(below, -1.0, -np.inf), np.where(above, 1.0, np.inf)
        else:
            sizes = np.ones(space.shape, int) if isinstance(space, MultiBinary) else getattr(space, "nvec", None)
            sizes = np.ravel(space.n if sizes is None else sizes)
            self._ones = np.cumsum(sizes) - sizes  # value v has its one at this + v
            self.low, self.high = np.zeros(sizes.sum()), np.ones(sizes.sum())
        self.size = len(self.low)

    def __call__(self, actions: np.ndarray) -> np.ndarray:
        """Actions [batch, ...] as float32 [batch, feature]."""
        rows = np.reshape(actions, (len(actions), -1))
        if isinstance(self.space, Box):
            return ((rows - self.zero) / self.unit).astype(np.float32)
        if isinstance(self.space, MultiBinary):
            return rows.astype(np.float32)
        shown = np.zeros((len(rows), self.size), dtype=np.float32)
        shown[np.arange(len(rows))[:, None], self._ones + rows] = 1.0
        return shown
