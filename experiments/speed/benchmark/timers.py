"""Wrappers that add up the seconds that the wrapped object takes."""

import time
from typing import Any

import numpy as np

from rl.shared.arrays import SharedArrays


class TimedEnvironments:
    """A vector environment that adds up the seconds of its `step`."""

    def __init__(self, environments: Any) -> None:
        self.environments, self.seconds = environments, 0.0

    def step(self, actions: Any) -> Any:
        """Step the environments, and time it."""
        start = time.perf_counter()
        result = self.environments.step(actions)
        self.seconds += time.perf_counter() - start
        return result


class TimedLock:
    """The learner's lock in async mode; it adds up over all workers how long they wait for it and hold it.

    A worker takes it by `with`, to pull and to push by turns. The parent does neither, and its `acquire` is not timed.
    """

    def __init__(self, lock: Any) -> None:
        self.lock, self.turn = lock, 0  # this process pulls at turn 0 and pushes at turn 1
        self.taken = self.waited = 0.0
        # [pull or push, (acquisitions, seconds waited, seconds held)]; only the holder of the lock writes
        self.shared = SharedArrays({"spent": ((2, 3), np.float64)})

    def __enter__(self) -> None:
        start = time.perf_counter()
        self.lock.acquire()
        self.taken = time.perf_counter()
        self.waited = self.taken - start

    def __exit__(self, *_error: object) -> None:
        self.shared.spent[self.turn] += 1, self.waited, time.perf_counter() - self.taken
        self.turn = 1 - self.turn
        self.lock.release()

    def acquire(self, timeout: float) -> bool:
        """Take the lock, or give up after `timeout` seconds."""
        return self.lock.acquire(timeout=timeout)

    def release(self) -> None:
        self.lock.release()
