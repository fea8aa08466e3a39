"""TMaze: the agent must remember a sign at the start until it turns at the end of a corridor."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from envs.vector.columns import ColumnsVectorEnv

NORTH, EAST, SOUTH, WEST = range(4)
SIGNS = np.array([NORTH, SOUTH])
MOVES = np.array([0, 1, 0, -1])  # along the corridor; steps to the north and south lead somewhere at its end alone


class TMazeEnv(gymnasium.Env):
    """A corridor of `length` steps to the east, with an arm to the north and one to the south at its end.

    A sign at the first cell says which arm is the right one. The agent sees the sign in that cell alone. An episode
    is terminated by a step into an arm, and truncated after `max_steps` steps.

    Observation: float32 [4], a one-hot: the sign for north, the sign for south, a cell of the corridor, its end.
    Actions: a step to the north, east, south or west; a step into a wall does not move.
    Reward: 1 for the right arm, 0 for the wrong one and at all other steps. The optimum is 1. Without memory the sign
    is not known at the end of the corridor, and the expected return is at most 0.5.

    Source: Bakker (2001), "Reinforcement learning with long short-term memory", §4, figure 3, with other rewards:
    there 4 for the right arm, and -0.1 for the wrong one and for each step that does not move.

    Raises:
        ValueError: length < 1 or max_steps <= length.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own convention)

    def __init__(self, length: int = 10, max_steps: int = 100):
        self.observation_space, self.action_space = _spaces(length, max_steps)
        self._length, self._max_steps = length, max_steps

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._sign = int(self.np_random.random() >= 0.5)
        self._cell = self._elapsed = 0
        return self._observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        terminated = self._cell == self._length and action in (NORTH, SOUTH)
        reward = float(terminated and action == SIGNS[self._sign])
        self._cell = min(max(self._cell + int(MOVES[action]), 0), self._length)
        self._elapsed += 1
        return self._observe(), reward, terminated, self._elapsed == self._max_steps, {}

    def _observe(self) -> np.ndarray:
        observation = np.zeros(4, dtype=np.float32)
        place = self._sign if self._cell == 0 else 3 if self._cell == self._length else 2
        observation[place] = 1.0
        return observation


class TMazeVectorEnv(ColumnsVectorEnv):
    """A batch of `TMazeEnv`, equal to it step for step, with the same arguments."""

    def __init__(self, num_envs: int = 1, length: int = 10, max_steps: int = 100):
        super().__init__(num_envs, *_spaces(length, max_steps))
        self._length, self._max_steps = length, max_steps
        self._one_hot = np.eye(4, dtype=np.float32)
        self._sign = np.zeros(num_envs, dtype=np.int64)
        self._cell = np.zeros(num_envs, dtype=np.int64)
        self._elapsed = np.zeros(num_envs, dtype=np.int64)

    def _start_episodes(self, columns: np.ndarray) -> None:
        uniforms = np.array([self._generators[column].random() for column in columns.tolist()])
        self._sign[columns] = uniforms >= 0.5
        self._cell[columns] = self._elapsed[columns] = 0

    def _observe(self) -> np.ndarray:
        end = np.where(self._cell == self._length, 3, 2)
        return self._one_hot[np.where(self._cell == 0, self._sign, end)]

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        terminated = (self._cell == self._length) & (MOVES[actions] == 0)
        rewards = (terminated & (actions == SIGNS[self._sign])).astype(np.float64)
        self._cell = np.clip(self._cell + MOVES[actions], 0, self._length)
        self._elapsed += 1
        return rewards, terminated, self._elapsed == self._max_steps


def _spaces(length: int, max_steps: int) -> tuple[Box, Discrete]:
    for name, value, least in (("length", length, 1), ("max_steps", max_steps, length + 1)):
        if not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"TMaze needs {name} to be an integer of at least {least}, got {value!r}")
    return Box(0.0, 1.0, (4,), dtype=np.float32), Discrete(4)
