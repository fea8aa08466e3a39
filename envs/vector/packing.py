"""Several arrays in one: what is observed of a Dict or a Tuple travels through segments and buffers as one array.

Entries of one dtype lie side by side. Where some are float32 and some uint8, the array has the bytes of all, so that an
image stays an image of bytes. Whoever knows a `Packed` space gets each entry back as a view of the array.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from gymnasium.spaces import Box

FLOAT, BYTE = np.dtype(np.float32), np.dtype(np.uint8)
MASK = "action_mask"  # the entry that says which actions are allowed


class Entry(NamedTuple):
    """One array within a packed one, in plain Python."""

    name: str
    shape: tuple[int, ...]
    dtype: str  # float32 or uint8
    start: int  # its place in the packed array, in numbers of that one's dtype
    stop: int


class Packed(Box):
    """The space of packed arrays: float32 [number], uint8 [number], or uint8 [byte] where there are both.

    A float32 begins at a multiple of four bytes, and a row is a multiple of four bytes long.
    """

    entries: tuple[Entry, ...]
    boxes: tuple[Box, ...]  # the space of each entry's array

    def __init__(self, boxes: Mapping[str, Box]):
        """Lay the entries out in their order; each Box is of float32 or uint8."""
        self.boxes = tuple(boxes.values())
        dtypes = {box.dtype for box in self.boxes}
        mixed = len(dtypes) > 1
        entries, at = [], 0
        for name, box in boxes.items():
            size = int(np.prod(box.shape, dtype=np.int64)) * (box.dtype.itemsize if mixed else 1)
            entries.append(Entry(name, tuple(map(int, box.shape)), box.dtype.name, at, at + size))
            at = -(-(at + size) // FLOAT.itemsize) * FLOAT.itemsize if mixed else at + size
        self.entries = tuple(entries)
        if mixed:
            super().__init__(0, 255, (at,), dtype=np.uint8)
        else:
            low, high = (np.concatenate([np.ravel(getattr(box, which)) for box in self.boxes]) for which in BOUNDS)
            super().__init__(low, high, dtype=dtypes.pop().type)

    def views(self, packed: np.ndarray) -> Iterator[np.ndarray]:
        """Return each entry [..., *shape] of packed arrays [..., number], on the same memory."""
        for entry in self.entries:
            part = packed[..., entry.start : entry.stop]
            yield part.view(entry.dtype).reshape((*packed.shape[:-1], *entry.shape))

    def empty(self, *batch: int) -> np.ndarray:
        """Return new packed arrays [*batch, number]; what lies between entries is 0."""
        return np.zeros((*batch, *self.shape), dtype=self.dtype)

    def with_entry(self, name: str, box: Box) -> "Packed":
        """Return the space with one more entry behind the others."""
        return Packed({**self.named, name: box})

    @property
    def named(self) -> dict[str, Box]:
        """The space of each entry by its name."""
        return dict(zip((entry.name for entry in self.entries), self.boxes, strict=True))

    def __repr__(self) -> str:
        """Name each entry with its space."""
        return f"Packed({', '.join(f'{name}: {box}' for name, box in self.named.items())})"

    def __eq__(self, other: object) -> bool:
        """Compare the entries and their spaces."""
        return isinstance(other, Packed) and self.entries == other.entries and self.boxes == other.boxes

    __hash__ = None  # as of any other Box


BOUNDS = ("low", "high")
