"""Shared state that changes whole or not at all, whoever is killed while it changes.

Each piece of the state lies in two pages, one of which is valid. A writer fills the other page, which nobody reads.
One store of one number then makes all pages valid that were written. The Learner's vectors and the ledger are two such
pieces under one number, so an update is published together with its entry.

What only grows needs no second page: the writer appends behind the published count, where nobody reads.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rl.shared.arrays import Layout, SharedArrays


class Publication:
    """The number that says which pages are valid. It has one bit for each `Pages`."""

    def __init__(self) -> None:
        self._shared, self._pages = SharedArrays({"valid": ((1,), np.int64)}), 0
        self._written: list[Pages] | None = None  # in the change that this process makes now; None: it makes none

    def new_bit(self) -> int:
        """The bit of a new `Pages`."""
        self._pages += 1
        return self._pages - 1

    def valid(self, bit: int) -> int:
        """The number of the valid page, 0 or 1."""
        return int(self._shared.valid[0]) >> bit & 1

    def write(self, pages: "Pages") -> None:
        """Publish these pages too at the end of the change."""
        self._written.append(pages)

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """Publish everything that is written within, by one store at its end; a change within a change is part of it.

        Only the holder of the learner's lock may change anything. An exception leaves everything as it was.
        """
        if self._written is not None:
            yield
            return
        self._written = []
        try:
            yield
            self._shared.valid[0] = int(self._shared.valid[0]) ^ sum(1 << pages.bit for pages in self._written)
        finally:
            for pages in self._written:
                pages.open = None
            self._written = None


class Pages:
    """Named arrays in two copies; the publication says which copy is valid."""

    def __init__(self, publication: Publication, layout: Layout) -> None:
        """Allocate zeros."""
        self.publication, self.bit = publication, publication.new_bit()
        self.both = SharedArrays(layout), SharedArrays(layout)
        self.open: SharedArrays | None = None  # the page that this process writes now

    @property
    def now(self) -> SharedArrays:
        """The valid page; within a change, for the process that changes it, the page that is being written."""
        return self.open or self.both[self.publication.valid(self.bit)]

    @property
    def number(self) -> int:
        """The number of that page, 0 or 1."""
        return self.publication.valid(self.bit) ^ (self.open is not None)

    def turn(self) -> int:
        """Write the other page from here to the end of the change; returns its number. All of it must be written."""
        self.publication.write(self)
        self.open = self.both[1 - self.publication.valid(self.bit)]
        return self.number

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """Write to a copy of the valid page, as a part of the publication's change."""
        if self.open:
            yield
            return
        with self.publication.change():
            valid = self.now
            self.turn()
            self.open.copy_from(valid)
            yield


def published(write: Callable[..., Any]) -> Callable[..., Any]:
    """Let what a method writes to the `pages` of its object be one change, or a part of the change around it."""

    @functools.wraps(write)
    def in_one_change(self: Any, *arguments: Any, **named: Any) -> Any:
        if self.pages.open:
            return write(self, *arguments, **named)
        with self.pages.change():
            return write(self, *arguments, **named)

    return in_one_change
