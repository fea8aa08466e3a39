"""Random actions that an environment allows: those of its space, and of these those that its action mask allows."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete, MultiBinary
from gymnasium.vector import VectorEnv

from envs.vector.masks import Mask, choices
from envs.vector.packing import MASK, Packed


class RandomActions:
    """Draws a single environment's own actions, by the generator of its action space."""

    def __init__(self, env: gymnasium.Env, name: str):
        """Take the environment, and what messages call it."""
        self.space, self._mask = env.action_space, None
        self._read = Mask(env.action_space, name) if choices(env.action_space) else None

    def see(self, observation: Any, info: Any, call: str, over: bool = False) -> None:
        """Take the mask that came with an observation, if one did.

        Raises:
            BrokenContract: it is none, or allows no action although the episode goes on.
        """
        self._mask = None
        places = [one for one in (observation, info) if isinstance(one, dict) and MASK in one]
        if places and self._read:
            self._mask = self._read(places[0][MASK], call, over)

    def draw(self) -> Any:
        """An action."""
        return self.space.sample() if self._mask is None else allowed(self.space, self._mask)


def allowed(space: gymnasium.Space, mask: np.ndarray) -> Any:
    """A random action of a space that a mask [logit] allows."""
    if isinstance(space, MultiBinary):
        return space.sample() & mask.reshape(space.shape).astype(space.dtype)
    parts = np.split(mask, np.cumsum(choices(space))[:-1])
    numbers = np.array([space.np_random.choice(np.flatnonzero(part)) for part in parts])
    if isinstance(space, Discrete):
        return space.dtype.type(space.start + numbers[0])
    return (space.start + numbers.reshape(space.shape)).astype(space.dtype)


def vector_actions(vector: VectorEnv, observations: np.ndarray) -> np.ndarray:
    """Random actions [batch, ...] of a vector environment, each allowed by the mask in its observation."""
    space = vector.single_observation_space
    if not isinstance(space, Packed) or MASK not in space.named:
        return vector.action_space.sample()
    masks = dict(zip(space.named, space.views(observations), strict=True))[MASK]
    return np.stack([allowed(vector.single_action_space, mask) for mask in masks])
