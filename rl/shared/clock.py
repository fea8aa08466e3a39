"""The clock of training."""

import time

import numpy as np

from rl.shared.published import Pages, published

CLOCK = {
    "clock": ((3,), np.float64),  # start, seconds in pauses, start of the present pause or 0
    "last_update": ((1,), np.float64),
}


class Clock:
    """Seconds of training: they begin with the first segment, and do not pass while workers wait for the parent."""

    def __init__(self, pages: Pages) -> None:
        """Take the ledger's pages, which hold CLOCK."""
        self.pages = pages
        self.resumed_seconds = 0.0  # those of the run before it was resumed

    @published
    def start(self, paused: bool = False) -> None:
        """Start to count, from where a resumed run stopped."""
        now = time.monotonic()
        self.pages.now.clock[:] = now - self.resumed_seconds, 0.0, now if paused else 0.0

    @published
    def pause(self) -> None:
        """Stop to count until `go_on`."""
        self.pages.now.clock[2] = time.monotonic()

    @published
    def go_on(self) -> None:
        """End the pause, if there is one."""
        clock = self.pages.now.clock
        if clock[2]:
            clock[1] += time.monotonic() - clock[2]
            clock[2] = 0.0

    @published
    def note_update(self) -> None:
        """An update ends now."""
        self.pages.now.last_update[0] = self.seconds()

    def seconds(self) -> float:
        """Seconds of training so far; before the clock starts, those of the run that is resumed."""
        start, paused, pause = self.pages.now.clock
        return float((pause or time.monotonic()) - start - paused) if start else self.resumed_seconds

    @property
    def trained_seconds(self) -> float:
        """Seconds of training at the last update: what follows it, such as the end of processes, is not training."""
        return float(self.pages.now.last_update[0]) or self.resumed_seconds
