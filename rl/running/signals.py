"""Who receives signals."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def sigint_blocked(*others: signal.Signals) -> Iterator[None]:
    """Block SIGINT (and others). Processes that are started within begin with them blocked, and never see one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *others})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def noted_signals(note: Callable[[int], None]) -> Iterator[None]:
    """Call `note` at SIGINT and SIGTERM, so that the run comes to an orderly end."""

    def handler(number: int, _frame: Any) -> None:
        note(number)

    try:
        before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread, which keeps the signals
        before = {}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
