"""Everything that the processes of a run share."""

from typing import Any

import numpy as np

from rl.config import Config
from rl.shared.arrays import SharedArrays
from rl.shared.ledger import Ledger
from rl.shared.locks import Gate, Lock
from rl.shared.published import Pages, Publication
from rl.shared.signs import WorkerSigns


class LearnerMemory:
    """The Learner's vectors, the ledger, and the lock that guards both; for sync, slots and gates too.

    Any process may be killed at any moment, also while it writes. So vectors and ledger are published together, and the
    kernel frees the lock when its holder ends.
    """

    def __init__(
        self,
        config: Config,
        parameters: int,
        reward_threshold: float | None = None,
        start_env_steps: int = 0,
        sums: int = 0,
    ) -> None:
        """Allocate for a network of so many parameters, and for so many running sums of observations and returns."""
        vector = ((parameters,), config.dtype)
        self.publication = Publication()
        self.ledger = Ledger(config, reward_threshold, self.publication, start_env_steps)
        layout = {"parameters": vector, "moment1": vector, "moment2": vector, "step": ((1,), "float32")}
        if sums:
            layout["sums"] = ((sums,), np.float64)
        self.vectors = Pages(self.publication, layout)
        # No pages: the parameters of the newest crossing, which nobody reads before that crossing is published.
        self.candidate = SharedArrays({"parameters": vector})
        self.lock: Any = Lock()
        self.signs = WorkerSigns(config.workers)
        if config.mode == "async":
            return
        workers, most_episodes = config.workers, max(1, config.segment_length) * config.envs_per_worker
        self.slots = SharedArrays(
            {
                "gradients": ((workers, parameters), config.dtype),
                "sums": ((workers, 3), np.float64),
                "tallies": ((workers, sums), np.float64),  # what each worker adds to the running sums
                "env_steps": ((workers,), np.int64),
                "losses": ((workers, len(config.algorithm_record.losses)), np.float64),
                "cpu_seconds": ((workers,), np.float64),
                "episodes": ((workers,), np.int64),  # how many ended
                "ended": ((workers, most_episodes, 2 + len(config.logged_infos)), np.float64),  # of each its `Episode`
            }
        )
        self.arrive = Gate()
        self.depart = [Gate() for _ in range(workers)]
