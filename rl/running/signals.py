"""Signals: who hears them."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def sigint_blocked(*others: signal.Signals) -> Iterator[None]:
    """Hold SIGINT (and others) back; processes started meanwhile begin with it held back, and never see one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *others})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def noted_signals(note: Callable[[int], None]) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into a note, so that the run comes to an orderly end; a second one adds nothing."""

    def handler(number: int, _frame: Any) -> None:
        note(number)

    try:
        before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: whoever runs us there keeps the signals
        before = {}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
