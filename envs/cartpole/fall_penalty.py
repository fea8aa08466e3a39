"""FallPenaltyCartPole: CartPole in which a fall costs something (Zai & Brown 2020, chapter 5)."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.utils import RecordConstructorArgs

from envs.cartpole.cartpole import CartPoleVectorEnv


class FallPenalty(gymnasium.Wrapper, RecordConstructorArgs):
    """Replaces the reward of a step that terminates by −penalty. A step cut by a time limit keeps its reward."""

    def __init__(self, env: gymnasium.Env, penalty: float = 10.0):
        RecordConstructorArgs.__init__(self, penalty=penalty)
        gymnasium.Wrapper.__init__(self, env)
        self._penalty = float(penalty)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, -self._penalty if terminated else float(reward), terminated, truncated, info


class FallPenaltyCartPoleVectorEnv(CartPoleVectorEnv):
    """A batch of cart-poles whose reward for a fall is −penalty instead of 1."""

    def __init__(self, num_envs: int = 1, max_episode_steps: int = 500, penalty: float = 10.0):
        super().__init__(num_envs, max_episode_steps)
        self._penalty = float(penalty)

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rewards, terminated, truncated = super()._advance(actions)
        rewards[terminated] = -self._penalty
        return rewards, terminated, truncated


def make_fall_penalty_cartpole(penalty: float = 10.0, **kwargs: Any) -> gymnasium.Env:
    """Make the single form. A fall costs `penalty`; the other arguments are those of CartPole."""
    return FallPenalty(CartPoleEnv(**kwargs), penalty)
