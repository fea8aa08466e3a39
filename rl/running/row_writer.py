"""How closed rows come into the record."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from rl.record.keys import Evaluation, row_as_keys
from rl.record.record import Record
from rl.running.evaluations import evaluate_newest
from rl.running.outcome import Outcome
from rl.running.setup import Setup
from rl.shared.rows import Row

OnRow = Callable[[dict[str, float | None]], Any]  # is given each row of the record


def ignore(_row: dict[str, float]) -> None:
    """Do nothing with a row."""


class RowWriter:
    """Writes the ledger's closed rows, and plays the evaluations that fall into them."""

    def __init__(self, setup: Setup, outcome: Outcome) -> None:
        self.setup, self.outcome, self.written = setup, outcome, 0
        self.record: Record | None = None
        self.on_row: OnRow = ignore
        self.awaited = set(setup.config.logged_infos)
        self.on_evaluation: Callable[[Evaluation, Tensor], Any] = lambda _evaluation, _parameters: None

    def open(self, record: Record, on_row: OnRow) -> None:
        """Write to this record from now on."""
        self.record, self.on_row = record, on_row

    def write(self, stop: Callable[[], bool], at_end: bool = False) -> None:
        """Write the closed rows, up to one whose evaluation `stop` cuts short.

        Args:
            stop: whether to cut an evaluation short.
            at_end: write all rows, those without their evaluation too: a resumed run writes anew what lies behind its
                checkpoint.
        """
        ledger = self.setup.ledger
        for row in ledger.rows.closed(self.written):
            evaluation = None
            if ledger.evaluates(row.env_steps - row.interval_env_steps, row.env_steps):
                evaluation = self.evaluation(stop)
                if evaluation is None and not at_end:
                    return
                with self.setup.locked() as held:
                    if not held:
                        return
                    ledger.dues.evaluated()
            restarts = self.outcome.restarts if self.setup.config.restart_workers else None
            keys = row_as_keys(row, evaluation, restarts)
            self.record.append(keys)
            self.say_what_is_missing(row)
            self.written += 1
            self.on_row(keys)

    def say_what_is_missing(self, row: Row) -> None:
        """Say once which entries of --log-info the first episodes do not have."""
        if not self.awaited or not row.episodes:
            return
        self.awaited -= set(row.infos)
        if self.awaited:
            names = ",".join(name for name in self.setup.config.logged_infos if name in self.awaited)
            self.outcome.notify(f"--log-info {names}: none of the first {row.episodes} episodes has it as a number")
            self.awaited = set()

    def evaluation(self, stop: Callable[[], bool]) -> Evaluation | None:
        """The evaluation of a row; None where it was cut short or has failed."""
        evaluation = None
        if not self.outcome.stopping:
            with self.outcome.noting_faults():
                if found := evaluate_newest(self.setup, stop):
                    evaluation, parameters = found
                    self.on_evaluation(evaluation, parameters)
        return evaluation
