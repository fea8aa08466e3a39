"""Checks before anything is started or written. An error is one line that names the option."""

import math
import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

import gymnasium

from rl.acting.evaluate import MakeEnvironments
from rl.config import Config
from rl.config_rules import option
from rl.record.messages import in_short

NO_MAIN_GUARD = 87  # exit code of a worker that found itself starting a run while it imported the script of its parent


class StartsItself(RuntimeError):
    """The script that starts a run starts it again in each worker, which imports the script."""

    in_one_line = True

    def __init__(self) -> None:
        script = getattr(sys.modules["__main__"], "__file__", "the script")
        super().__init__(
            f"{script} starts the run again when a worker imports it; "
            'the line that starts it must stand under `if __name__ == "__main__":`'
        )


def refuse_while_importing() -> None:
    """End a worker that is still importing the script of its parent: what starts there has been started already."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        os._exit(NO_MAIN_GUARD)


def require_may_start_workers(config: Config) -> None:
    """Check that this process may start others.

    Raises:
        ValueError: it is a daemon of multiprocessing, or its script cannot be imported by workers.
    """
    main = sys.modules["__main__"]
    script = getattr(main, "__file__", None) if getattr(main, "__spec__", None) is None else None
    here = multiprocessing.process.ORIGINAL_DIR or ""
    if config.mode != "serial" and script and not os.path.exists(os.path.join(here, script)):
        raise ValueError(
            f"--mode {config.mode}: workers import the script that starts the run, and {script} is no file; save the "
            "script as a file, or serial is needed"
        )
    if config.mode != "serial" and multiprocessing.current_process().daemon:
        raise ValueError(
            f"--mode {config.mode}: multiprocessing lets this process, a daemon, start no workers; serial is needed"
        )


def require_importable(**functions: Callable[..., Any] | None) -> None:
    """Check that workers can be handed these functions.

    Raises:
        ValueError: one cannot be pickled, as a lambda or a function in a function cannot.
    """
    for name, function in functions.items():
        try:
            ForkingPickler.dumps(function)
        except Exception as error:
            raise ValueError(
                f"{name} {function!r}: a top-level function is needed, since workers import it ({in_short(error)})"
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
    """Check that a buffer of whole episodes can hold the longest one: longer ones would never be learnt from.

    Args:
        config: replay options.
        longest: steps after which an episode is truncated, or None if that is not known.

    Raises:
        ValueError: the buffer is too small.
    """
    if config.replays and config.replay_way == "episodes" and longest:
        length, batch = config.segment_length, config.total_environments
        rows = -(-(longest + length - 1) // length) * length  # whole segments, wherever in the first one it opens
        if config.replay_rows < rows:
            raise ValueError(
                f"--replay-capacity {config.replay_capacity}: whole episodes of {longest} steps, one of "
                f"every environment, take {rows * batch} env steps, at least that is needed"
            )


def require_threshold(config: Config, reward_threshold: float | None) -> None:
    """Check that a run which is to stop once it is solved can ever be solved.

    Args:
        config: says whether it is to stop then.
        reward_threshold: mean return that counts as solved, or None.

    Raises:
        ValueError: no return counts as solved.
    """
    if config.stop_when_solved and (reward_threshold is None or not math.isfinite(reward_threshold)):
        raise ValueError(
            f"--stop-when-solved True: {config.env} registers no reward threshold that can be reached, so the run "
            "would not end by it; --reward-threshold X sets one, or leave it out"
        )
