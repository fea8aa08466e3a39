"""Reads whole episodes out of a replay buffer."""

import numpy as np
from einops import rearrange

from rl.learning.replay.buffer import SequenceBuffer, Window


class EpisodeReader:
    """Reads episodes from their first step to their last, as many side by side as a batch has columns.

    Where an episode ends the next one begins; every whole episode is equally likely. A reading continues where the one
    before it stopped. The reader leaves an episode whose rows are overwritten.
    """

    def __init__(self, buffer: SequenceBuffer, batch: int) -> None:
        """Begin with nothing open."""
        self.buffer = buffer
        self.numbers, self.columns = np.full(batch, -1), np.zeros(batch, np.int64)

    def read(self, trained: int, following: int) -> Window:
        """The next `trained` rows of every column and `following` more; the first of those begins the next reading."""
        buffer, batch = self.buffer, len(self.numbers)
        rows = np.empty((trained + following, 2, batch), np.int64)
        numbers, columns = self.numbers.copy(), self.columns.copy()
        self._open(numbers, columns, numbers < buffer.oldest)
        for t, row in enumerate(rows):
            if t == trained:
                self.numbers, self.columns = numbers.copy(), columns.copy()
            row[:] = numbers, columns
            at = numbers % buffer.rows, columns
            ended = buffer.terminated[at] | buffer.truncated[at]
            numbers += 1
            self._open(numbers, columns, ended)
        return buffer.gather(rows[:, 0], rows[:, 1], np.ones(batch))

    def _open(self, numbers: np.ndarray, columns: np.ndarray, where: np.ndarray) -> None:
        """Put the first row of an episode where it is asked for."""
        if count := np.count_nonzero(where):
            openings = self.buffer.openings()
            drawn = openings[self.buffer.generator.integers(len(openings), size=count)]
            numbers[where], columns[where] = rearrange(drawn, "batch place -> place batch")
