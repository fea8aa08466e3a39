"""What the processes of a run share: flat vectors, slots, a lock. Numpy only: a worker is up before torch is.

Any of them may be killed at any moment, also while it writes. So what is shared is changed in pages: the new content
goes to a page that nobody reads, and one store of one number makes it the valid one. And the lock is the kernel's: it
is free again when its holder has ended, however it ended.
"""

import contextlib
import fcntl
import multiprocessing
import os
import select
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np

from rl.config import Config

_ACTOR_CRITIC = ("policy_loss", "value_loss", "entropy", "explained_variance")
_Q_LEARNING = ("td_loss", "q_values", "explained_variance")
LOSSES = {  # what each algorithm logs of a loss
    "a2c": _ACTOR_CRITIC,
    "a2c_replay": (*_ACTOR_CRITIC, "state_age"),
    "q_online": _Q_LEARNING,
    "q_replay": (*_Q_LEARNING, "state_age"),
}
SPAWN = multiprocessing.get_context("spawn")  # never fork: a fork after an LSTM call hangs (pytorch/pytorch#123828)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class SharedArrays:
    """Named numpy arrays in one block of memory; spawned workers inherit it, and no kill leaves any of it behind."""

    def __init__(self, layout: dict[str, tuple[tuple[int, ...], Any]]) -> None:
        """Allocate zeros.

        Args:
            layout: name -> (shape, dtype).
        """
        self._layout = {name: (shape, np.dtype(dtype)) for name, (shape, dtype) in layout.items()}
        self._block = SPAWN.RawArray("b", sum(self._bytes(*entry) for entry in self._layout.values()))
        self._map()

    @staticmethod
    def _bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
        return -(-int(np.prod(shape)) * dtype.itemsize // 64) * 64  # whole cache lines: no two arrays share one

    def _map(self) -> None:
        self.content, offset = np.frombuffer(self._block, np.uint8), 0
        for name, (shape, dtype) in self._layout.items():
            setattr(self, name, np.frombuffer(self._block, dtype, int(np.prod(shape)), offset).reshape(shape))
            offset += self._bytes(shape, dtype)

    def copy_from(self, other: "SharedArrays") -> None:
        """Take the content of another one of the same layout."""
        self.content[:] = other.content

    def __getstate__(self) -> dict[str, Any]:
        return {"_layout": self._layout, "_block": self._block}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._map()


class Pages:
    """Two copies of named arrays, one of them valid; see the top of this file."""

    def __init__(self, layout: dict[str, tuple[tuple[int, ...], Any]]) -> None:
        """Allocate zeros; the layout is that of SharedArrays."""
        self._pages = SharedArrays(layout), SharedArrays(layout)
        self._valid = SharedArrays({"page": ((1,), np.int64)})
        self._open: SharedArrays | None = None

    @property
    def now(self) -> SharedArrays:
        """The valid page; within `change`, for the process that changes it, the one that is being written."""
        return self._open or self._pages[self._valid.page[0]]

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """Write to a copy of the valid page, published when all is written; within another change, part of that.

        Whoever changes holds the lock. An exception leaves everything as it was.
        """
        if self._open:
            yield
            return
        number = 1 - int(self._valid.page[0])
        page = self._pages[number]
        page.copy_from(self._pages[1 - number])
        self._open = page
        try:
            yield
            self._valid.page[0] = number
        finally:
            self._open = None


class NamelessFile:
    """A file without a name, which spawned workers inherit and which is gone with the last of them."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            self._own(os.dup(file.fileno()))

    def _own(self, fd: int) -> None:
        self.fd = fd
        weakref.finalize(self, os.close, fd)

    def read(self) -> str:
        """All that was written."""
        return os.pread(self.fd, 2**20, 0).decode(errors="replace")

    def __getstate__(self) -> Any:
        return DupFd(self.fd)

    def __setstate__(self, fd: Any) -> None:
        self._own(fd.detach())


class Lock:
    """A lock between processes, and between threads, that the kernel frees when its holder ends (POSIX, fcntl(2)).

    A semaphore stays taken when its holder is killed.
    """

    def __init__(self) -> None:
        self._file, self._threads = NamelessFile(), threading.Lock()

    def acquire(self, timeout: float | None = None) -> bool:
        """Take it, if need be after so many seconds at most; whether it was taken."""
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
        """Give it back."""
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
    """A counter of permits between processes, for one that waits and others that let it through.

    A semaphore has a name, which stays behind when all who know it are killed; a pipe has none.
    """

    def __init__(self) -> None:
        self._own(*os.pipe())
        os.set_blocking(self._reader, False)

    def _own(self, reader: int, writer: int) -> None:
        self._reader, self._writer = reader, writer
        for end in (reader, writer):
            weakref.finalize(self, os.close, end)

    def acquire(self, block: bool = True) -> bool:
        """Take a permit, if need be after waiting for it; whether one was taken."""
        while True:
            try:
                return len(os.read(self._reader, 1)) == 1
            except BlockingIOError:
                if not block:
                    return False
                waiting = select.poll()  # select(2) knows the first 1024 descriptors only
                waiting.register(self._reader, select.POLLIN)
                waiting.poll()

    def release(self) -> None:
        """Give a permit."""
        os.write(self._writer, b"x")

    def __getstate__(self) -> tuple[Any, Any]:
        return DupFd(self._reader), DupFd(self._writer)

    def __setstate__(self, ends: tuple[Any, Any]) -> None:
        self._own(*(end.detach() for end in ends))


class WorkerSigns:
    """What workers show of themselves: that they go on, that they wait for others, and when asked where they stand."""

    def __init__(self, workers: int) -> None:
        """For so many."""
        self.shared = SharedArrays({"progress": ((workers,), np.int64), "waiting": ((workers,), np.int64)})
        self.stacks = NamelessFile()  # tracebacks

    @property
    def progress(self) -> np.ndarray:
        """[worker] counts steps of its environments, parameters pulled, and time in which it waits for others."""
        return self.shared.progress

    @property
    def waiting(self) -> np.ndarray:
        """[worker] whether it waits for other processes."""
        return self.shared.waiting

    @contextlib.contextmanager
    def waits(self, rank: int) -> Iterator[None]:
        """Show that this worker waits for others."""
        self.waiting[rank] = 1
        try:
            yield
        finally:
            self.waiting[rank] = 0

    def beat(self, rank: int) -> None:
        """Count as progress that a worker waits; a stopped one does not come to this, whatever it was about."""
        self.progress[rank] += self.waiting[rank]


class LearnerMemory:
    """The Learner's vectors and the lock that guards them; for sync, slots and gates too."""

    def __init__(self, config: Config, parameters: int) -> None:
        """Allocate for a network of so many parameters."""
        vector = ((parameters,), config.dtype)
        layout = {"parameters": vector, "moment1": vector, "moment2": vector, "step": ((1,), "float32")}
        # Two pages: an update is written to the other one, which the ledger makes valid together with its entry.
        self.vectors = SharedArrays(layout), SharedArrays(layout)
        self.candidate = SharedArrays({"parameters": vector})  # those of the last crossing
        self.lock: Any = Lock()
        self.signs = WorkerSigns(config.workers)
        if config.mode == "async":
            return
        workers, most_episodes = config.workers, max(1, config.segment_length) * config.envs_per_worker
        self.slots = SharedArrays(
            {
                "gradients": ((workers, parameters), config.dtype),
                "sums": ((workers, 3), np.float64),
                "env_steps": ((workers,), np.int64),
                "losses": ((workers, len(LOSSES[config.algorithm])), np.float64),
                "core_seconds": ((workers,), np.float64),
                "episodes": ((workers,), np.int64),  # how many, and their returns and lengths
                "ended": ((workers, most_episodes, 2), np.float64),
            }
        )
        self.arrive = Gate()
        self.depart = [Gate() for _ in range(workers)]
