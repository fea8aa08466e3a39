"""What the processes of a run share: flat vectors, slots, a lock. Numpy only: a worker is up before torch is."""

import contextlib
import multiprocessing
import os
from typing import Any

import numpy as np

from rl.config import Config

_ACTOR_CRITIC = ("policy_loss", "value_loss", "entropy", "explained_variance")
_Q_LEARNING = ("td_loss", "q_values", "explained_variance")
LOSSES = {  # what each algorithm logs of a loss
    "a2c": _ACTOR_CRITIC,
    "a2c_replay": (*_ACTOR_CRITIC, "state_age"),
    "q_online": _Q_LEARNING,
    "q_replay": (*_Q_LEARNING, "state_age"),
}
SPAWN = multiprocessing.get_context("spawn")  # never fork: a fork after an LSTM call hangs (pytorch/pytorch#123828)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class SharedArrays:
    """Named numpy arrays in one block of memory; spawned workers inherit it, and no kill leaves any of it behind."""

    def __init__(self, layout: dict[str, tuple[tuple[int, ...], Any]]) -> None:
        """Allocate zeros.

        Args:
            layout: name -> (shape, dtype).
        """
        self._layout = {name: (shape, np.dtype(dtype)) for name, (shape, dtype) in layout.items()}
        self._block = SPAWN.RawArray("b", sum(self._bytes(*entry) for entry in self._layout.values()))
        self._map()

    @staticmethod
    def _bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
        return -(-int(np.prod(shape)) * dtype.itemsize // 64) * 64  # whole cache lines: no two arrays share one

    def _map(self) -> None:
        offset = 0
        for name, (shape, dtype) in self._layout.items():
            setattr(self, name, np.frombuffer(self._block, dtype, int(np.prod(shape)), offset).reshape(shape))
            offset += self._bytes(shape, dtype)

    def __getstate__(self) -> dict[str, Any]:
        return {"_layout": self._layout, "_block": self._block}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._map()


class LearnerMemory:
    """The Learner's vectors and the lock that guards them; for sync, slots and gates too."""

    def __init__(self, config: Config, parameters: int) -> None:
        """Allocate for a network of so many parameters."""
        vector = ((parameters,), config.dtype)
        self.vectors = SharedArrays(
            {"parameters": vector, "moment1": vector, "moment2": vector, "candidate": vector, "step": ((1,), "float32")}
        )
        self.lock: Any = contextlib.nullcontext() if config.mode == "serial" else SPAWN.Lock()
        self.depart: list[Any] = []
        if config.mode == "async":
            return
        workers, most_episodes = config.workers, max(1, config.segment_length) * config.envs_per_worker
        self.slots = SharedArrays(
            {
                "gradients": ((workers, parameters), config.dtype),
                "sums": ((workers, 3), np.float64),
                "env_steps": ((workers,), np.int64),
                "losses": ((workers, len(LOSSES[config.algorithm])), np.float64),
                "core_seconds": ((workers,), np.float64),
                "episodes": ((workers,), np.int64),  # how many, and their returns and lengths
                "ended": ((workers, most_episodes, 2), np.float64),
            }
        )
        if config.mode == "sync":  # else nobody waits, and semaphores would outlive a process that is killed
            self.arrive = SPAWN.Semaphore(0)
            self.depart = [SPAWN.Semaphore(0) for _ in range(workers)]
