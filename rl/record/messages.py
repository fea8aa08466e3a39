"""What a run says to its user: lines."""

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterable

Notify = Callable[[str], None]  # shows a line to the user


def to_stderr(line: str) -> None:
    """Print a line on stderr. If its reader has gone away, nobody reads the line, and the run goes on."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            print(line, file=sys.stderr, flush=True)


def in_short(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


def listed(ranks: Iterable[int]) -> str:
    """Numbers of workers, as 0, 1."""
    return ", ".join(map(str, ranks))


def told(error: BaseException) -> str:
    """What a failure says behind a colon: its one line where the error is made for its user, else its traceback."""
    if getattr(error, "in_one_line", False):
        words = f"{type(error).__name__}: {error}" if isinstance(error, ArithmeticError) else str(error)
        return f" {' '.join(words.split())}"
    return "\n" + "".join(traceback.format_exception(error))
