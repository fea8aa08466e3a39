"""Observations disturbed by chance: the part that noise and flickering share, in single and in vector form."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector.utils import batch_space

from envs.cartpole.cartpole import CartPoleVectorEnv
from envs.vector.messages import env_name, one_line

# The number of observations per draw: a call of a generator costs as much as a hundred of its numbers.
BLOCK = 64


class Disturbance:
    """A change of observations by random numbers: how many it takes, and what they do."""

    def space(self, space: Box) -> Box:
        """Return the space of the disturbed observations, given that of the true ones."""
        raise TypeError(f"{type(self).__name__} must define space")

    def draw(self, generator: np.random.Generator) -> np.ndarray:
        """Draw the numbers for the next BLOCK observations, [BLOCK, number]."""
        raise TypeError(f"{type(self).__name__} must define draw")

    def disturb(self, observations: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Return the observations [..., feature] disturbed by the numbers [..., number], in a new array."""
        raise TypeError(f"{type(self).__name__} must define disturb")


class DisturbedObservation(gymnasium.Wrapper):
    """Disturbs every observation of a single environment, the first and the final one included.

    The numbers come from the environment's own generator. It draws a block of them when an episode opens, right after
    the first state, and another block after every BLOCK steps. Row t mod BLOCK belongs to observation t of the episode.
    The rest of a block is thrown away with its episode: only the generator crosses from one episode to the next.

    Raises:
        ValueError: the observation is not a 1-D Box.
    """

    def __init__(self, env: gymnasium.Env, disturbance: Disturbance):
        super().__init__(env)
        space, name = env.observation_space, type(self).__name__
        if not isinstance(space, Box) or len(space.shape) != 1:
            raise ValueError(f"{name} needs a 1-D Box observation; that of {env_name(env)} is {one_line(space)}")
        self._disturbance = disturbance
        self.observation_space = disturbance.space(space)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._elapsed = 0
        self._drawn = self._disturbance.draw(self.np_random)
        return self._disturbance.disturb(observation, self._drawn[0]), info

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._elapsed += 1
        row = self._elapsed % BLOCK
        if row == 0:
            self._drawn = self._disturbance.draw(self.np_random)
        return self._disturbance.disturb(observation, self._drawn[row]), reward, terminated, truncated, info


class DisturbedCartPoleVectorEnv(CartPoleVectorEnv):
    """A batch of cart-poles, each equal step for step to CartPole in a `DisturbedObservation`.

    The numbers of an observation depend on its column and its step only. `ColumnsVectorEnv` observes twice in a step
    that ends an episode, and the columns whose episodes continue show the same observation both times.
    """

    def __init__(self, disturbance: Disturbance, num_envs: int, **cartpole: Any):
        super().__init__(num_envs, **cartpole)
        self._disturbance = disturbance
        self.single_observation_space = disturbance.space(self.single_observation_space)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        # [(batch block), number]: a placeholder, drawn for its shape and dtype only.
        self._drawn = np.concatenate([disturbance.draw(np.random.default_rng(0))] * num_envs)
        self._first_rows = np.arange(num_envs) * BLOCK

    def _draw(self, columns: np.ndarray) -> None:
        for column in columns.tolist():
            self._drawn[column * BLOCK : (column + 1) * BLOCK] = self._disturbance.draw(self._generators[column])

    def _start_episodes(self, columns: np.ndarray) -> None:
        super()._start_episodes(columns)
        self._draw(columns)

    def _observe(self) -> np.ndarray:
        drawn = self._drawn.take(self._first_rows + self._elapsed % BLOCK, axis=0)  # a third of the time of indexing
        return self._disturbance.disturb(super()._observe(), drawn)

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        moved = super()._advance(actions)
        used_up = self._elapsed % BLOCK == 0
        if np.count_nonzero(used_up):
            self._draw(used_up.nonzero()[0])
        return moved
