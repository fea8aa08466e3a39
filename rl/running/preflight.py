"""Checks before anything is started or written: what is wrong is said in one line that names the option."""

import fcntl
import os
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import gymnasium

from rl.acting.evaluate import MakeEnvironments
from rl.config import Config
from rl.config_rules import option
from rl.record.files import in_short


def require_importable(**parts: Callable[..., Any] | None) -> None:
    """Check that spawned workers can be handed these functions.

    Raises:
        ValueError: one cannot be pickled, as a lambda or a function in a function cannot.
    """
    for name, part in parts.items():
        try:
            ForkingPickler.dumps(part)
        except Exception as error:
            raise ValueError(
                f"{name} {part!r}: a top-level function is needed, since spawned workers import it ({in_short(error)})"
            ) from None


def probe_environment(config: Config, make_environments: MakeEnvironments) -> gymnasium.vector.VectorEnv:
    """One environment, made to learn what it is.

    Raises:
        ValueError: it cannot be made; the line begins with the option to blame, spelt as on the command line.
    """
    try:
        return make_environments(config.env, 1, **config.environment_options)
    except ValueError as error:
        name, _, words = str(error).partition(" ")
        line = f"{option(name)} {words}" if name in config.environment_options else f"--env {config.env}: {error}"
        raise ValueError(line) from error


def require_room(config: Config, longest: int | None) -> None:
    """Check that a buffer of whole episodes can hold the longest one: those that it cannot are never learnt from.

    Args:
        config: of the run.
        longest: steps after which an episode is truncated; None: not known.

    Raises:
        ValueError: it cannot.
    """
    if config.replays and config.replay_way == "episodes" and longest:
        length, batch = config.segment_length, config.total_environments
        rows = -(-(longest + length - 1) // length) * length  # whole segments, wherever in the first one it opens
        if config.replay_rows < rows:
            raise ValueError(
                f"--replay-capacity {config.replay_capacity}: whole episodes of {longest} steps, one of "
                f"every environment, take {rows * batch} env steps, at least that is needed"
            )


def claim(folder: Path) -> int:
    """Hold a folder for this process until it ends, or `os.close` of what is returned.

    Raises:
        ValueError: another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise ValueError(f"{folder}: another process is writing there; wait for it, or name another folder") from None
    return descriptor


def require_empty(path: Path) -> None:
    """Refuse the folder of another run.

    Raises:
        ValueError: it holds something.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"--run-dir {path}: it is not empty; name a new folder, or go on with --resume {path}")


def choose_run_dir(config: Config) -> Path:
    """The folder of a new run.

    Raises:
        ValueError: --run-dir names a folder that already holds something.
    """
    if config.run_dir:
        path = Path(config.run_dir)
        require_empty(path)
        return path
    learner = config.core_name if config.algorithm == Config.algorithm else f"{config.algorithm}-{config.core_name}"
    name = f"{learner}-{config.env.rpartition(':')[2]}-s{config.seed}".replace("/", "-")
    candidates = (Path("runs") / (name if number == 1 else f"{name}-{number}") for number in range(1, 1_000_000))
    return next(path for path in candidates if not path.exists())
