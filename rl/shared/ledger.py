"""The ledger: what a run has seen so far, in shared memory. Only the holder of the learner's lock writes to it.

Each push enters its update: env steps, losses, episodes, CPU seconds. The push that completes an interval of env steps
closes its row, so the record depends on what was learnt and never on when somebody looked.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rl.config import Config
from rl.shared.arrays import SharedArrays
from rl.shared.clock import CLOCK, Clock
from rl.shared.dues import DUES, Dues
from rl.shared.published import Pages, Publication, published
from rl.shared.rows import Rows
from rl.shared.solved import Crossings

STALENESS_BINS = 64  # the last one also holds whatever is older
PROGRESS = {
    "env_steps": ((1,), np.int64),
    "updates": ((1,), np.int64),
    "finished": ((1,), np.int64),
    "cpu_seconds": ((1,), np.float64),
    "staleness": ((STALENESS_BINS,), np.int64),
}
SAVED = (  # arrays that a resumed run needs
    "env_steps",
    "updates",
    "returns",
    "returns_seen",
    "crossing",
    "sums",
    "undefined",
    "opened",
    "staleness",
    "cpu_seconds",
    "attempt",
    "evaluation_due",
)


class Ledger:
    """The progress of a run; its clock, its crossings, its rows, and what is due."""

    def __init__(
        self, config: Config, reward_threshold: float | None, publication: Publication, start_env_steps: int = 0
    ) -> None:
        self.config = config
        layout = {**PROGRESS, **CLOCK, **DUES, **Crossings.layout(config), **Rows.layout(config)}
        self.pages = Pages(publication, layout)
        self.clock = Clock(self.pages)
        self.crossings = Crossings(self.pages, config, reward_threshold)
        self.dues = Dues(self.pages, self.clock, self.crossings, workers_wait=config.mode != "async")
        self.rows = Rows(self.pages, config)
        self._requests = SharedArrays({"stop": ((1,), np.int64)})  # no pages: a request is one store
        now = self.pages.now
        now.env_steps[0] = now.checkpointed[0] = now.opened[0] = start_env_steps
        now.finished[0] = start_env_steps >= config.total_env_steps

    @property
    def env_steps(self) -> int:
        """Environment transitions that have been learnt from."""
        return int(self.pages.now.env_steps[0])

    @property
    def updates(self) -> int:
        """Gradients applied: the version of the parameters."""
        return int(self.pages.now.updates[0])

    @property
    def cpu_seconds(self) -> float:
        """Seconds that workers kept a CPU busy with acting and learning, added up.

        What follows the gradient, the optimiser's step above all, is left out: 5 to 7 % more in all algorithms.
        """
        return float(self.pages.now.cpu_seconds[0])

    @property
    def staleness(self) -> list[int]:
        """How many gradients were 0, 1, 2, … versions old when they were applied, up to the oldest seen."""
        return np.trim_zeros(self.pages.now.staleness, "b").tolist()

    # --- the end

    def request_stop(self) -> None:
        """Ask the workers to end. They do after the next push, all after the same one. This needs no lock."""
        self._requests.stop[0] = 1

    @property
    def complete(self) -> bool:
        """Whether the run has trained for as long as it should."""
        limits = (
            (self.config.max_seconds, self.clock.trained_seconds),
            (self.config.max_cpu_seconds, self.cpu_seconds),
        )
        return self.env_steps >= self.config.total_env_steps or any(0 < limit <= spent for limit, spent in limits)

    @property
    def finished(self) -> bool:
        """Whether workers should end. It changes only with a push or while workers wait, so sync workers agree."""
        return bool(self.pages.now.finished[0])

    @published
    def finish(self) -> None:
        """End the run here."""
        self.pages.now.finished[0] = 1

    # --- what workers wait for

    @property
    def workers_wait(self) -> bool:
        """Whether workers wait until the parent has judged, evaluated or saved, or has ended the run instead."""
        return self.dues.workers_wait and self.dues.count() > 0 and not self.finished

    def start_clock(self) -> None:
        """Training begins."""
        self.clock.start(paused=self.workers_wait)

    # --- a push

    @published
    def record(
        self,
        env_steps: int,
        losses: dict[str, float],
        episodes: Sequence[tuple[float, int]] | np.ndarray,
        cpu_seconds: float = 0.0,
    ) -> None:
        """Enter one update.

        Args:
            env_steps: transitions that are new.
            losses: logged numbers; without any it is no update, but steps that only went into a replay buffer.
            episodes: return and length of each episode that ended, and its entries of --log-info.
            cpu_seconds: seconds that the worker kept a CPU busy.
        """
        now = self.pages.now
        now.env_steps[0] += env_steps
        now.cpu_seconds[0] += cpu_seconds
        self.clock.note_update()
        if losses:
            now.updates[0] += 1
            now.staleness[min(int(losses["staleness"]), STALENESS_BINS - 1)] += 1
            self.rows.add_update(losses)
        if len(episodes):
            returns, lengths, *infos = np.array(episodes, dtype=np.float64).T
            self.rows.add_episodes(returns, lengths, infos)
            self.crossings.add(returns)
        if self.env_steps // self.config.log_interval > self.rows.opened_at // self.config.log_interval:
            self.close_row()
        if self.env_steps - self.dues.saved_at >= self.config.checkpoint_interval:
            self.dues.ask_for_checkpoint()
        if self._requests.stop[0] or self.complete:
            self.finish()

    def crosses(self) -> bool:
        """Whether the mean return has just reached the threshold; if so, a verdict is due."""
        return self.dues.ask_for_verdict(self.env_steps, self.clock.trained_seconds)

    @published
    def close_row(self) -> None:
        """Close the open row, if anything was entered, and ask for its evaluation where one falls into it."""
        start, end = self.rows.opened_at, self.env_steps
        if end == start:
            return
        self.rows.close(end, self.clock.trained_seconds, self.cpu_seconds)
        if self.evaluates(start, end):
            self.dues.ask_for_evaluation()

    def evaluates(self, start: int, end: int) -> bool:
        """Whether an evaluation falls into a row of these env steps."""
        interval = self.config.eval_interval
        return interval > 0 and end // interval > start // interval

    # --- a run that is resumed

    def state(self, rows_written: int = 0) -> dict[str, Any]:
        """What a resumed run needs of the ledger, as plain Python, with the closed rows from a number on.

        `pending` says whether a verdict or an evaluation is still to come.
        """
        rows = self.rows.state(rows_written)
        return {
            "arrays": {name: getattr(self.pages.now, name).tolist() for name in SAVED},
            "solved": self.crossings.confirmed,
            "seconds": self.clock.trained_seconds,
            "rows": rows,
            "pending": self.crossings.pending or len(rows) > 0,
        }

    @published
    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from a `state`; the rows in it become the first closed ones."""
        for name, values in state["arrays"].items():
            getattr(self.pages.now, name)[:] = values
        if state["solved"]:  # all that older checkpoints say of it
            self.crossings.judge(confirmed=True)
        self.rows.load_state(state.get("rows", []))
        self.pages.now.checkpointed[0] = self.env_steps
        self.clock.resumed_seconds = state["seconds"]
        self.pages.now.finished[0] = self.complete
