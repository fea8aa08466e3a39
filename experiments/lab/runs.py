"""Trains the runs of an experiment, one after another or several at a time, and continues where it was interrupted."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl.config import Config
from rl.loop import NO_OVERRIDES, Overrides

if TYPE_CHECKING:
    from rl.running.run import Run

OWN_LEARNING: dict[str, Overrides] = {}  # no run overrides anything
Finished = Callable[[Config], None]


class RunFailed(Exception):
    """A run did not come to its end; `exit_code` is the run's."""

    def __init__(self, config: Config, reason: str, exit_code: int) -> None:
        super().__init__(f"{config.run_dir}: {reason}; the same command goes on from here")
        self.exit_code = exit_code


def ignore(_config: Config) -> None:
    """Do nothing with a finished run."""


def train_missing(
    configs: Sequence[Config],
    processes: int = 1,
    overrides: Mapping[str, Overrides] = OWN_LEARNING,
    finished: Finished = ignore,
    holds: Path | None = None,
) -> list[Path]:
    """Train every run whose folder does not hold it yet, and show the progress.

    A run that was stopped goes on from its checkpoint. One that replaces parts of rl's learning begins anew, since what
    those parts had measured is not in a checkpoint.

    Args:
        configs: one for each run, each with its own run_dir.
        processes: serial runs at a time; runs with workers are trained one after another.
        overrides: by run_dir, for the runs that replace parts of rl's learning.
        finished: receives the config of each complete run, whether it was found or trained.
        holds: a folder that the caller holds already; it may be the folder of the runs.

    Returns:
        The run folders, in the order of `configs`.

    Raises:
        ValueError: a folder holds another run, another study is at work in it, or an option cannot work; nothing
            was trained.
        RunFailed: a run ended by a fault or a signal; those before it are complete.
    """
    from experiments.lab.display import StudyDisplay, training_progress
    from experiments.lab.progress_lines import progress_lines

    changed = {run_dir for run_dir, replaced in overrides.items() if replaced != NO_OVERRIDES}
    with held(Path(configs[0].run_dir).parent, holds):
        complete = {config.run_dir: is_complete(config, config.run_dir not in changed) for config in configs}
        for config in configs:
            if complete[config.run_dir]:
                finished(config)
        missing = [config for config in configs if not complete[config.run_dir]]
        at_once = [config for config in missing if processes > 1 and config.mode == "serial"]
        in_turn = [config for config in missing if config not in at_once]
        with training_progress() as progress:
            display = StudyDisplay(progress, len(configs), len(configs) - len(missing))
            display.notify(f"Training {len(missing)} of {len(configs)} runs in {Path(configs[0].run_dir).parent}")
            with ids_of_their_own(len(configs), display.notify), progress_lines(display.line, display.notify):
                if at_once:
                    train_at_once(at_once, display, processes, overrides, finished)
                train_in_turn(in_turn, display, overrides, finished)
    return [Path(config.run_dir) for config in configs]


@contextmanager
def held(folder: Path, already: Path | None = None) -> Iterator[None]:
    """Hold a folder, since two studies that write into it would cut each other's rows and runs.

    Args:
        folder: is made where it is missing.
        already: a folder that this process holds.

    Raises:
        ValueError: another process holds the folder, or it cannot be made.
    """
    from rl.running.folder import claim

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{folder}: a folder that can be written is needed ({error.strerror})") from None
    if already is not None and folder.samefile(already):
        yield
        return
    descriptor = claim(folder)
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def ids_of_their_own(runs: int, notify: Callable[[str], None]) -> Iterator[None]:
    """Keep several runs from sharing the W&B run that WANDB_RUN_ID names, where each would overwrite the one before."""
    run_id = os.environ.pop("WANDB_RUN_ID", None) if runs > 1 else None
    if run_id:
        notify(f"WANDB_RUN_ID {run_id!r} is not read: {runs} runs are trained, each has an id of its own")
    try:
        yield
    finally:
        if run_id is not None:
            os.environ["WANDB_RUN_ID"] = run_id


def is_complete(config: Config, resume: bool = True) -> bool:
    """Whether the run's folder holds this very run, ended well. An unfinished run is put aside, nothing is deleted.

    A run that is resumed and has a checkpoint stays where it is.

    Raises:
        ValueError: the folder holds a run with another config.
    """
    folder = Path(config.run_dir)
    if not folder.exists():
        return False
    if not (folder / "config.json").exists():  # it was killed before it wrote anything
        put_aside(folder)
        return False
    asked, default = (json.loads(json.dumps(asdict(of))) for of in (config, Config()))
    recorded = default | read_of(folder / "config.json", "config")  # options may be younger than it
    differing = [key for key in asked if recorded.get(key) != asked[key] and not key.startswith(("run_dir", "wandb"))]
    if differing:
        key = differing[0]
        raise ValueError(
            f"{folder} holds a run with {key} {recorded.get(key)!r}, not {asked[key]!r}: "
            f"name another --runs-dir, or remove it"
        )
    summary = folder / "summary.json"
    if summary.exists() and read_of(summary, "exit_code") == 0:
        return True
    if resume and (folder / "checkpoint.pt").exists():
        return False
    put_aside(folder)
    return False


def read_of(file: Path, key: str) -> Any:
    """An entry of the config.json or summary.json of a run.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))[key]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{file} is damaged: name another --runs-dir, or remove {file.parent}") from None


def put_aside(folder: Path) -> None:
    """Give the folder of an unfinished run another name."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.unfinished-{number}")).exists():
        number += 1
    folder.rename(aside)


def train_in_turn(
    configs: Sequence[Config], display: Any, overrides: Mapping[str, Overrides], finished: Finished
) -> None:
    """Train one run after another in this process, each with its own workers."""
    for config in configs:
        with display.run(Path(config.run_dir).name, config.total_env_steps) as shown:
            run = run_of(config, overrides.get(config.run_dir, NO_OVERRIDES))
            shown.watch(run.setup.ledger)
            summary = run.execute(shown.notify, shown.row, shown.evaluation)
        if summary["exit_code"] != 0:
            raise RunFailed(config, summary["exit_reason"], summary["exit_code"])
        finished(config)
        display.end()


def train_at_once(
    configs: Sequence[Config], display: Any, processes: int, overrides: Mapping[str, Overrides], finished: Finished
) -> None:
    """Train serial runs in a pool of processes: small runs spend more time on starting processes than on training."""

    def ended(config: Config) -> None:
        finished(config)
        display.end()

    with process_pool(processes) as pool:
        train_in_pool(pool, configs, overrides, ended)


@contextmanager
def process_pool(processes: int) -> Iterator[Any]:
    """Processes for runs, which end with this one, and at once where the block raises something."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    from rl.running.descendants import end_descendants, stopped_together
    from rl.running.server import ONE_THREAD, live, start_server
    from rl.running.worker import begin_in_pool
    from rl.shared.processes import SERVED

    def started() -> list[int]:
        return [child.pid for child in multiprocessing.active_children()]

    start_server()  # the pool's processes do not see Ctrl-C, this one answers it
    life = ({**os.environ, **ONE_THREAD}, begin_in_pool)
    with (
        stopped_together(started),
        ProcessPoolExecutor(processes, mp_context=SERVED, initializer=live, initargs=life) as pool,
    ):
        try:
            yield pool
        except BaseException:
            for pid in started():
                end_descendants(pid)
            raise


def train_in_pool(
    pool: Any,
    configs: Sequence[Config],
    overrides: Mapping[str, Overrides] = OWN_LEARNING,
    finished: Finished = ignore,
    failed: Callable[[Config, str], None] | None = None,
) -> None:
    """Train runs in a pool of processes; one with a checkpoint in its folder goes on from there.

    Args:
        pool: what `process_pool` gives.
        configs: one for each run.
        overrides: by run_dir, for the runs that replace parts of rl's learning.
        finished: receives the config of each run that has ended well.
        failed: receives the config of each run that has ended by a fault, and why.

    Raises:
        RunFailed: a signal ended a run, or a fault where nobody receives it.
    """
    from concurrent.futures import as_completed

    runs = {pool.submit(train_one, config, overrides.get(config.run_dir, NO_OVERRIDES)): config for config in configs}
    for run in as_completed(runs):
        config, (reason, exit_code) = runs[run], run.result()
        if exit_code == 0:
            finished(config)
        elif exit_code == 1 and failed:
            failed(config, reason)
        else:
            raise RunFailed(config, reason, exit_code)


def train_one(config: Config, overrides: Overrides) -> tuple[str, int]:
    """Train one run in this process, without a display; returns why it has ended, and its exit code."""
    summary = run_of(config, overrides).execute(notify=lambda _line: None)
    return summary["exit_reason"], summary["exit_code"]


def run_of(config: Config, overrides: Overrides) -> "Run":
    """The run that begins in its folder, or that goes on from the checkpoint there."""
    import envs
    from rl.running.run import new_run, resumed_run

    if (Path(config.run_dir) / "checkpoint.pt").exists():
        return resumed_run(config.run_dir, envs.make_vector, overrides)
    return new_run(config, envs.make_vector, overrides)
