"""Who receives signals, and which of them end a run."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_OTHERS = ("KILL", "STOP", "CHLD", "CONT", "TSTP", "TTIN", "TTOU", "URG", "WINCH")  # of these none ends a process,
_OF_FAULTS = ("SEGV", "BUS", "FPE", "ILL")  # or none can be answered; these say that the process itself is broken
ENDING = signal.valid_signals() - {getattr(signal, f"SIG{name}", None) for name in (*_OTHERS, *_OF_FAULTS)}
OF_A_TERMINAL = frozenset({signal.SIGINT, signal.SIGTERM})  # answered whatever the caller has set


def name_of(number: int) -> str:
    """SIGTERM for 15, SIGRTMIN+1 for a real-time signal."""
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"SIGRTMIN+{number - signal.SIGRTMIN}"


@contextlib.contextmanager
def signals_blocked(numbers: set[int]) -> Iterator[None]:
    """Block signals. Processes that are started within begin with them blocked, and never see one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Handler:
    """A handler of ours. A process that is forked, by an environment, begins without it."""

    def __init__(self, answer: Callable[[int], Any]) -> None:
        self.answer = answer

    def __call__(self, number: int, _frame: Any) -> None:
        self.answer(number)


def answered(answer: Callable[[int], Any], numbers: set[int]) -> dict[int, Any]:
    """Answer signals from now on; returns the handlers that they had.

    One that is ignored, as SIGHUP under nohup, stays so. A handler of the caller stays, but for SIGINT and SIGTERM.
    """
    before, taken = {}, _taken()
    for number in numbers:
        now = signal.getsignal(number)
        free = now == signal.SIG_DFL and number not in taken
        if free or (now not in (signal.SIG_IGN, signal.SIG_DFL, None) and number in OF_A_TERMINAL):
            before[number] = signal.signal(number, Handler(answer))
    return before


def _taken() -> set[int]:
    """Signals that the kernel calls caught or ignored: C code, as faulthandler, does so without Python's knowledge."""
    taken = 0
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("SigCgt:", "SigIgn:")):
                taken |= int(line.split()[1], 16)
    return {number for number in signal.valid_signals() if taken >> (number - 1) & 1}


@contextlib.contextmanager
def noted_signals(note: Callable[[int], Any], numbers: set[int] = ENDING) -> Iterator[None]:
    """Call `note` at each signal that would end the process, so that the run comes to an orderly end."""
    try:
        before = answered(note, numbers)
    except ValueError:  # not in the main thread, which keeps the signals
        before = {}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


_masks: list[set[int]] = []  # before a fork; one at a time, since Python forks with its global lock held


def _before_fork() -> None:
    """Hold back signals: one that came before the new process has its own handlers would be lost."""
    _masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ENDING))


def _after_fork() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.pop())


def _begin_without_ours() -> None:
    """In a process that was forked: let signals end it, as whoever has started it expects."""
    for number in signal.valid_signals():
        if isinstance(signal.getsignal(number), Handler):
            signal.signal(number, signal.SIG_DFL)
    _after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_begin_without_ours)
