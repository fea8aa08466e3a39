"""A worker process, as its parent knows it."""

import contextlib
import queue
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import Any

from rl.running.signals import sigint_blocked
from rl.running.worker import run_worker
from rl.shared.processes import SPAWN

EAR_SECONDS = 0.5  # what a worker that has ended said last is heard at once, unless a program it started lives on


class Worker:
    """A worker process, as the parent knows it."""

    def __init__(self, rank: int, arguments: tuple[Any, ...], news: threading.Event) -> None:
        """Start it.

        Args:
            rank: of it.
            arguments: of `run_worker` between the rank and the channel.
            news: set when it has said something, or has ended.
        """
        self.rank = rank
        self.channel, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(
            target=run_worker, args=(rank, *arguments, theirs), name=f"worker {rank}", daemon=True
        )
        resource_tracker.ensure_running()  # it lets both signals through when it starts its own process
        with sigint_blocked(signal.SIGTERM):  # inherited: both may be sent to all processes, the parent answers
            self.process.start()
        theirs.close()
        self.ready = self.settled = False  # settled: it has said how it ended
        self.seen, self.seen_at, self.idle = -1, time.monotonic(), 0.0  # its progress, and seconds without any
        # A thread of its own listens, since a message from a worker that is stopped in the middle of it does not end.
        self.messages: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.listener = threading.Thread(target=self.listen, args=(news,), name=f"ear {rank}", daemon=True)
        self.listener.start()

    def listen(self, news: threading.Event) -> None:
        """Take what it says until it has ended."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                self.messages.put(self.channel.recv())
                news.set()
        news.set()

    def heard(self, all_of_it: bool) -> Iterator[tuple[str, Any]]:
        """What it has said since the last call, of one that has ended to its last word."""
        if all_of_it:
            self.listener.join(EAR_SECONDS)
        while not self.messages.empty():
            yield self.messages.get()

    def let_go_on(self) -> None:
        """Start its work."""
        with contextlib.suppress(OSError):  # it died meanwhile: found at the next look
            self.channel.send("start")

    def end(self) -> None:
        """See it gone."""
        self.process.kill()
        self.process.join()
        self.listener.join(EAR_SECONDS)
        self.channel.close()
