"""CartPole whose steps take time, as those of a real simulator do; its episodes are those of CartPole.

Importing this module registers `ExpensiveCartPole-v1`. Its name, `experiments.chapter5.expensive:ExpensiveCartPole-v1`,
makes workers import it, too.
"""

import math
import time

import gymnasium
import numpy as np

from envs.cartpole.fall_penalty import FallPenaltyCartPoleVectorEnv


class ExpensiveCartPoleVectorEnv(FallPenaltyCartPoleVectorEnv):
    """CartPole with −penalty for a fall, in which each environment's step computes for `compute_ms` milliseconds.

    A step computes and does not sleep, so processes that share a CPU wait for one another. The environments of a batch
    compute one after the other: a step of the batch takes num_envs x compute_ms. What a step returns does not depend on
    compute_ms; with 0 this is `FallPenaltyCartPoleVectorEnv`.

    Raises:
        ValueError: compute_ms is not a finite number of at least 0.
    """

    def __init__(self, num_envs: int = 1, max_episode_steps: int = 500, penalty: float = 10.0, compute_ms: float = 0.0):
        number = isinstance(compute_ms, int | float) and not isinstance(compute_ms, bool)
        if not number or not 0 <= compute_ms < math.inf:
            raise ValueError(f"compute_ms must be a number of milliseconds of at least 0, got {compute_ms!r}")
        super().__init__(num_envs, max_episode_steps, penalty)
        self._compute_seconds = compute_ms / 1000

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self._compute_seconds:
            compute(self.num_envs * self._compute_seconds)
        return super()._advance(actions)


def compute(seconds: float) -> None:
    """Keep this thread busy for so many CPU seconds."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


EXPENSIVE_ENV = "experiments.chapter5.expensive:ExpensiveCartPole-v1"
gymnasium.register(
    id="ExpensiveCartPole-v1",
    vector_entry_point="experiments.chapter5.expensive:ExpensiveCartPoleVectorEnv",
    max_episode_steps=500,
    reward_threshold=475.0,
)
