"""Workers that are killed, or stopped, in the middle of an update. Spawned workers import this file."""

import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

import torch

import rl.parameters.learner
from rl.config import Config
from rl.learning.experience import Experience

UPDATES = 20  # of worker 1, before the one that is never finished


def end_within_an_update(experience: Experience, config: Config, number: signal.Signals) -> Experience:
    """Let one update of this process write half of what it should and something else, and send itself a signal there;
    once in a run, at the time that it leaves in its folder. The next one takes longer to begin than a step may take."""
    mark, adam_step, updates = Path(config.run_dir, "fault"), rl.parameters.learner.adam_step, []
    if mark.exists():  # this one takes the other's place
        time.sleep(1.5 * config.worker_timeout)

    def half_a_step(old, new, *arguments):
        updates.append(1)
        adam_step(old, new, *arguments)
        if len(updates) > UPDATES and not mark.exists():
            new["parameters"][::2] = torch.nan
            new["step"] += 7
            mark.write_text(str(time.time()))
            os.kill(os.getpid(), number)

    rl.parameters.learner.adam_step = half_a_step
    return experience


def stopped_as_it_tells(experience: Experience, config: Config, rank: int) -> Experience:
    """Part `watch` of a run: worker 1 is stopped when it has sent a part of where it stands, a megabyte."""
    if rank == 1:
        send, state = Connection._send, {"ballast": torch.zeros(2**18)}

        def send_a_part(connection, content, *arguments):
            if len(content) > 2**20:
                send(connection, content[: 2**16])
                Path(config.run_dir, "fault").write_text(str(time.time()))
                os.kill(os.getpid(), signal.SIGSTOP)
            send(connection, content, *arguments)

        Connection._send = send_a_part
        experience.state = lambda: state
    return experience


def killed(experience: Experience, config: Config, rank: int) -> Experience:
    """Part `watch` of a run: worker 1 is killed."""
    return end_within_an_update(experience, config, signal.SIGKILL) if rank == 1 else experience


def stopped(experience: Experience, config: Config, rank: int) -> Experience:
    """Part `watch` of a run: worker 1 is stopped, and holds the lock."""
    return end_within_an_update(experience, config, signal.SIGSTOP) if rank == 1 else experience
