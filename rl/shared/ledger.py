"""The ledger: what the run has seen so far, in shared memory. Whoever writes to it holds the learner's lock.

Progress of the run (env steps, updates, the clock), the window of episode returns that decides 'solved', and the rows
of the record. A row is closed by the push that completes its interval of env steps, so the record depends on what was
learnt and never on when somebody looked. It also says which of the Learner's two pages of vectors is valid, so that an
update and its entry are published by one store, whole or not at all.
"""

import functools
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np

from rl.config import Config
from rl.shared.arrays import Pages, SharedArrays

OF_UPDATES = ("grad_norm", "staleness", "learning_rate")
STALENESS_BINS = 64  # the last one also holds whatever is older
_IDLE, _PENDING, _SOLVED = range(3)
OPENED_AT = 3  # the column of a closed row


class Row(NamedTuple):
    """One interval of the record, summed."""

    env_steps: int
    seconds: float  # of training
    cpu_seconds: float  # that workers kept a core busy
    interval_env_steps: int
    interval_seconds: float
    updates: int
    losses: dict[str, float]  # means over the interval's updates; empty without one
    episodes: int
    episode_return: float  # mean over the interval's episodes; 0 without one
    episode_length: float


def whole(write: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method's writes be published together when it returns, or with the change that it is part of."""

    @functools.wraps(write)
    def published(ledger: "Ledger", *arguments: Any, **named: Any) -> Any:
        with ledger.change():
            return write(ledger, *arguments, **named)

    return published


class Ledger:
    """Counters, solved window and record rows of a run."""

    def __init__(self, config: Config, reward_threshold: float | None, start_env_steps: int = 0) -> None:
        self.total_env_steps, self.log_interval = config.total_env_steps, config.log_interval
        self.eval_interval, self.checkpoint_interval = config.eval_interval, config.checkpoint_interval
        self.max_seconds = config.max_seconds or float("inf")
        self.max_cpu_seconds = config.max_cpu_seconds or float("inf")
        self.losses = (*config.algorithm_record.losses, *OF_UPDATES)
        self.reward_threshold = reward_threshold
        self.waits_for_parent = config.mode != "async"
        self.solved_episodes = max(100, 2 * config.total_environments)
        rows = config.total_env_steps // config.log_interval + 2  # of the whole run: it may go on with unwritten ones
        rows += config.workers  # async: each of the others may push once more behind the last env step
        sums = len(self.losses) + 4  # the losses, then updates, episodes, Σ return, Σ length
        self.pages = Pages(
            {
                "vectors": ((1,), np.int64),  # which of their pages is valid
                "env_steps": ((1,), np.int64),
                "updates": ((1,), np.int64),
                "finished": ((1,), np.int64),
                "clock": ((3,), np.float64),  # start, paused seconds, start of a pause or 0
                "last_update": ((1,), np.float64),  # seconds
                "cpu_seconds": ((1,), np.float64),
                "returns": ((self.solved_episodes,), np.float64),
                "returns_seen": ((1,), np.int64),  # since the window was last emptied
                "attempt": ((1,), np.int64),
                "evaluation_due": ((1,), np.int64),
                "checkpoint_due": ((1,), np.int64),
                "checkpointed": ((1,), np.int64),  # env steps of the last one
                "checkpoints": ((1,), np.int64),
                "crossing": ((3,), np.float64),  # env steps, seconds, window mean
                "sums": ((sums,), np.float64),
                "opened": ((2,), np.float64),  # env steps and seconds at which the open row began
                "rows_closed": ((1,), np.int64),
                "staleness": ((STALENESS_BINS,), np.int64),
            }
        )
        # Not in pages: a row is written behind the last closed one, a request is one store.
        self.closed = SharedArrays({"rows": ((rows, sums + 5), np.float64)})
        self.requests = SharedArrays({"stop": ((1,), np.int64)})
        self.resumed_seconds = 0.0
        self.shared.env_steps[0] = self.shared.checkpointed[0] = start_env_steps
        self.shared.opened[0] = start_env_steps
        self.shared.finished[0] = start_env_steps >= config.total_env_steps

    @property
    def shared(self) -> SharedArrays:
        """What holds now."""
        return self.pages.now

    def change(self) -> AbstractContextManager[None]:
        """Publish everything that is written within it at its end; whoever writes holds the lock."""
        return self.pages.change()

    # --- the clock of training: it starts with the first segment and stands still while workers wait for the parent

    @whole
    def start_clock(self) -> None:
        """Start to count, from where a resumed run stopped."""
        now = time.monotonic()
        self.shared.clock[:] = now - self.resumed_seconds, 0.0, now if self.waiting else 0.0

    def seconds(self) -> float:
        """Seconds of training so far; before the clock starts, those of the run that is resumed."""
        start, paused, pause = self.shared.clock
        return float((pause or time.monotonic()) - start - paused) if start else self.resumed_seconds

    @property
    def waiting(self) -> bool:
        """Whether workers stand still until the parent has judged, evaluated or saved, or has ended the run instead.

        Async ones go on meanwhile.
        """
        return self.waits_for_parent and self._dues() > 0 and not self.finished

    def _dues(self) -> int:
        """How many things the parent has to do."""
        return self.attempt_pending + int(self.shared.evaluation_due[0]) + int(self.shared.checkpoint_due[0])

    def stop_clock(self) -> None:
        """Stand still from here on, with the workers."""
        if self.waits_for_parent:
            self.shared.clock[2] = time.monotonic()

    def go_on(self, name: str, outcome: int) -> None:
        """Settle what the parent was waited for; the clock goes on with the last of it."""
        clock = self.shared.clock
        if clock[2] and self._dues() == 1:
            clock[1] += time.monotonic() - clock[2]
            clock[2] = 0.0
        getattr(self.shared, name)[0] = outcome

    @property
    def trained_seconds(self) -> float:
        """Seconds of training at the last update: what came after it, such as processes ending, is not training."""
        return float(self.shared.last_update[0]) or self.resumed_seconds

    @property
    def cpu_seconds(self) -> float:
        """Seconds that workers kept a core busy with acting and learning, added up.

        What follows the gradient, the optimiser's step above all, is left out: 5 to 7 % more in all algorithms.
        """
        return float(self.shared.cpu_seconds[0])

    # --- progress

    @property
    def env_steps(self) -> int:
        """Environment transitions that have been learnt from."""
        return int(self.shared.env_steps[0])

    @property
    def updates(self) -> int:
        """Gradients applied: the version of the parameters."""
        return int(self.shared.updates[0])

    def request_stop(self) -> None:
        """Ask every worker to end; they do after the next push, all after the same one."""
        self.requests.stop[0] = 1

    @property
    def finished(self) -> bool:
        """Whether workers should end. Changes only with a push, or while they stand still, so sync workers agree."""
        return bool(self.shared.finished[0])

    @property
    def complete(self) -> bool:
        """Whether the run has trained for as long as it should."""
        if self.env_steps >= self.total_env_steps:
            return True
        return self.trained_seconds >= self.max_seconds or self.cpu_seconds >= self.max_cpu_seconds

    @whole
    def finish(self) -> None:
        """End the run here."""
        self.shared.finished[0] = 1

    # --- writing, under the lock

    @whole
    def record(
        self,
        env_steps: int,
        losses: dict[str, float],
        episodes: Sequence[tuple[float, int]] | np.ndarray,
        cpu_seconds: float = 0.0,
    ) -> None:
        """Enter one update: its env steps, its logged numbers, return and length of each episode that ended in it.

        Without losses it is no update: steps that only went into a replay buffer.
        """
        shared, count = self.shared, len(self.losses)
        shared.env_steps[0] += env_steps
        shared.cpu_seconds[0] += cpu_seconds
        shared.last_update[0] = self.seconds()
        if losses:
            shared.updates[0] += 1
            shared.staleness[min(int(losses["staleness"]), STALENESS_BINS - 1)] += 1
            shared.sums[:count] += [losses[name] for name in self.losses]
            shared.sums[count] += 1
        if len(episodes):
            returns, lengths = np.array(episodes, dtype=np.float64).T
            shared.sums[count + 1 :] += len(returns), returns.sum(), lengths.sum()
            shared.returns_seen[0] += len(returns)
            newest = returns[-self.solved_episodes :]
            shared.returns[(shared.returns_seen[0] + np.arange(-len(newest), 0)) % self.solved_episodes] = newest
        if self.env_steps // self.log_interval > self.row_opened_at // self.log_interval:
            self.close_row()
        if self.env_steps - self.saved_at >= self.checkpoint_interval:
            shared.checkpoint_due[0] = 1
            self.stop_clock()
        if self.requests.stop[0] or self.complete:
            self.finish()

    @whole
    def close_row(self) -> None:
        """End the open row, if anything was entered, and open the next."""
        shared = self.shared
        if self.env_steps == self.row_opened_at:
            return
        now = self.trained_seconds
        self.closed.rows[shared.rows_closed[0]] = self.env_steps, now, self.cpu_seconds, *shared.opened, *shared.sums
        shared.rows_closed[0] += 1
        if self.evaluates(self.row_opened_at, self.env_steps):
            shared.evaluation_due[0] = 1
            self.stop_clock()
        shared.opened[:] = self.env_steps, now
        shared.sums[:] = 0.0

    # --- evaluations in training

    def evaluates(self, start: int, end: int) -> bool:
        """Whether one falls into a row of these env steps."""
        return self.eval_interval > 0 and end // self.eval_interval > start // self.eval_interval

    @whole
    def evaluated(self) -> None:
        """It was played: workers that waited for it go on."""
        self.go_on("evaluation_due", 0)

    # --- checkpoints

    @property
    def checkpoint_due(self) -> bool:
        """Whether the state of the run should be saved, with that of its workers."""
        return bool(self.shared.checkpoint_due[0])

    @property
    def checkpoint_number(self) -> int:
        """How many were saved before."""
        return int(self.shared.checkpoints[0])

    @property
    def saved_at(self) -> int:
        """Env steps of the last one."""
        return int(self.shared.checkpointed[0])

    @whole
    def checkpointed(self) -> None:
        """It was saved: workers that waited for it go on."""
        self.shared.checkpointed[0] = self.env_steps
        self.shared.checkpoints[0] += 1
        self.go_on("checkpoint_due", 0)

    # --- solved: the window's mean crosses the threshold, and fresh episodes confirm it

    @property
    def window_mean(self) -> float | None:
        """Mean return of the last max(100, 2 · environments) episodes, or None while they are fewer."""
        return float(self.shared.returns.mean()) if self.shared.returns_seen[0] >= self.solved_episodes else None

    @whole
    def crosses(self) -> bool:
        """Whether the window has just reached the threshold; if so, an attempt is pending until `judge`.

        Sync and serial workers wait for the verdict with the clock standing still; async ones go on meanwhile.
        """
        if self.reward_threshold is None or self.shared.attempt[0] != _IDLE:
            return False
        mean = self.window_mean
        if mean is None or mean < self.reward_threshold:
            return False
        self.shared.crossing[:] = self.env_steps, self.trained_seconds, mean
        self.shared.attempt[0] = _PENDING
        self.stop_clock()
        return True

    @property
    def attempt_pending(self) -> bool:
        """Whether a crossing waits for its evaluation."""
        return bool(self.shared.attempt[0] == _PENDING)

    @property
    def solved(self) -> bool:
        """Whether a crossing was confirmed."""
        return bool(self.shared.attempt[0] == _SOLVED)

    @property
    def crossing(self) -> tuple[int, float, float]:
        """Env steps, seconds and window mean of the last crossing."""
        env_steps, seconds, mean = self.shared.crossing
        return int(env_steps), float(seconds), float(mean)

    @whole
    def judge(self, confirmed: bool) -> None:
        """Settle the pending attempt; a failed one empties the window, which must refill."""
        if not confirmed:
            self.shared.returns_seen[0] = 0
        self.go_on("attempt", _SOLVED if confirmed else _IDLE)

    # --- reading

    @property
    def row_opened_at(self) -> int:
        """Env steps at which the open row began."""
        return int(self.shared.opened[0])

    @property
    def staleness(self) -> list[int]:
        """How many gradients were 0, 1, 2, … versions old when they were applied, up to the oldest seen."""
        return np.trim_zeros(self.shared.staleness, "b").tolist()

    def state(self, rows_written: int = 0) -> dict[str, Any]:
        """What a resumed run needs of the ledger, as plain Python, with the closed rows from a number on.

        `pending`: whether a verdict or an evaluation is still to come.
        """
        shared = self.shared
        names = (
            "env_steps",
            "updates",
            "returns",
            "returns_seen",
            "crossing",
            "sums",
            "opened",
            "staleness",
            "cpu_seconds",
            "attempt",
            "evaluation_due",
        )
        arrays = {name: getattr(shared, name).tolist() for name in names}
        rows = self.closed.rows[rows_written : int(shared.rows_closed[0])].tolist()
        return {
            "arrays": arrays,
            "solved": self.solved,
            "seconds": self.trained_seconds,
            "rows": rows,
            "pending": self.attempt_pending or len(rows) > 0,
        }

    @whole
    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state()`, with the rows that came with it as the first closed ones."""
        for name, values in state["arrays"].items():
            getattr(self.shared, name)[:] = values
        if state["solved"]:  # all that older checkpoints say of it
            self.shared.attempt[0] = _SOLVED
        rows = state.get("rows", [])
        self.closed.rows[: len(rows)] = rows or 0.0
        self.shared.rows_closed[0] = len(rows)
        self.shared.checkpointed[0] = self.env_steps
        self.resumed_seconds = state["seconds"]
        self.shared.finished[0] = self.complete

    def written_to(self, rows_written: int) -> int:
        """Env steps at which the first row opened that is not among so many closed ones."""
        if rows_written < self.shared.rows_closed[0]:
            return int(self.closed.rows[rows_written, OPENED_AT])
        return self.row_opened_at

    def rows(self, start: int) -> list[Row]:
        """The closed rows from number `start` on."""
        rows = []
        for values in self.closed.rows[start : int(self.shared.rows_closed[0])].tolist():
            env_steps, seconds, cpu_seconds, opened_env_steps, opened_seconds, *sums = values
            updates, episodes, total_return, total_length = sums[len(self.losses) :]
            losses = {name: total / updates for name, total in zip(self.losses, sums, strict=False) if updates}
            mean_return, mean_length = total_return / max(episodes, 1), total_length / max(episodes, 1)
            rows.append(
                Row(
                    int(env_steps),
                    seconds,
                    cpu_seconds,
                    int(env_steps - opened_env_steps),
                    seconds - opened_seconds,
                    int(updates),
                    losses,
                    int(episodes),
                    mean_return,
                    mean_length,
                )
            )
        return rows
