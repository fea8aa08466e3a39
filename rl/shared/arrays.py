"""Named numpy arrays that processes share, and pages of them that change whole or not at all."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from rl.shared.processes import SPAWN


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
