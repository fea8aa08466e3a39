"""What rank 0 of a group does, and what the others do."""

import dataclasses
import io
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback

import torch

from rl.acting.evaluate import MakeEnvironments
from rl.config import Config
from rl.group.exchange import Group, as_tensor
from rl.group.learner import grouped
from rl.loop import Overrides, build_worker, run_work
from rl.record.files import in_short
from rl.running.worker import GroupLost
from rl.shared.learner_memory import LearnerMemory
from rl.shared.ledger import Ledger

# --- rank 0 and the others


def run_rank_0(config: Config, memory: LearnerMemory, env_steps: int, key: int, standing: list[bytes | None]) -> Group:
    """Join as rank 0, and tell the others what they are to do.

    Args:
        config: of the run.
        memory: of rank 0 and its parent.
        env_steps: at which the run begins.
        key: of the random numbers.
        standing: `worker_state` of every worker, or None.
    """
    group = Group(memory.signs)
    states = [None if one is None else as_tensor(one) for one in standing]
    content = {
        "config": dataclasses.asdict(config),
        "parameters": len(memory.vectors[0].parameters),
        "env_steps": env_steps,
        "key": key,
        "standing": states,
    }
    file = io.BytesIO()
    torch.save(content, file)
    group.broadcast_bytes(file.getvalue())
    return group


def run_member(make_environments: MakeEnvironments) -> int:
    """The life of a worker other than rank 0: everything but its rank comes from there.

    Returns:
        The exit code.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is a run to end
    name = multiprocessing.current_process().name = f"worker {os.environ['RANK']}"
    group = None
    try:
        group = Group()
        run_other_rank(group, make_environments)
        return 0
    except GroupLost as lost:
        print(f"{name} {lost}", file=sys.stderr, flush=True)
    except BaseException as error:  # SystemExit from an environment is a failure too
        if group:
            group.leave_word(f"{name} failed: {in_short(error)}")
        print(f"{name} failed:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
    return 1


def run_other_rank(group: Group, make_environments: MakeEnvironments) -> None:
    """Hear what rank 0 tells, and work until the end of the run."""
    start = torch.load(io.BytesIO(group.broadcast_bytes()), weights_only=True)
    config = Config(**{**start["config"], "env_arg": tuple(start["config"]["env_arg"])})
    memory, ledger = LearnerMemory(config, start["parameters"]), Ledger(config, None, start["env_steps"])
    work = build_worker(
        group.rank, config, make_environments, memory, ledger, start["key"], grouped(Overrides(), group)
    )
    group.begin(config.worker_timeout)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, work[0].ask)
    saved = start["standing"][group.rank]
    run_work(work, None if saved is None else saved.numpy().tobytes(), lambda _kind, _standing: None)


def end_with_torchrun() -> None:
    """End this process in its orderly way when torchrun has ended, however that ended."""
    started_by = os.getppid()

    def watch() -> None:
        while os.getppid() == started_by:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="end-with-torchrun", daemon=True).start()
