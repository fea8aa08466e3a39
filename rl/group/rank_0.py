"""Worker 0 of a group: its process is started by the parent, as those of one machine are.

Nothing here imports torch before the worker watches its parent.
"""

import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from rl.config import Config
from rl.loop import Overrides, build_worker
from rl.running.worker import Workers, life, work
from rl.shared.learner_memory import LearnerMemory

if TYPE_CHECKING:
    import gymnasium

    from rl.record.worker_state import WorkerStates


def run_rank_0(
    rank: int,
    config: Config,
    make_environments: Callable[..., "gymnasium.vector.VectorEnv"],
    memory: LearnerMemory,
    training_key: int,
    overrides: Overrides,
    worker_states: "WorkerStates",
    channel: Connection,
) -> None:
    """Join the group as rank 0, tell the others what to do, then work as they do; arguments as of `run_worker`."""
    with life(rank, memory, channel):
        from rl.group.exchange import Group
        from rl.group.learner import grouped
        from rl.group.start import Start, tell

        group = Group(memory.signs)
        parameters, sums = memory.candidate.parameters.size, memory.slots.tallies.shape[1]
        env_steps, places = memory.ledger.env_steps, list(sys.path)
        tell(group, Start(config, parameters, sums, env_steps, training_key, worker_states, places))
        built = build_worker(rank, config, make_environments, memory, training_key, grouped(overrides, group))
        group.begin(config.worker_timeout)
        work(built, worker_states[rank], channel)


WORKERS_OF_GROUP = Workers(run_rank_0, in_group=True)
