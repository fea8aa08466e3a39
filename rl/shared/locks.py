"""A lock and a gate between processes. A kill leaves nothing of them behind."""

import fcntl
import os
import select
import tempfile
import threading
import time
import weakref
from multiprocessing.reduction import DupFd
from typing import Any


class NamelessFile:
    """A file without a name. Workers inherit it, and it is gone with the last of them."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            self._own(os.dup(file.fileno()))

    def _own(self, fd: int) -> None:
        self.fd = fd
        weakref.finalize(self, os.close, fd)

    def read(self) -> str:
        return os.pread(self.fd, 2**20, 0).decode(errors="replace")

    def __getstate__(self) -> Any:
        return DupFd(self.fd)

    def __setstate__(self, fd: Any) -> None:
        self._own(fd.detach())


class Lock:
    """A lock between processes and between threads. The kernel frees it when its holder ends (POSIX, fcntl(2)).

    A semaphore would stay taken when its holder is killed.
    """

    def __init__(self) -> None:
        self._file, self._threads = NamelessFile(), threading.Lock()

    def acquire(self, timeout: float | None = None) -> bool:
        """Take the lock, and wait for it for so many seconds at most; returns whether it was taken."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._threads.acquire(timeout=-1 if timeout is None else timeout):
            return False
        taken = False
        try:
            taken = self._from_processes(deadline)
        finally:
            if not taken:
                self._threads.release()
        return taken

    def _from_processes(self, deadline: float | None) -> bool:
        while True:
            try:
                fcntl.lockf(self._file.fd, fcntl.LOCK_EX | (0 if deadline is None else fcntl.LOCK_NB))
                return True
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(0.001)

    def release(self) -> None:
        fcntl.lockf(self._file.fd, fcntl.LOCK_UN)
        self._threads.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_error: object) -> None:
        self.release()

    def __getstate__(self) -> NamelessFile:
        return self._file

    def __setstate__(self, file: NamelessFile) -> None:
        self._file, self._threads = file, threading.Lock()


class Gate:
    """A counter of permits between processes: one process waits for permits, others give them.

    A semaphore has a name, which stays when all who know it are killed. A pipe has none.
    """

    def __init__(self) -> None:
        self._own(*os.pipe())
        os.set_blocking(self._reader, False)

    def _own(self, reader: int, writer: int) -> None:
        self._reader, self._writer = reader, writer
        for end in (reader, writer):
            weakref.finalize(self, os.close, end)

    def acquire(self, block: bool = True) -> bool:
        """Take a permit, and wait for one if `block`; returns whether one was taken."""
        while True:
            try:
                return len(os.read(self._reader, 1)) == 1
            except BlockingIOError:
                if not block:
                    return False
                waiting = select.poll()  # select(2) takes the first 1024 descriptors only
                waiting.register(self._reader, select.POLLIN)
                waiting.poll()

    def release(self) -> None:
        os.write(self._writer, b"x")

    def __getstate__(self) -> tuple[Any, Any]:
        return DupFd(self._reader), DupFd(self._writer)

    def __setstate__(self, ends: tuple[Any, Any]) -> None:
        self._own(*(end.detach() for end in ends))
