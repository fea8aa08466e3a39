"""Progress in plain lines, for a log file: where nobody sees a bar, a line comes every half minute."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_SECONDS, SECONDS = 1.0, 30.0

Describe = Callable[[], str]


@contextmanager
def progress_lines(describe: Describe, say: Callable[[str], None], wanted: bool | None = None) -> Iterator[None]:
    """Within it, say what `describe` says, and again every half minute.

    Args:
        describe: the line; empty as long as there is nothing to say.
        say: shows a line.
        wanted: whether lines are wanted; None: where stderr is no terminal.
    """
    if wanted is None:
        wanted = sys.stderr is None or not sys.stderr.isatty()
    if not wanted:
        yield
        return
    ended = threading.Event()

    def speak() -> None:
        line = ""
        while not ended.wait(SECONDS if line else LOOK_SECONDS):
            if line := describe():
                say(line)

    thread = threading.Thread(target=speak, name="progress-lines", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(1.0)


class Speed:
    """Steps a second since the last look."""

    def __init__(self) -> None:
        self.at, self.steps = time.monotonic(), 0

    def look(self, steps: int) -> float:
        """Take the steps so far."""
        now = time.monotonic()
        speed = (steps - self.steps) / max(now - self.at, 1e-9)
        self.at, self.steps = now, steps
        return max(speed, 0.0)
