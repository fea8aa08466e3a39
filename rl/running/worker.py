"""The life of a worker process.

Nothing here imports torch before the worker watches its parent: a worker must end with its parent even while it is
still importing, as it does where its server has not imported torch for it.
"""

import contextlib
import faulthandler
import multiprocessing.util
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, NamedTuple

from rl.config import Config
from rl.loop import Overrides, build_worker, run_work
from rl.record.messages import told
from rl.running.descendants import end_descendants, lead_a_group
from rl.running.signals import ENDING, Handler
from rl.shared.group_lost import GroupLost
from rl.shared.learner_memory import LearnerMemory
from rl.shared.streams import lasting_streams

if TYPE_CHECKING:
    import gymnasium

    from rl.record.worker_state import WorkerStates

BEAT_SECONDS = 0.25


def run_worker(
    rank: int,
    config: Config,
    make_environments: Callable[..., "gymnasium.vector.VectorEnv"],
    memory: LearnerMemory,
    training_key: int,
    overrides: Overrides,
    worker_states: "WorkerStates",
    channel: Connection,
) -> None:
    """Get ready, wait for the start, run segments to the end of the run.

    Args:
        rank: 0 to workers − 1.
        config: everything about the run.
        make_environments: builds vector environments from (env, num_envs, **options).
        memory: shared with the other workers and the parent.
        training_key: key of the random numbers.
        overrides: what an experiment puts in the place of rl's own.
        worker_states: the state from which this worker continues, at its rank.
        channel: to the parent, see `life` and `work`.
    """
    with life(rank, memory, channel):
        built = build_worker(rank, config, make_environments, memory, training_key, overrides)
        work(built, worker_states[rank], channel)


class Workers(NamedTuple):
    """Where the workers of a run come from."""

    life: Callable[..., None] = run_worker  # of a process that the parent starts
    in_group: bool = False  # the parent starts rank 0 alone; torchrun has started the others


OWN_WORKERS = Workers()  # the parent starts all of them


def work(built: Any, saved: bytes | None, channel: Connection) -> None:
    """Do the work of a worker that `build_worker` has built.

    It sends ("ready", None), waits for the start, then sends ("state", the states of workers by rank) for each
    checkpoint and at the end, and ("done", {}).
    """
    channel.send(("ready", None))
    channel.recv()
    run_work(built, saved, lambda *message: channel.send(message))


@contextlib.contextmanager
def life(rank: int, memory: LearnerMemory, channel: Connection) -> Iterator[None]:
    """What surrounds the work of every worker process: it ends with its parent, leaves signals to it, reports failures.

    What its environments have started ends with it.

    A failure is sent as ("failed", its line or traceback), or as ("lost", message) if others of its group are gone.
    """
    lead_a_group()
    end_with_parent(lambda: memory.signs.beat(rank))
    faulthandler.register(signal.SIGUSR1, memory.signs.stacks.fd, all_threads=False)  # the parent asks where it hangs
    leave_signals_to_parent()
    lasting_streams()
    try:
        import torch

        torch.set_num_threads(1)
        yield
    except GroupLost as lost:
        channel.send(("failed" if lost.failed else "lost", str(lost)))
        sys.exit(1)
    except BaseException as error:  # SystemExit from an environment is a failure too
        channel.send(("failed", f"failed:{told(error)}"))
        sys.exit(1)
    finally:
        end_descendants()


def end_with_parent(beat: Callable[[], None] = lambda: None) -> None:
    """End this process as soon as its parent has ended, however that ended; until then call `beat` every 0.25 s.

    What it has started as a worker ends too.
    """
    sentinel = multiprocessing.parent_process().sentinel

    def watch() -> None:
        while not wait([sentinel], timeout=BEAT_SECONDS):
            beat()
        end_descendants()
        shutil.rmtree(multiprocessing.util.get_temp_dir(), ignore_errors=True)  # the parent's, which was killed
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def leave_signals_to_parent() -> None:
    """Ignore all that would end this process, and that may be sent to many processes at once: the parent answers it.

    This process was forked with all of it blocked. SIGINT stays so. The others are let through to handlers that do
    nothing, so that they still end programs that an environment starts. SIGUSR1 asks where this process stands.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # also where the caller's own server is in use
    let_through = ENDING - {signal.SIGINT}
    for number in let_through - {signal.SIGUSR1}:
        if signal.getsignal(number) == signal.SIG_DFL:  # what is ignored, as under nohup, stays ignored
            signal.signal(number, Handler(lambda _number: None))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, let_through)


def begin_in_pool() -> None:
    """Begin a process of a pool, which trains whole runs: it ends with its parent, and its children with it."""
    lead_a_group()
    end_with_parent()
