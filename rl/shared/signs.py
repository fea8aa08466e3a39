"""Signs of life that workers give to the parent."""

import contextlib
from collections.abc import Iterator

import numpy as np

from rl.shared.arrays import SharedArrays
from rl.shared.locks import NamelessFile


class WorkerSigns:
    """Workers show their progress, that they wait for others, and on request the line that they have reached."""

    def __init__(self, workers: int) -> None:
        self.shared = SharedArrays({"progress": ((workers,), np.int64), "waiting": ((workers,), np.int64)})
        self.stacks = NamelessFile()  # tracebacks

    @property
    def progress(self) -> np.ndarray:
        """[worker] counts steps of its environments, parameters pulled, and time in which it waits for others."""
        return self.shared.progress

    @property
    def waiting(self) -> np.ndarray:
        """[worker] says whether it waits for other processes."""
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
        """Count waiting as progress. A stopped worker does not come to this, whatever it was doing."""
        self.progress[rank] += self.waiting[rank]
