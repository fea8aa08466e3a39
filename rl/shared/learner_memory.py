"""What the processes of a run share: flat vectors, slots, a lock. Numpy only: a worker is up before torch is.

Any of them may be killed at any moment, also while it writes. So what is shared is changed in pages: the new content
goes to a page that nobody reads, and one store of one number makes it the valid one. And the lock is the kernel's: it
is free again when its holder has ended, however it ended.
"""

from typing import Any

import numpy as np

from rl.config import Config
from rl.shared.arrays import SharedArrays
from rl.shared.locks import Gate, Lock
from rl.shared.signs import WorkerSigns


class LearnerMemory:
    """The Learner's vectors and the lock that guards them; for sync, slots and gates too."""

    def __init__(self, config: Config, parameters: int) -> None:
        """Allocate for a network of so many parameters."""
        vector = ((parameters,), config.dtype)
        layout = {"parameters": vector, "moment1": vector, "moment2": vector, "step": ((1,), "float32")}
        # Two pages: an update is written to the other one, which the ledger makes valid together with its entry.
        self.vectors = SharedArrays(layout), SharedArrays(layout)
        self.candidate = SharedArrays({"parameters": vector})  # those of the last crossing
        self.lock: Any = Lock()
        self.signs = WorkerSigns(config.workers)
        if config.mode == "async":
            return
        workers, most_episodes = config.workers, max(1, config.segment_length) * config.envs_per_worker
        self.slots = SharedArrays(
            {
                "gradients": ((workers, parameters), config.dtype),
                "sums": ((workers, 3), np.float64),
                "env_steps": ((workers,), np.int64),
                "losses": ((workers, len(config.algorithm_record.losses)), np.float64),
                "cpu_seconds": ((workers,), np.float64),
                "episodes": ((workers,), np.int64),  # how many, and their returns and lengths
                "ended": ((workers, most_episodes, 2), np.float64),
            }
        )
        self.arrive = Gate()
        self.depart = [Gate() for _ in range(workers)]
