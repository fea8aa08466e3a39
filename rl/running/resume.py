"""How a run is resumed: what its checkpoint holds, what is exact, and what begins anew."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rl.config import Config
from rl.loop import Overrides
from rl.record.checkpoint import file_id, fitting, load_checkpoint
from rl.record.files import read_json
from rl.record.messages import listed
from rl.record.own_modules import add_folders, with_files
from rl.record.worker_state import WorkerStates, has_environments
from rl.running.changes import annealing, changed, ended_by, in_words
from rl.running.setup import Setup


class Resumed(NamedTuple):
    """The checkpoint that a run continues from."""

    path: Path
    config: Config  # of the part that begins
    was: Config  # of the part before it
    changed: dict[str, list[Any]]  # [before, after] by name of an option
    env_steps: int
    state: dict[str, Any]
    file_id: tuple[int, ...]  # read before the content


class Continuation(NamedTuple):
    """What the parent of a run begins with."""

    worker_states: WorkerStates
    attempts: list[dict[str, Any]]  # verdicts on earlier crossings
    restarts: int  # of workers
    resumed: Resumed | None = None
    line: str = ""  # for the user

    @property
    def resumed_at(self) -> int | None:
        """Env steps of the checkpoint; None of a new run."""
        return self.resumed.env_steps if self.resumed else None


def from_the_start(setup: Setup) -> Continuation:
    """What the parent of a new run begins with."""
    return Continuation([None] * setup.config.workers, [], 0)


def config_of(run_dir: str | Path) -> Config:
    """The options of a run that is to be resumed.

    Raises:
        ValueError: there is no readable checkpoint.
    """
    with of_option(f"--resume {run_dir}"):
        config, _ = load_checkpoint(Path(run_dir) / "checkpoint.pt")
    return config


def read_checkpoint(
    run_dir: str | Path, overrides: Overrides, changes: Mapping[str, Any] = {}, warm_restart: bool = False
) -> Resumed:
    """The checkpoint of a folder whose run can be resumed.

    Args:
        run_dir: the folder.
        overrides: what an experiment puts in the place of rl's own.
        changes: options of the part that begins, by name.
        warm_restart: anneal the learning rate from its first value again, from here on.

    Raises:
        ValueError: there is no readable checkpoint, the run was complete, it learns with other overrides, or an option
            cannot change.
    """
    path = Path(run_dir) / "checkpoint.pt"
    found = file_id(path)
    with of_option(f"--resume {run_dir}"):
        was, state = load_checkpoint(path)
        with fitting(path):
            at, needed = state["env_steps"], list(state.get("parts", []))
            add_folders(state, Path(run_dir))  # for good: workers look where this process looks
            was = with_files(was, state, Path(run_dir))
            ended_by(was, state)
            if type(at) is not int or at < 0:
                raise TypeError(f"env_steps {at!r}")
    config, differing = changed(was, {**changes, "anneal_from": at} if warm_restart else changes)
    with of_option(f"--resume {run_dir}"):
        enough = ended_by(config, state)
        if enough and is_evaluated(path.parent):
            raise ValueError(f"the run is complete, at {at} env steps; {enough}")
        if needed != replaced(overrides):
            words = " and ".join(map(str, needed)) or "no parts"
            raise ValueError(f"it learns with {words} of an experiment, which alone can go on with it")
    return Resumed(path, config, was, differing, at, state, found)


def is_evaluated(run_dir: Path) -> bool:
    """Whether the evaluations at the end of a complete run were played."""
    summary = read_json(run_dir / "summary.json")
    return summary.get("exit_code") == 0 and None not in (summary.get("eval_greedy"), summary.get("eval_sampled"))


def from_checkpoint(resumed: Resumed, setup: Setup) -> Continuation:
    """Load learner, ledger and candidate from a checkpoint; returns what the parent continues from.

    Workers that update together make as many updates of a segment as their states say. So if one of them has lost its
    state, all begin anew.

    Raises:
        ValueError: the content does not fit.
    """
    state, workers = resumed.state, setup.config.workers
    states: WorkerStates = [None] * workers
    with of_option(f"--resume {resumed.path.parent}"), fitting(resumed.path):
        setup.learner.load_state(state["learner"])
        setup.ledger.load_state(state["ledger"])
        attempts, restarts = list(state["attempts"]), int(state.get("restarts", 0))
        if state.get("candidate") is not None:
            setup.memory.candidate.parameters[:] = state["candidate"].numpy()
        for rank, saved in enumerate(state.get("workers", [])):
            states[rank] = None if saved is None else saved.numpy().tobytes()
        if setup.repeats and setup.config.algorithm_record.several_updates and None in states:
            states = [None] * workers
        return Continuation(states, attempts, restarts, resumed, line(resumed, setup, states))


def line(resumed: Resumed, setup: Setup, states: WorkerStates) -> str:
    """One line that says from where the run continues, and what is not as if it had never stopped."""
    words = ["asynchronous workers do not repeat, nothing of the run is lost"] if not setup.repeats else []
    anew = [rank for rank, one in enumerate(states) if one is None or not has_environments(one)]
    if anew and resumed.env_steps:  # at 0 all begin as they would have
        words.append(f"environments of worker {listed(anew)} begin their next episodes")
    empty = [rank for rank, one in enumerate(states) if one is None]
    if setup.config.replays and resumed.env_steps and empty:
        words.append(f"the buffer of worker {listed(empty)} is empty")
    how = f"not bit by bit: {'; '.join(words)}" if words else "bit by bit"
    if ended_by(resumed.config, resumed.state):
        return f"complete at {resumed.env_steps} env steps, but for its evaluations, which are played now"
    news = [in_words(resumed.changed), annealing(resumed.was, resumed.config, resumed.env_steps)]
    return "; ".join(filter(None, [f"going on from {resumed.env_steps} env steps, {how}", *news]))


def replaced(overrides: Overrides) -> list[str]:
    """Names of what an experiment puts in the place of rl's own; what only watches changes nothing."""
    return [name for name in ("targets", "make_learner") if getattr(overrides, name) is not None]


@contextlib.contextmanager
def of_option(words: str) -> Iterator[None]:
    """Name an option in the errors of what it asks for."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{words}: {error}") from None
