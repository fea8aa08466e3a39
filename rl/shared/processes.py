"""How processes are started, and how many CPUs they may use."""

import multiprocessing
import os

SPAWN = multiprocessing.get_context("spawn")  # never fork: a fork after an LSTM call hangs (pytorch/pytorch#123828)


def available_cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
