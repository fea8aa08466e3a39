"""Environments whose last infos say something: as one environment, as a foreign vector environment, as columns."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from envs.vector.columns import ColumnsVectorEnv

STEPS = 4  # of an episode
SPACES = Box(0.0, 1.0, (1,)), Discrete(2)


class Informed(gymnasium.Env):
    """The first episode is a success, then each second one. Its infos are one dict, which the next reset empties."""

    observation_space, action_space = SPACES

    def __init__(self) -> None:
        self.episode, self.steps, self.infos = -1, 0, {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.episode, self.steps = self.episode + 1, 0
        self.infos.clear()
        return np.zeros(1, np.float32), self.infos

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        ended = self.steps == STEPS
        self.infos |= {
            "time": {"left": 10.0 - self.steps},
            "note": "three words only",
            "late": 1 / (4 - self.steps % 4),
        }
        if ended:
            self.infos |= {"success": self.episode % 2 == 0}
        return np.zeros(1, np.float32), 1.0, ended, False, self.infos


class InformedVector(SyncVectorEnv):
    """A vector environment of somebody else's."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(self, num_envs: int) -> None:
        super().__init__([Informed] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)


class InformedColumns(ColumnsVectorEnv):
    """The same as array arithmetic."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs, *SPACES)
        self.episodes, self.steps = np.full(num_envs, -1), np.zeros(num_envs, dtype=np.int64)

    def _start_episodes(self, columns: np.ndarray) -> None:
        self.episodes[columns] += 1
        self.steps[columns] = 0

    def _observe(self) -> np.ndarray:
        return np.zeros((self.num_envs, 1), np.float32)

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self.steps += 1
        return np.ones(self.num_envs), self.steps == STEPS, np.zeros(self.num_envs, bool)

    def _infos(self) -> dict[str, np.ndarray]:
        return {"success": self.episodes % 2 == 0, "time.left": 10.0 - self.steps, "late": np.ones(self.num_envs)}


gymnasium.register("Informed-v0", Informed)
gymnasium.register("InformedVector-v0", Informed, vector_entry_point=InformedVector)
gymnasium.register("InformedColumns-v0", Informed, vector_entry_point=InformedColumns)
FORMS = [f"tests.support.info_envs:{name}-v0" for name in ("Informed", "InformedVector", "InformedColumns")]
