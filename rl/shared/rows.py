"""The rows of the record, as sums."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from rl.config import Config
from rl.shared.arrays import SharedArrays
from rl.shared.published import Pages, published

OF_UPDATES = ("grad_norm", "staleness", "learning_rate")  # what is logged of an update beside its losses
_COUNTS = 4  # updates, episodes, Σ return, Σ length
_ENDS = 5  # env steps, seconds and CPU seconds at the end of a row; env steps and seconds at its beginning
_OPENED_AT = 3  # the column of a closed row with the env steps at its beginning


class Row(NamedTuple):
    """One interval of the record."""

    env_steps: int
    seconds: float  # of training
    cpu_seconds: float  # of acting and learning
    interval_env_steps: int
    interval_seconds: float
    updates: int
    losses: dict[str, float | None]  # means over the interval's updates, None of what was undefined; empty without one
    episodes: int
    episode_return: float  # mean over the interval's episodes; 0 without one
    episode_length: float
    infos: dict[str, float]  # means over the episodes that have the entry; without those that no episode has


class Rows:
    """The open row, which every push adds to, and the closed rows."""

    def __init__(self, pages: Pages, config: Config) -> None:
        """Take the ledger's pages, which hold the `layout`."""
        self.pages, self.losses, self.infos = pages, logged_losses(config), config.logged_infos
        most = config.total_env_steps // config.log_interval + 2  # a resumed run may begin with unwritten rows
        most += config.workers  # async: each of the others may push once more behind the last env step
        # No pages: a row is written behind the published count of closed rows.
        columns = _ENDS + sums(config) + len(self.losses)  # the last ones: updates without this number
        self._closed = SharedArrays({"rows": ((most, columns), np.float64)})

    @staticmethod
    def layout(config: Config) -> dict[str, Any]:
        """Arrays of the ledger's pages."""
        return {
            "sums": ((sums(config),), np.float64),
            "undefined": ((len(logged_losses(config)),), np.float64),  # updates of the open row without this number
            "opened": ((2,), np.float64),  # env steps and seconds at which the open row began
            "rows_closed": ((1,), np.int64),
        }

    @property
    def opened_at(self) -> int:
        """Env steps at which the open row began."""
        return int(self.pages.now.opened[0])

    @published
    def add_update(self, losses: dict[str, float]) -> None:
        """Add the logged numbers of an update to the open row; nan is undefined."""
        now, count = self.pages.now, len(self.losses)
        values = np.array([losses[name] for name in self.losses])
        undefined = np.isnan(values)
        now.sums[:count] += np.where(undefined, 0.0, values)
        now.sums[count] += 1
        now.undefined += undefined

    @published
    def add_episodes(self, returns: np.ndarray, lengths: np.ndarray, infos: Sequence[np.ndarray] = ()) -> None:
        """Add episodes to the open row; of each chosen entry of their infos, NaN where an episode has none."""
        known = [values[np.isfinite(values)] for values in infos]
        entries = [number for values in known for number in (len(values), values.sum())]
        self.pages.now.sums[len(self.losses) + 1 :] += len(returns), returns.sum(), lengths.sum(), *entries

    @published
    def close(self, env_steps: int, seconds: float, cpu_seconds: float) -> None:
        """Close the open row and open the next one."""
        now = self.pages.now
        self._closed.rows[now.rows_closed[0]] = env_steps, seconds, cpu_seconds, *now.opened, *now.sums, *now.undefined
        now.rows_closed[0] += 1
        now.opened[:] = env_steps, seconds
        now.sums[:] = now.undefined[:] = 0.0

    def written_to(self, written: int) -> int:
        """Env steps to which the record goes that holds so many of the closed rows."""
        if written < self.pages.now.rows_closed[0]:
            return int(self._closed.rows[written, _OPENED_AT])
        return self.opened_at

    def closed(self, start: int) -> list[Row]:
        """The closed rows from number `start` on."""
        return [self._row(*values) for values in self.state(start)]

    def _row(
        self,
        env_steps: float,
        seconds: float,
        cpu_seconds: float,
        opened_env_steps: float,
        opened_seconds: float,
        *sums: float,
    ) -> Row:
        count = len(self.losses)
        updates, episodes, total_return, total_length, *entries = sums[count:-count]
        defined = [updates - undefined for undefined in sums[-count:]]
        means = [total / of if of else None for total, of in zip(sums, defined, strict=False)]
        infos = zip(self.infos, entries[::2], entries[1::2], strict=True)
        return Row(
            int(env_steps),
            seconds,
            cpu_seconds,
            int(env_steps - opened_env_steps),
            seconds - opened_seconds,
            int(updates),
            dict(zip(self.losses, means, strict=True)) if updates else {},
            int(episodes),
            total_return / max(episodes, 1),
            total_length / max(episodes, 1),
            {name: total / count for name, count, total in infos if count},
        )

    def state(self, start: int) -> list[list[float]]:
        """The closed rows from number `start` on, as plain Python."""
        return self._closed.rows[start : int(self.pages.now.rows_closed[0])].tolist()

    @published
    def load_state(self, rows: Sequence[Sequence[float]]) -> None:
        """Make the rows of a `state` the first closed ones; those of older checkpoints have fewer columns."""
        for number, row in enumerate(rows):
            self._closed.rows[number, : len(row)] = row
        self.pages.now.rows_closed[0] = len(rows)


def sums(config: Config) -> int:
    """How many sums a row has: losses, counts, and of each entry of --log-info how often it was there and its sum."""
    return len(logged_losses(config)) + _COUNTS + 2 * len(config.logged_infos)


def logged_losses(config: Config) -> tuple[str, ...]:
    """Names of what is logged of each update."""
    return *config.algorithm_record.losses, *OF_UPDATES
