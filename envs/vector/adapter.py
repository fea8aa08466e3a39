"""Adapters bring any environment of Gymnasium, single or vector, to the contract of `make_vector`."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from envs.vector.autoreset import require_same_step
from envs.vector.columns import column_seeds
from envs.vector.messages import env_name, one_line
from envs.vector.observations import SUPPORTED, array_box, make_encoder


class SingleAdapter(gymnasium.Wrapper):
    """Gives one environment's observations as new arrays, counts its actions from 0, and drops its infos.

    `envs.vector.observations` says which array stands for which observation. Each array is a copy: some environments
    write the next observation into the array that they gave last, which would change a final observation afterwards.

    Raises:
        ValueError: the observation space is none of those supported, or the action space is not Discrete.
    """

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        observed, actions = env.observation_space, env.action_space
        name = env_name(env)
        if not isinstance(actions, Discrete):
            raise ValueError(f"{name} has actions {one_line(actions)}; supported: Discrete")
        self._first_action = int(actions.start)
        self.action_space = Discrete(int(actions.n))

        self._array_of = make_encoder(observed)
        if self._array_of is None:
            raise ValueError(f"{name} has observations {one_line(observed)}; supported: {SUPPORTED}")
        self.observation_space = self._array_of.space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        return self._array_of(self.env.reset(seed=seed, options=options)[0]), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, _ = self.env.step(int(action) + self._first_action)
        return self._array_of(observation), reward, terminated, truncated, {}


class VectorAdapter(VectorWrapper):
    """Gives the arrays of a SAME_STEP vector environment as copies, its final observations among them.

    Infos hold nothing else. `envs.vector.observations` says which array stands for which observation.

    Raises:
        ValueError: the autoreset mode is not SAME_STEP, or the spaces are not a Box of numbers and Discrete from 0.
    """

    def __init__(self, env: VectorEnv):
        super().__init__(env)
        require_same_step(env)
        observed, actions = env.single_observation_space, env.single_action_space
        box = array_box(observed)
        if box is None:
            raise ValueError(f"{env} has observations {one_line(observed)}; supported: Box of numbers")
        if not isinstance(actions, Discrete) or actions.start != 0:
            raise ValueError(f"{env} has actions {one_line(actions)}; supported: Discrete from 0")
        self._dtype = box.dtype
        self.single_observation_space, self.observation_space = box, batch_space(box, env.num_envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        observations, _ = self.env.reset(seed=column_seeds(seed, self.num_envs), options=options)
        return np.array(observations, dtype=self._dtype), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        # Copies at receipt: the environment may write its next step into the same arrays.
        observations = np.array(observations, dtype=self._dtype)
        rewards, terminated, truncated = np.array(rewards), np.array(terminated), np.array(truncated)
        ended = terminated | truncated
        if not np.count_nonzero(ended):
            return observations, rewards, terminated, truncated, {}
        final = observations.copy()
        for column in ended.nonzero()[0]:
            final[column] = infos["final_obs"][column]
        return observations, rewards, terminated, truncated, {"final_obs": final, "_final_obs": ended}
