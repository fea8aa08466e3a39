"""A task that tests memory with actions of every kind: do what was shown two steps before."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, MultiBinary, MultiDiscrete

from envs.vector.columns import ColumnsVectorEnv

DELAY, STEPS = 2, 12
SPACES = {
    "numbers": (Box(-1, 1, (2,)), Box(np.array([-3.0, 0.0], np.float32), np.array([3.0, 4.0], np.float32))),
    "several": (Box(0, 1, (5,)), MultiDiscrete([2, 3])),
    "bits": (Box(-1, 1, (2,)), MultiBinary(2)),
}


class Echo(ColumnsVectorEnv):
    """Shows something new at each of 12 steps, and asks from the third on for what it showed two steps before.

    An episode of `several` or `bits` returns the share of right answers: 5/12 or 1/2 by chance. One of `numbers`
    returns minus the mean square of what the numbers miss, in units from −1 to 1: −1/3 for those who do not remember.
    """

    def __init__(self, num_envs=1, acts="numbers"):
        super().__init__(num_envs, *SPACES[acts])
        self._acts, size = acts, 2
        self._shown = np.zeros((num_envs, DELAY + 1, size))  # [batch, newest first, number]
        self._elapsed = np.zeros(num_envs, dtype=np.int64)

    def _draw(self, columns):
        draws = np.array([self._generators[column].random(2) for column in columns])
        counts = {"numbers": None, "several": [2, 3], "bits": [2, 2]}[self._acts]
        return 2 * draws - 1 if counts is None else np.floor(draws * counts)

    def _start_episodes(self, columns):
        self._shown[columns], self._elapsed[columns] = 0.0, 0
        self._shown[columns, 0] = self._draw(columns.tolist())

    def _observe(self):
        newest = self._shown[:, 0]
        if self._acts == "several":
            newest = np.concatenate([np.eye(n)[newest[:, k].astype(int)] for k, n in enumerate((2, 3))], axis=1)
        elif self._acts == "bits":
            newest = 2 * newest - 1
        return newest.astype(np.float32)

    def _advance(self, actions):
        asked, wanted = self._elapsed >= DELAY, self._shown[:, DELAY]
        if self._acts == "numbers":
            units = (actions - np.array([0.0, 2.0])) / np.array([3.0, 2.0])
            answers = -np.square(units - wanted).mean(axis=1)
        else:
            answers = (actions == wanted).mean(axis=1)
        self._elapsed = self._elapsed + 1
        self._shown = np.concatenate([self._draw(range(self.num_envs))[:, None], self._shown[:, :-1]], axis=1)
        none = np.zeros(self.num_envs, dtype=bool)
        return np.where(asked, answers / (STEPS - DELAY), 0.0), self._elapsed == STEPS, none


gymnasium.register("Echo-v0", vector_entry_point=Echo)
