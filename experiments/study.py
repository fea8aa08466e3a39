"""Trains the runs of an experiment one after another, or several at a time, and takes up where it was interrupted."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rl.config import Config


def train_missing(configs: Sequence[Config], processes: int = 1) -> list[Path]:
    """Train every run whose folder does not hold it yet, showing progress.

    Args:
        configs: one a run, each with its own run_dir.
        processes: 1 trains one run at a time, with the workers of its config; more train so many serial runs at a time.

    Returns:
        The run folders, in the order of `configs`.

    Raises:
        ValueError: a folder holds another run, another study is at work in it, or an option cannot work; nothing
            was trained.
        RunFailed: a run ended by a fault or a signal; those before it are complete.
    """
    from experiments.display import StudyDisplay, training_progress
    from rl.preflight import claim

    folder = Path(configs[0].run_dir).parent
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = claim(folder)
    missing = [config for config in configs if not is_complete(config)]
    with training_progress() as progress:
        display = StudyDisplay(progress, len(configs), len(configs) - len(missing))
        try:
            (train_in_turn if processes == 1 else train_at_once)(missing, display, processes)
        finally:
            os.close(descriptor)
    return [Path(config.run_dir) for config in configs]


class RunFailed(Exception):
    """A run of a study did not come to its end; `exit_code` is the run's."""

    def __init__(self, config: Config, reason: str, exit_code: int) -> None:
        super().__init__(f"{config.run_dir}: {reason}; the same command goes on from here")
        self.exit_code = exit_code


def is_complete(config: Config) -> bool:
    """Whether the run's folder holds this very run, ended well. An unfinished one is put aside, nothing is deleted.

    Raises:
        ValueError: the folder holds a run with another config.
    """
    folder = Path(config.run_dir)
    if not (folder / "config.json").exists():
        return False
    recorded = json.loads((folder / "config.json").read_text())["config"]
    asked = json.loads(json.dumps(asdict(config)))
    differing = [key for key in asked if recorded.get(key) != asked[key] and key not in ("run_dir", "wandb")]
    if differing:
        key = differing[0]
        raise ValueError(f"{folder} holds a run with {key} {recorded.get(key)!r}, not {asked[key]!r}: "
                         f"name another --runs-dir, or remove it")  # fmt: skip
    summary = folder / "summary.json"
    if summary.exists() and json.loads(summary.read_text())["exit_code"] == 0:
        return True
    number = 1
    while (aside := folder.with_name(f"{folder.name}.unfinished-{number}")).exists():
        number += 1
    folder.rename(aside)
    return False


def train_in_turn(configs: Sequence[Config], display: Any, _processes: int) -> None:
    """One run after another in this process, each with its own workers."""
    import envs
    from rl.train import new_run

    for config in configs:
        with display.run(Path(config.run_dir).name, config.total_env_steps) as shown:
            summary = new_run(config, envs.make_vector).execute(shown.notify, shown.row)
        if summary["exit_code"] != 0:
            raise RunFailed(config, summary["exit_reason"], summary["exit_code"])
        display.end()


def train_at_once(configs: Sequence[Config], display: Any, processes: int) -> None:
    """Serial runs in a pool of processes: small runs spend more on starting processes than on training."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed

    from rl.supervisor import ONE_THREAD, sigint_blocked
    from rl.worker import end_with_parent

    os.environ.update(ONE_THREAD)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=end_with_parent) as pool:
        try:
            with sigint_blocked():  # Ctrl-C is answered here, not by every process
                runs = {pool.submit(train_serially, config): config for config in configs}
            for run in as_completed(runs):
                summary = run.result()
                if summary["exit_code"] != 0:
                    raise RunFailed(runs[run], summary["exit_reason"], summary["exit_code"])
                display.end()
        except BaseException:
            for child in multiprocessing.active_children():
                child.kill()
            raise


def train_serially(config: Config) -> dict[str, Any]:
    """Train one run in this process, with no display of its own."""
    import envs
    from rl.train import new_run

    return new_run(replace(config, mode="serial", workers=1), envs.make_vector).execute(notify=lambda _line: None)
