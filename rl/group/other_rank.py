"""The workers of a group but worker 0, and all of its processes when torchrun has ended."""

import multiprocessing
import os
import signal
import sys
import threading
import time

import torch

from rl.acting.evaluate import MakeEnvironments
from rl.group.exchange import Group
from rl.group.learner import grouped
from rl.group.start import hear
from rl.loop import NO_OVERRIDES, build_worker, run_work
from rl.record.messages import in_short, told
from rl.running.signals import ENDING, answered
from rl.shared.group_lost import GroupLost
from rl.shared.learner_memory import LearnerMemory


def run_other_rank(make_environments: MakeEnvironments) -> int:
    """The life of a worker that torchrun has started. Everything but its rank comes from rank 0.

    Returns:
        The exit code.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is a run to end
    name = multiprocessing.current_process().name = f"worker {os.environ['RANK']}"
    group = None
    try:
        group = Group()
        train(group, make_environments)
        return 0
    except GroupLost as lost:
        print(f"{name} {lost}", file=sys.stderr, flush=True)
    except BaseException as error:  # SystemExit from an environment is a failure too
        if group:
            group.leave_word(f"{name} failed: {error if getattr(error, 'in_one_line', False) else in_short(error)}")
        print(f"{name} failed:{told(error)}", file=sys.stderr, flush=True)
    return 1


def train(group: Group, make_environments: MakeEnvironments) -> None:
    """Work until the end of the run."""
    start = hear(group)
    config, rank = start.config, group.rank
    memory = LearnerMemory(config, start.parameters, start_env_steps=start.env_steps, sums=start.sums)
    built = build_worker(rank, config, make_environments, memory, start.training_key, grouped(NO_OVERRIDES, group))
    group.begin(config.worker_timeout)
    learner = built[0]
    answered(learner.note_signal, ENDING)
    run_work(built, start.worker_states[rank], lambda _kind, _states: None)


def end_with_torchrun() -> None:
    """Send SIGTERM to this process when torchrun has ended, however that ended."""
    started_by = os.getppid()

    def watch() -> None:
        while os.getppid() == started_by:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end-with-torchrun", daemon=True).start()
