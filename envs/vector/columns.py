"""Vector environments written as array arithmetic: the part that all of them share."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.vector.state import arrays_of, load_arrays


class ColumnsVectorEnv(VectorEnv):
    """A batch of independent environments, one a column, each reset in the step that ends its episode.

    A column's trajectory depends on its seed and its actions only, never on its neighbours: each has its own generator.
    A subclass writes `_start_episodes`, `_observe` and `_advance`. Nothing checks that actions lie in the action space.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012 (Gymnasium's own convention)

    def __init__(self, num_envs: int, observation_space: Box, action_space: Space):
        self.num_envs = num_envs
        self.single_observation_space = observation_space
        self.single_action_space = action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self._generators: list[np.random.Generator] = []

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode in every column and return the observations [batch, ...].

        `seed` is one a column, or an int s for s, s + 1, ...; a column whose seed is None keeps its generator.
        """
        if options:
            raise ValueError(f"{type(self).__name__} takes no reset options, got {options}")
        seeds = column_seeds(seed, self.num_envs)
        old = self._generators or [None] * self.num_envs
        self._generators = [
            generator if generator is not None and s is None else np_random(s)[0]
            for generator, s in zip(old, seeds, strict=True)
        ]
        self._start_episodes(np.arange(self.num_envs))
        return self._observe(), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Move every column by one step with actions [batch, ...]; `make_vector` explains what is returned."""
        if not self._generators:
            raise ResetNeeded("call reset before step")
        rewards, terminated, truncated = self._advance(actions)
        observations = self._observe()
        ended = terminated | truncated
        if not np.count_nonzero(ended):  # a third of the time of ended.any()
            return observations, rewards, terminated, truncated, {}
        infos = {"final_obs": observations, "_final_obs": ended}
        if own := self._infos():
            infos["final_info"] = own
        self._start_episodes(ended.nonzero()[0])
        return self._observe(), rewards, terminated, truncated, infos

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every column and of its generator in plain Python; a reset must have come before."""
        return {"arrays": arrays_of(self), "generators": [one.bit_generator.state for one in self._generators]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the `state_dict()` of an equal environment; this one must have been reset."""
        load_arrays(self, state["arrays"])
        for generator, generator_state in zip(self._generators, state["generators"], strict=True):
            generator.bit_generator.state = generator_state

    def _start_episodes(self, columns: np.ndarray) -> None:
        """Draw a first state for these columns, each from its own generator."""
        raise TypeError(f"{type(self).__name__} must define _start_episodes")

    def _observe(self) -> np.ndarray:
        """Return the observations [batch, ...] of the present states, in a new array of the space's dtype."""
        raise TypeError(f"{type(self).__name__} must define _observe")

    def _infos(self) -> dict[str, np.ndarray]:
        """Return what else there is to say of an episode at its end, as arrays [batch]; read where episodes ended."""
        return {}

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Move every state by one step; return rewards, terminated and truncated, each [batch], in new arrays."""
        raise TypeError(f"{type(self).__name__} must define _advance")


def column_seeds(seed: int | Sequence[int | None] | None, num_envs: int) -> list[int | None]:
    """Return one seed a column, as the plain ints that Gymnasium insists on: an int s stands for s, s + 1, ..."""
    if seed is None:
        return [None] * num_envs
    seeds = range(int(seed), int(seed) + num_envs) if np.ndim(seed) == 0 else seed
    if len(seeds) != num_envs:
        raise ValueError(f"{len(seeds)} seeds for {num_envs} environments: pass one each, an int, or None")
    return [None if s is None else int(s) for s in seeds]
