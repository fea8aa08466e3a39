"""Measures real runs: their speed, their time to solve the task, their memory, their waiting for the lock."""

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from experiments.lab.runs import RunFailed
from experiments.speed.benchmark.configurations import ENDLESS
from experiments.speed.memory import resident_bytes
from rl.config import Config

if TYPE_CHECKING:
    import numpy as np

    from rl.running.run import Run


class MeasurementFailed(RunFailed):
    """A run of the benchmark failed; `exit_code` is the run's."""

    def __init__(self, what: str, reason: str, exit_code: int) -> None:
        Exception.__init__(self, f"{what}: {reason}; nothing was written")
        self.exit_code = exit_code


def run_of(config: Config) -> "Run":
    """Make a run, without starting it."""
    import envs
    from rl.running.run import new_run

    return new_run(config, envs.make_vector)


def train(run: "Run", enough: Callable[[dict[str, float]], bool]) -> dict[str, Any]:
    """Train until the run ends or `enough` is true for a row of the record; return the summary."""

    def on_row(row: dict[str, float]) -> None:
        if enough(row):
            run.setup.ledger.request_stop()

    summary = run.execute(on_row=on_row)
    if summary["exit_code"] != 0:
        raise MeasurementFailed(run.folder.path.name, summary["exit_reason"], summary["exit_code"])
    return summary


def largest_worker() -> int | None:
    """Return the resident bytes of the run's largest worker; None if they are unknown."""
    held = [resident_bytes(child.pid) for child in multiprocessing.active_children()]
    return max((size for size in held if size), default=None)


def measure_run(config: Config, seconds: float) -> dict[str, Any]:
    """Measure env steps a second, and bytes of the largest worker, in so many training seconds."""
    seen = {}

    def enough(row: dict[str, float]) -> bool:
        if row["time/seconds"] >= seconds and not seen:
            seen.update(sps=row["global_step"] / row["time/seconds"], worker_bytes=largest_worker())
        return bool(seen)

    summary = train(run_of(replace(config, **ENDLESS)), enough)
    return {**seen, "summary_sps": summary["sps"], "startup_seconds": summary["startup_seconds"]}


def measure_solving(config: Config, seconds: float) -> dict[str, Any]:
    """Measure training seconds and env steps at the confirmed crossing; None if there is none in time."""
    run = run_of(replace(config, stop_when_solved=True))
    summary = train(run, lambda row: row["time/seconds"] >= seconds)
    return {"seconds": summary["solved_at_seconds"], "env_steps": summary["solved_at_env_steps"]}


def measure_growth(config: Config, env_steps: int) -> dict[str, list[int | None]]:
    """Measure resident bytes of the largest worker and of this process after each tenth of so many env steps."""
    held = {"env_steps": [], "worker": [], "parent": []}
    due = [env_steps * tenth / 10 for tenth in range(1, 11)]

    def enough(row: dict[str, float]) -> bool:
        if due and row["global_step"] >= due[0]:
            for name, value in zip(held, (row["global_step"], largest_worker(), resident_bytes()), strict=True):
                held[name].append(value)
            due[:] = [mark for mark in due if mark > row["global_step"]]
        return not due

    endless = {**ENDLESS, "total_env_steps": env_steps + ENDLESS["total_env_steps"]}
    train(run_of(replace(config, **endless)), enough)
    return held


def measure_contention(config: Config, seconds: float) -> dict[str, float]:
    """Measure how long async workers wait for the learner's lock and hold it, in some seconds after the first row."""
    from experiments.speed.benchmark.timers import TimedLock

    run, looks = run_of(replace(config, **ENDLESS)), []
    lock = run.setup.memory.lock = TimedLock(run.setup.memory.lock)

    def enough(_row: dict[str, float]) -> bool:
        now = time.perf_counter()
        if not looks or (len(looks) == 1 and now >= looks[0][0] + seconds):
            looks.append((now, lock.shared.spent.copy()))
        return len(looks) == 2

    train(run, enough)
    (start, before), (end, after) = looks
    return contention(after - before, config.workers * (end - start))


def contention(spent: "np.ndarray", worker_seconds: float) -> dict[str, float]:
    """Return the share of workers' time that they wait for the lock, and mean seconds of a wait and a hold.

    Args:
        spent: [pull or push, (acquisitions, seconds waited, seconds held)], summed over workers.
        worker_seconds: how long the measurement took, summed over workers.
    """
    pull, push = (spent[:, 1:] / spent[:, :1]).tolist()
    means = {"pull_wait": pull[0], "push_wait": push[0], "pull_hold": pull[1], "push_hold": push[1]}
    return {"waiting": float(spent[:, 1].sum() / worker_seconds), **means}
