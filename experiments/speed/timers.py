"""Stand-ins that do what they stand for and add up the seconds that it takes."""

import time
from typing import Any

import numpy as np

from rl.shared.arrays import SharedArrays


class TimedEnvironments:
    """A vector environment that counts the seconds in its `step`."""

    def __init__(self, environments: Any) -> None:
        self.environments, self.seconds = environments, 0.0

    def step(self, actions: Any) -> Any:
        """Step, timed."""
        start = time.perf_counter()
        result = self.environments.step(actions)
        self.seconds += time.perf_counter() - start
        return result


class TimedLock:
    """The learner's lock in async mode, which adds up over all workers how long they wait for it and hold it.

    A worker takes it by `with`, to pull and to push by turns. The parent does neither; its `acquire` is not timed.
    """

    def __init__(self, lock: Any) -> None:
        self.lock, self.turn = lock, 0  # turn: of this process, 0 to pull, 1 to push
        self.taken = self.waited = 0.0
        # [pull or push, (acquisitions, seconds waited, seconds held)], written by whoever holds the lock
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
        """Take the lock, or give up after so many seconds."""
        return self.lock.acquire(timeout=timeout)

    def release(self) -> None:
        """Give it back."""
        self.lock.release()
