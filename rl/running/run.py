"""One run, from its config to its summary.

setup ──► workers push ──► ledger ──► duties ──► record, checkpoints ──► summary
                                        │
            outcome (signal, fault) ────┘
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rl.acting.evaluate import MakeEnvironments, Progress, show_nothing
from rl.acting.threads import one_thread
from rl.config import Config
from rl.loop import NO_OVERRIDES, Overrides
from rl.record.checkpoint import save_checkpoint
from rl.record.messages import Notify, to_stderr
from rl.record.record import Record
from rl.running import resume
from rl.running.best import Best
from rl.running.checkpoints import Checkpoints
from rl.running.crew import Crew
from rl.running.duties import Duties, never
from rl.running.folder import RunFolder, choose_run_dir
from rl.running.initial import begin_with_parameters
from rl.running.outcome import Outcome
from rl.running.preflight import refuse_while_importing, require_threshold
from rl.running.row_writer import OnRow, RowWriter, ignore
from rl.running.serial import train_serially
from rl.running.setup import Setup, set_up
from rl.running.signals import noted_signals
from rl.running.summary import summarise
from rl.running.verdicts import Verdicts
from rl.running.worker import OWN_WORKERS, Workers


def new_run(
    config: Config,
    make_environments: MakeEnvironments,
    overrides: Overrides = NO_OVERRIDES,
    workers: Workers = OWN_WORKERS,
) -> "Run":
    """A run from the start; `execute` trains it.

    Raises:
        ValueError: an option cannot work; nothing was started or written.
    """
    refuse_while_importing()
    folder = RunFolder(config, choose_run_dir(config))
    setup = set_up(config, make_environments, overrides)
    require_threshold(config, setup.reward_threshold)
    begin_with_parameters(setup)
    return Run(setup, folder, workers, resume.from_the_start(setup))


def resumed_run(
    run_dir: str | Path,
    make_environments: MakeEnvironments,
    overrides: Overrides = NO_OVERRIDES,
    workers: Workers = OWN_WORKERS,
    changes: Mapping[str, Any] = {},
    warm_restart: bool = False,
) -> "Run":
    """A run that continues from its checkpoint with its own config; in serial and sync mode as if it never stopped.

    Environments without a `state_dict` begin new episodes, with random numbers that the run has not used. A complete
    run whose evaluations were not played plays them.

    Args:
        run_dir: the folder of the run.
        make_environments: builds vector environments.
        overrides: what an experiment puts in the place of rl's own.
        workers: where the workers come from.
        changes: options of the part that begins, by name; `rl.running.changes` says which may change.
        warm_restart: anneal the learning rate from its first value again, from here on.

    Raises:
        ValueError: there is no readable checkpoint, the run was complete, or an option cannot change.
    """
    refuse_while_importing()
    resumed = resume.read_checkpoint(run_dir, overrides, changes, warm_restart)
    setup = set_up(resumed.config, make_environments, overrides, resumed.env_steps)
    folder = RunFolder(resumed.config, Path(run_dir), resumed.file_id)
    return Run(setup, folder, workers, resume.from_checkpoint(resumed, setup))


class Run:
    """The parent's part of a run."""

    def __init__(self, setup: Setup, folder: RunFolder, workers: Workers, continuation: resume.Continuation) -> None:
        """Keep the parts; the run starts and writes in `execute`."""
        self.setup, self.folder, self.workers, self.continuation = setup, folder, workers, continuation
        self.outcome = Outcome(setup.config, setup.ledger, continuation.restarts)
        self.duties = Duties(
            setup,
            self.outcome,
            Verdicts(setup, continuation.attempts),
            RowWriter(setup, self.outcome),
            Checkpoints(setup, folder, self.outcome, continuation.worker_states),
        )
        self.best = Best(self.duties.checkpoints)
        self.duties.rows.on_evaluation = self.best.offer

    @one_thread()
    def execute(
        self, notify: Notify = to_stderr, on_row: OnRow = ignore, on_evaluation: Progress = show_nothing
    ) -> dict[str, Any]:
        """Train, then leave a checkpoint, a record and a summary, whatever happened.

        Args:
            notify: shows a line to the user.
            on_row: is given each row of the record as it is written.
            on_evaluation: is told at every step of an evaluation how far it is.

        Returns:
            The summary, as in summary.json. `exit_code` is 0, 1 after a fault, 128 + signal after a signal.
        """
        setup, outcome, duties = self.setup, self.outcome, self.duties
        refuse_while_importing()
        outcome.notify, setup.playing.progress = notify, on_evaluation
        was_solved = setup.ledger.crossings.confirmed
        with noted_signals(outcome.note_signal), self.folder.held():
            record = self.open_record(notify, on_row)
            with outcome.noting_faults():
                self.begin_part()
                self.train()
            duties.answer()
            with outcome.noting_faults():
                if outcome.solved and not was_solved:
                    # The run ends at its crossing: asynchronous workers have trained while it was being confirmed.
                    setup.learner.parameters.copy_(torch.from_numpy(setup.memory.candidate.parameters))
                duties.save()
            with outcome.noting_faults():
                setup.ledger.close_row()
                duties.rows.write(never, at_end=True)
            summary = summarise(setup, outcome, duties.verdicts.all(), duties.startup_seconds, self.best)
            try:
                record.close(summary)
            except OSError as error:  # a full disk, for one
                outcome.fail(f"the summary could not be written: {error}")
                reason = summary["exit_reason"] if summary["exit_code"] else outcome.fault
                summary |= {"exit_reason": reason, "exit_code": 1}
            if outcome.starts_itself and not self.continuation.resumed:
                shutil.rmtree(self.folder.path, ignore_errors=True)  # the folder was empty, and nothing was trained
        return summary

    def open_record(self, notify: Notify, on_row: OnRow) -> Record:
        """Begin the record, or continue it, and say what there is to say first."""
        for line in (self.continuation.line, *self.setup.notes):
            if line:
                notify(line)
        config, ledger = self.setup.config, self.setup.ledger
        resumed = self.continuation.resumed
        record = Record(
            self.folder.path,
            config,
            self.setup.reward_threshold,
            self.setup.spaces,
            notify,
            self.continuation.resumed_at,
            ledger.rows.written_to(0),
            resumed.changed if resumed else {},
        )
        self.duties.rows.open(record, on_row)
        return record

    def begin_part(self) -> None:
        """Give the checkpoint the options of the part that begins: whatever happens, the next one has them, too."""
        resumed = self.continuation.resumed
        self.best.open(resumed is not None)
        if resumed and resumed.changed:
            save_checkpoint(self.folder.checkpoint, resumed.config, resumed.state)

    @property
    def is_trained(self) -> bool:
        """Whether nothing but evaluations is missing."""
        return self.setup.ledger.finished or self.outcome.solved

    def train(self) -> None:
        """Train in this process or in workers, unless only evaluations are missing."""
        states = self.continuation.worker_states
        if self.is_trained:
            return
        if self.setup.config.mode == "serial":
            train_serially(self.setup, self.duties, states[0])
        else:
            Crew(self.setup, self.workers, self.outcome, self.duties, states).train()
