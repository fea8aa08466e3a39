"""Bringing any environment of Gymnasium to the contract of `envs.vector`."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

from envs.vector.columns import column_seeds
from envs.vector.messages import env_name, one_line


class FlatObservation(gymnasium.Wrapper):
    """Gives one environment's observations as fresh float32 rows [feature], and counts its actions from 0.

    A 1-D Box is cast, Discrete becomes a one-hot, MultiDiscrete the concatenation of its one-hots. Each row is a copy:
    some environments write the next observation into the array they gave last, which would change a final observation
    after the fact. Infos are dropped.

    Raises:
        ValueError: another observation space, or an action space that is not Discrete.
    """

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        observed, actions = env.observation_space, env.action_space
        name = env_name(env)
        if not isinstance(actions, Discrete):
            raise ValueError(f"{name} has actions {one_line(actions)}; supported: Discrete")
        self._first_action = int(actions.start)
        self.action_space = Discrete(int(actions.n))

        self._is_box = isinstance(observed, Box) and len(observed.shape) == 1 and observed.dtype.kind in "biuf"
        if self._is_box:
            with np.errstate(over="ignore"):  # a bound beyond float32 becomes infinite
                low, high = observed.low.astype(np.float32), observed.high.astype(np.float32)
            self.observation_space = Box(low, high, dtype=np.float32)
        elif isinstance(observed, Discrete | MultiDiscrete):
            sizes = np.atleast_1d(observed.n if isinstance(observed, Discrete) else observed.nvec).ravel()
            self._ones = np.cumsum(sizes) - sizes - np.ravel(observed.start)  # value v has its one at this + v
            self.observation_space = Box(0.0, 1.0, (int(sizes.sum()),), dtype=np.float32)
        else:
            supported = "1-D Box of numbers, Discrete, MultiDiscrete"
            raise ValueError(f"{name} has observations {one_line(observed)}; supported: {supported}")

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        return self._row(self.env.reset(seed=seed, options=options)[0]), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, _ = self.env.step(int(action) + self._first_action)
        return self._row(observation), reward, terminated, truncated, {}

    def _row(self, observation: Any) -> np.ndarray:
        if self._is_box:
            return np.array(observation, dtype=np.float32)
        row = np.zeros(self.observation_space.shape, dtype=np.float32)
        row[self._ones + np.ravel(observation)] = 1.0
        return row


class DenseFinalObs(VectorWrapper):
    """Gives the final observations of a SAME_STEP vector environment as one array, and nothing else in infos.

    Raises:
        ValueError: the autoreset mode is not SAME_STEP, or the spaces are not a 1-D float32 Box and Discrete from 0.
    """

    def __init__(self, env: VectorEnv):
        super().__init__(env)
        require_same_step(env)
        observed, actions = env.single_observation_space, env.single_action_space
        if not isinstance(observed, Box) or len(observed.shape) != 1 or observed.dtype != np.float32:
            raise ValueError(f"{env} has observations {one_line(observed)}; supported: 1-D float32 Box")
        if not isinstance(actions, Discrete) or actions.start != 0:
            raise ValueError(f"{env} has actions {one_line(actions)}; supported: Discrete from 0")

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        observations, _ = self.env.reset(seed=column_seeds(seed, self.num_envs), options=options)
        return np.array(observations, dtype=np.float32), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        # Copies at receipt: the environment may write its next step into the same arrays.
        observations = np.array(observations, dtype=np.float32)
        rewards, terminated, truncated = np.array(rewards), np.array(terminated), np.array(truncated)
        ended = terminated | truncated
        if not np.count_nonzero(ended):
            return observations, rewards, terminated, truncated, {}
        final = observations.copy()
        for column in ended.nonzero()[0]:
            final[column] = infos["final_obs"][column]
        return observations, rewards, terminated, truncated, {"final_obs": final, "_final_obs": ended}


def require_same_step(env: VectorEnv) -> None:
    """Raise a ValueError unless the environment resets within the step that ends an episode.

    NEXT_STEP, Gymnasium's default, adds to each episode a transition that never happened: action ignored, reward 0.
    """
    mode = env.metadata.get("autoreset_mode")
    if mode is not AutoresetMode.SAME_STEP:
        raise ValueError(f"{env} has autoreset mode {getattr(mode, 'name', mode)}; supported: SAME_STEP")
