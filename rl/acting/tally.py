"""Running sums of what is observed and earned, by which the Learner scales observations and rewards."""

from typing import Any

import numpy as np
from einops import rearrange

from rl.agent.scales import CLIPPED, COUNTS, Scales, sums_size


class Tally:
    """What a worker's environments add to the sums, until it is taken; rl/agent/scales.py says what the sums are."""

    def __init__(self, scales: Scales, batch: int, discount: float, clip_rewards: bool = False) -> None:
        """Begin with nothing.

        Args:
            scales: which sums are needed.
            batch: environments.
            discount: γ of the discounted returns.
            clip_rewards: whether learning sees rewards within ±1 only.
        """
        self.scales, self.scaled, self.numbers, self.returns = scales, scales.scaled, scales.numbers, scales.returns
        self.clip_rewards, self.discount, self.sums = clip_rewards, discount, np.zeros(sums_size(scales))
        self.discounted = np.zeros(batch)  # R of each environment

    def add(self, observations: np.ndarray, rewards: np.ndarray, ended: np.ndarray) -> None:
        """Count steps.

        Args:
            observations: [time, batch, *shape] that were acted on.
            rewards: [time, batch] that the actions earned.
            ended: [time, batch] bool, whether an episode ended there.
        """
        if self.numbers:
            seen = self.scales.floats(observations).astype(np.float64)
            self.sums[0] += len(seen)
            totals, squares = rearrange(self.sums[COUNTS:], "(kind number) -> kind number", kind=2)
            totals += np.where(self.scaled, seen.sum(axis=0), 0.0)  # the others: mean 0 and deviation 1
            squares += np.where(self.scaled, np.square(seen).sum(axis=0), len(seen))
        if self.returns:
            rewards = rewards.clip(-CLIPPED, CLIPPED) if self.clip_rewards else rewards
            returns = np.empty(rewards.shape)
            for row, earned, end in zip(returns, rewards, ended, strict=True):
                self.discounted *= self.discount
                self.discounted += earned
                row[:] = self.discounted
                self.discounted[end] = 0.0
            self.sums[1] += returns.size
            self.sums[2] += returns.sum()
            self.sums[3] += np.square(returns).sum()

    def take(self) -> np.ndarray:
        """The sums since they were taken last."""
        taken, self.sums = self.sums, np.zeros_like(self.sums)
        return taken

    def state(self) -> dict[str, Any]:
        """What is not taken yet, and the discounted returns, in plain Python."""
        return {"sums": self.sums.tolist(), "discounted": self.discounted.tolist()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from `state()`."""
        self.sums[:], self.discounted[:] = state["sums"], state["discounted"]
