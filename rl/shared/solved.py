"""When a run counts as solved."""

from typing import Any

import numpy as np

from rl.config import Config
from rl.shared.published import Pages, published

_IDLE, _PENDING, _SOLVED = range(3)  # of an attempt


class Crossings:
    """The mean return of the newest episodes crosses the threshold, and fresh episodes confirm the crossing, or not.

    The newest episodes are max(100, 2 · environments).
    """

    def __init__(self, pages: Pages, config: Config, reward_threshold: float | None) -> None:
        """Take the ledger's pages, which hold the `layout`."""
        self.pages, self.episodes, self.threshold = pages, episodes_that_decide(config), reward_threshold

    @staticmethod
    def layout(config: Config) -> dict[str, Any]:
        """Arrays of the ledger's pages."""
        return {
            "returns": ((episodes_that_decide(config),), np.float64),
            "returns_seen": ((1,), np.int64),  # since an attempt failed
            "attempt": ((1,), np.int64),
            "crossing": ((3,), np.float64),  # env steps, seconds, mean return
        }

    @published
    def add(self, returns: np.ndarray) -> None:
        """Enter the returns of episodes in the order in which they ended."""
        now, newest = self.pages.now, returns[-self.episodes :]
        now.returns_seen[0] += len(returns)
        now.returns[(now.returns_seen[0] + np.arange(-len(newest), 0)) % self.episodes] = newest

    @property
    def mean_return(self) -> float | None:
        """Mean return of the newest episodes, or None while they are too few."""
        now = self.pages.now
        return float(now.returns.mean()) if now.returns_seen[0] >= self.episodes else None

    @published
    def begin(self, env_steps: int, seconds: float) -> bool:
        """Whether the mean return has just reached the threshold; if so, an attempt is pending until `judge`."""
        if self.threshold is None or self.pages.now.attempt[0] != _IDLE:
            return False
        mean = self.mean_return
        if mean is None or mean < self.threshold:
            return False
        self.pages.now.crossing[:] = env_steps, seconds, mean
        self.pages.now.attempt[0] = _PENDING
        return True

    @published
    def judge(self, confirmed: bool) -> None:
        """Settle the pending attempt; after one that failed, the newest episodes are counted from 0 again."""
        if not confirmed:
            self.pages.now.returns_seen[0] = 0
        self.pages.now.attempt[0] = _SOLVED if confirmed else _IDLE

    @property
    def any_episode(self) -> bool:
        """Whether an episode has ended since the beginning, or since an attempt failed."""
        return bool(self.pages.now.returns_seen[0])

    @property
    def pending(self) -> bool:
        """Whether a crossing waits for its verdict."""
        return bool(self.pages.now.attempt[0] == _PENDING)

    @property
    def confirmed(self) -> bool:
        """Whether a crossing was confirmed: the run is solved."""
        return bool(self.pages.now.attempt[0] == _SOLVED)

    @property
    def newest(self) -> tuple[int, float, float]:
        """Env steps, seconds and mean return of the newest crossing."""
        env_steps, seconds, mean = self.pages.now.crossing
        return int(env_steps), float(seconds), float(mean)


def episodes_that_decide(config: Config) -> int:
    """How many of the newest episodes are compared with the threshold."""
    return max(100, 2 * config.total_environments)
