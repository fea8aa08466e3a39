"""A worker process, as its parent knows it."""

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from rl.running.descendants import end_descendants
from rl.running.server import ONE_THREAD, live, start_method_left_open, start_server
from rl.shared.processes import SERVED

LISTEN_SECONDS = 0.5  # the channel of an ended worker stays open as long as a program that it started lives


class Worker:
    """A worker process, its channel, and what is known of it."""

    def __init__(self, rank: int, life: Callable[..., None], arguments: tuple[Any, ...], news: threading.Event) -> None:
        """Start the process.

        Args:
            rank: 0 to workers − 1.
            life: what the process runs, as `run_worker`.
            arguments: those of `life` between the rank and the channel.
            news: set when the worker has sent something or has ended.
        """
        self.rank = rank
        self.channel, theirs = SERVED.Pipe()
        parts = ({**os.environ, **ONE_THREAD}, life, rank, *arguments, theirs)
        self.process = SERVED.Process(target=live, args=parts, name=f"worker {rank}", daemon=True)
        start_server()
        with start_method_left_open():
            self.process.start()
        theirs.close()
        self.ready = self.settled = False  # settled: it has said how it ended
        self.seen, self.seen_at, self.idle = -1, time.monotonic(), 0.0  # its progress, and seconds without any
        # A thread listens, since a message from a worker that is stopped in the middle of it does not end.
        self.messages: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self.listener = threading.Thread(target=self.listen, args=(news,), name=f"ear {rank}", daemon=True)
        self.listener.start()

    def listen(self, news: threading.Event) -> None:
        """Receive the worker's messages until it has ended."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                self.messages.put(self.channel.recv())
                news.set()
        news.set()

    def heard(self, all_of_it: bool) -> Iterator[tuple[str, Any]]:
        """The messages since the last call; `all_of_it` waits for the last one of a worker that has ended."""
        if all_of_it:
            self.listener.join(LISTEN_SECONDS)
        while not self.messages.empty():
            yield self.messages.get()

    def start_work(self) -> None:
        """Let the worker begin its segments."""
        with contextlib.suppress(OSError):  # it has died: the next look finds that
            self.channel.send("start")

    def end(self) -> None:
        """Kill the process, and what its environments have started, and wait until it is gone."""
        self.process.kill()
        end_descendants(self.process.pid)
        self.process.join()
        self.listener.join(LISTEN_SECONDS)
        self.channel.close()
