"""Workers that are killed, or stopped, in the middle of an update. Spawned workers import this file."""

import os
import signal
import time
from pathlib import Path

import torch

import rl.learner
from rl.config import Config
from rl.experience import Experience

UPDATES = 20  # of worker 1, before the one that is never finished


def end_within_an_update(experience: Experience, config: Config, number: signal.Signals) -> Experience:
    """Let one update of this process write half of what it should and something else, and send itself a signal there;
    once in a run, at the time that it leaves in its folder."""
    mark, adam_step, updates = Path(config.run_dir, "fault"), rl.learner.adam_step, []

    def half_a_step(old, new, *arguments):
        updates.append(1)
        adam_step(old, new, *arguments)
        if len(updates) > UPDATES and not mark.exists():
            new["parameters"][::2] = torch.nan
            new["step"] += 7
            mark.write_text(str(time.time()))
            os.kill(os.getpid(), number)

    rl.learner.adam_step = half_a_step
    return experience


def killed(experience: Experience, config: Config, rank: int) -> Experience:
    """Part `watch` of a run: worker 1 is killed."""
    return end_within_an_update(experience, config, signal.SIGKILL) if rank == 1 else experience


def stopped(experience: Experience, config: Config, rank: int) -> Experience:
    """Part `watch` of a run: worker 1 is stopped, and holds the lock."""
    return end_within_an_update(experience, config, signal.SIGSTOP) if rank == 1 else experience
