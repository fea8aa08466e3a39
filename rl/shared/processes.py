"""How processes are started, and how many CPUs they may use."""

import multiprocessing
import os

# Workers are forked from a server process that has imported torch and never called it: they start in milliseconds.
# Never fork the parent itself: a fork after an LSTM call hangs (pytorch/pytorch#123828).
SERVED = multiprocessing.get_context("forkserver")


def available_cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
