"""Named numpy arrays that processes share."""

from typing import Any

import numpy as np

from rl.shared.processes import SERVED

Layout = dict[str, tuple[tuple[int, ...], Any]]  # name -> (shape, dtype)


class SharedArrays:
    """Named numpy arrays in one block of memory, which workers inherit.

    The block has no name, so no kill leaves any of it behind.
    """

    def __init__(self, layout: Layout) -> None:
        """Allocate zeros."""
        self._layout = {name: (shape, np.dtype(dtype)) for name, (shape, dtype) in layout.items()}
        self._block = SERVED.RawArray("b", sum(self._bytes(*entry) for entry in self._layout.values()))
        self._map()

    @staticmethod
    def _bytes(shape: tuple[int, ...], dtype: np.dtype) -> int:
        return -(-int(np.prod(shape)) * dtype.itemsize // 64) * 64  # whole cache lines: no two arrays share one

    def _map(self) -> None:
        self.content, offset = np.frombuffer(self._block, np.uint8), 0
        for name, (shape, dtype) in self._layout.items():
            setattr(self, name, np.frombuffer(self._block, dtype, int(np.prod(shape)), offset).reshape(shape))
            offset += self._bytes(shape, dtype)

    @property
    def names(self) -> list[str]:
        """Names of the arrays, in the order of the layout."""
        return list(self._layout)

    def copy_from(self, other: "SharedArrays") -> None:
        """Take the content of another one of the same layout."""
        self.content[:] = other.content

    def __getstate__(self) -> dict[str, Any]:
        return {"_layout": self._layout, "_block": self._block}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._map()
