"""Velocities are hidden: one observation then does not say which way things move, so that an agent needs memory."""

from collections.abc import Sequence

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.utils import RecordConstructorArgs

from envs.masked.entries import ENTRIES, HIDES, VELOCITY_INDICES
from envs.vector.messages import env_name, one_line

__all__ = ["VELOCITY_INDICES", "MaskVelocity"]


class MaskVelocity(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """Removes the velocities from a 1-D observation, or zeroes them.

    Args:
        env: a single environment whose observation space is a 1-D Box.
        indices: the entries to hide. None looks them up by id: it knows the environments of classic control, Box2D and
            MuJoCo that are in `envs.masked.entries`.
        zero: keep the shape and write 0 there, instead of removing the entries.
        hide: what is hidden where `indices` is None: "velocities" or "positions".

    Raises:
        ValueError: the observation is not a 1-D Box; the environment is unknown and `indices` is None; an index is out
            of range or given twice; no entry is left.
    """

    def __init__(
        self, env: gymnasium.Env, indices: Sequence[int] | None = None, zero: bool = False, hide: str = "velocities"
    ):
        # A list, as JSON gives it back: a spec that went through JSON must equal this one.
        saved = None if indices is None else [int(index) for index in indices]
        RecordConstructorArgs.__init__(self, indices=saved, zero=zero, hide=hide)
        gymnasium.ObservationWrapper.__init__(self, env)
        space = env.observation_space
        name = env_name(env)
        if not isinstance(space, Box) or len(space.shape) != 1:
            raise ValueError(f"MaskVelocity needs a 1-D Box observation; that of {name} is {one_line(space)}")
        features = space.shape[0]
        hidden = _known_indices(env, name, hide) if saved is None else saved
        if wrong := [index for index in hidden if not 0 <= index < features]:
            raise ValueError(f"MaskVelocity indices {wrong} are out of range 0..{features - 1} for {name}")
        if len(set(hidden)) != len(hidden):
            raise ValueError(f"MaskVelocity indices {list(hidden)} for {name} name an entry twice")
        if len(hidden) == features and not zero:
            raise ValueError(f"MaskVelocity indices {list(hidden)} leave nothing to see of {name}")

        self._zero = zero
        self._hidden = np.array(hidden, dtype=np.int64)
        self._kept = np.setdiff1d(np.arange(features), self._hidden)
        self.observation_space = Box(self.observation(space.low), self.observation(space.high), dtype=space.dtype)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        """Return the observation without its velocities, as a new array."""
        if not self._zero:
            return observation[self._kept]
        observation = observation.copy()
        observation[self._hidden] = 0
        return observation


def _known_indices(env: gymnasium.Env, name: str, hide: str) -> Sequence[int]:
    if hide not in HIDES:
        raise ValueError(f"MaskVelocity hide {hide!r}: one of {', '.join(HIDES)} is needed")
    if name not in ENTRIES:
        known = ", ".join(ENTRIES)
        raise ValueError(f"MaskVelocity does not know the velocities of {name}: pass indices=(...). It knows {known}")
    if env.observation_space.shape != env.unwrapped.observation_space.shape:
        raise ValueError(f"MaskVelocity knows {name}, but other wrappers changed its observation: pass indices=(...)")
    return ENTRIES[name][HIDES[hide]]
