"""The life of a worker process."""

import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from rl.config import Config
from rl.shared.learner_memory import LearnerMemory
from rl.shared.ledger import Ledger

if TYPE_CHECKING:
    import gymnasium

from rl.loop import Overrides, build_worker, run_work

BEAT_SECONDS = 0.25


class GroupLost(ConnectionError):
    """Workers of other machines are gone or do not answer; says in one line who."""

    def __init__(self, words: str, failed: bool = False) -> None:
        """With that line.

        Args:
            words: the line.
            failed: whether one of them has said that it failed.
        """
        super().__init__(words)
        self.failed = failed


def run_worker(
    rank: int,
    config: Config,
    make_environments: Callable[..., "gymnasium.vector.VectorEnv"],
    memory: LearnerMemory,
    ledger: Ledger,
    training_key: int,
    parts: Overrides,
    standing: list[bytes | None],
    in_group: bool,
    channel: Connection,
) -> None:
    """The life of a worker process: get ready, wait for the start, run segments, report what went wrong.

    Args:
        rank: 0 to workers − 1.
        config: of the run.
        make_environments: builds vector environments from (env, num_envs, **options).
        memory: shared with the other workers and the parent.
        ledger: likewise.
        training_key: of the random numbers.
        parts: of an experiment.
        standing: `worker_state` of the workers that this one starts, by rank; None where one begins with new episodes.
        in_group: whether the others are on other machines, or started by torchrun on this one.
        channel: sends to the parent what it is about and what goes with that ("ready"; "state" with workers' states by
            rank; "done"; "failed" with a traceback; "lost" with who of a group), receives the start.
    """
    end_with_parent(lambda: memory.signs.beat(rank))
    leave_signals_to_parent()
    faulthandler.register(signal.SIGUSR1, memory.signs.stacks.fd, all_threads=False)  # the parent asks where it hangs
    try:
        import torch

        torch.set_num_threads(1)
        if in_group:
            from rl.group.learner import grouped
            from rl.group.members import run_rank_0

            group = run_rank_0(config, memory, ledger.env_steps, training_key, standing)
            parts = grouped(parts, group)
        work = build_worker(rank, config, make_environments, memory, ledger, training_key, parts)
        if in_group:
            group.begin(config.worker_timeout)
        channel.send(("ready", None))
        channel.recv()
        run_work(work, standing[rank], lambda *message: channel.send(message))
    except GroupLost as lost:
        channel.send(("failed" if lost.failed else "lost", str(lost)))
        sys.exit(1)
    except BaseException:  # SystemExit from an environment is a failure too
        channel.send(("failed", f"failed:\n{traceback.format_exc()}"))
        sys.exit(1)


def end_with_parent(meanwhile: Callable[[], None] = lambda: None) -> None:
    """End this process as soon as its parent has ended, however that ended; meanwhile do this four times a second."""
    sentinel = multiprocessing.parent_process().sentinel

    def watch() -> None:
        while not wait([sentinel], timeout=BEAT_SECONDS):
            meanwhile()
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def leave_signals_to_parent() -> None:
    """Go on at Ctrl-C and SIGTERM, which reach a whole group of processes: the parent answers them.

    This process was started with both held back. SIGINT stays so; SIGTERM is let through to a handler that does
    nothing, so that programs that an environment starts can still be ended by it.
    """
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
