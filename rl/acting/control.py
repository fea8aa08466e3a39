"""Players whose memory is meddled with. What a policy earns with them says whether it uses its memory."""

from typing import Any

import numpy as np
import torch

from rl.acting.player import AgentPlayer


class ResetPlayer(AgentPlayer):
    """The state is a fresh one before every step."""

    def act(self, observation: np.ndarray, is_first: np.ndarray | bool) -> np.ndarray:
        self.core_state = self.agent.initial_state(self.num_envs)
        return super().act(observation, is_first)


class FrozenPlayer(AgentPlayer):
    """The state of each row stays as it was after the first `steps` steps of its episode."""

    def __init__(self, *arguments: Any, steps: int, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.steps, self.age = steps, np.zeros(self.num_envs, dtype=np.int64)

    def act(self, observation: np.ndarray, is_first: np.ndarray | bool) -> np.ndarray:
        first = self.opens(is_first)
        self.age[first] = 0
        before = self.core_state
        action = super().act(observation, first)
        stays = torch.from_numpy(self.age >= self.steps)[None, :, None]  # batch -> 1 batch 1
        self.core_state = tuple(torch.where(stays, *parts) for parts in zip(before, self.core_state, strict=True))
        self.age += 1
        return action


class SwappedPlayer(AgentPlayer):
    """Each row goes on with the state of its neighbour, step after step: memories of what others saw."""

    def act(self, observation: np.ndarray, is_first: np.ndarray | bool) -> np.ndarray:
        self.core_state = tuple(part.roll(1, dims=1) for part in self.core_state)
        return super().act(observation, is_first)
