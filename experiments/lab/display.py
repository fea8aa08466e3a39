"""What experiments show on the terminal: progress while runs train, and how a run ended."""

import contextlib
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from experiments.lab.progress_lines import Speed

EVERY_SECONDS = 0.5  # between two looks at an evaluation, on a bar
LINE_SECONDS = 10.0  # the same, in lines


class TrainingDisplay:
    """A run's progress bar: return, speed, env steps."""

    def __init__(self, progress: Progress, total_env_steps: int, label: str) -> None:
        self.progress, self.label, self.total_env_steps = progress, label, total_env_steps
        self.task = progress.add_task(label, total=total_env_steps, numbers="starting")
        self.shown_at, self.numbers = time.monotonic(), "starting"
        self.ledger: Any = None
        self.speed, self.episode_return = Speed(), None

    def watch(self, ledger: Any) -> None:
        """Take the ledger that `line` looks at."""
        self.ledger = ledger
        self.speed.look(ledger.env_steps)

    def line(self) -> str:
        """How far the run is, in a line; empty until it learns."""
        env_steps = self.ledger.env_steps if self.ledger else 0
        speed = self.speed.look(env_steps)
        if not speed and not (env_steps and self.ledger.finished):
            return ""
        shown = "" if self.episode_return is None else f", return {self.episode_return:.2f}"
        now = "evaluating" if self.ledger.finished else f"{speed:,.0f} steps/s"
        return f"{self.label}: {env_steps:,} of {self.total_env_steps:,} env steps{shown}, {now}"

    def row(self, keys: dict[str, float | None]) -> None:
        """Show a row of the record. The return comes first, since a narrow terminal cuts the line off."""
        episode_return = keys.get("charts/episodic_return")
        self.episode_return = self.episode_return if episode_return is None else episode_return
        shown = "" if episode_return is None else f"return {episode_return:6.2f}  "
        self.numbers = f"{shown}{keys['charts/SPS']:,.0f} steps/s  {keys['global_step']:,} steps"
        self.progress.update(self.task, completed=keys["global_step"], numbers=self.numbers)

    def evaluation(self, ended: int, episodes: int, steps: int) -> None:
        """Show how far an evaluation is, a few times a second; it is told at every step."""
        if ended == episodes:
            self.progress.update(self.task, numbers=self.numbers)
        elif time.monotonic() - self.shown_at > EVERY_SECONDS:
            self.shown_at = time.monotonic()
            numbers = f"evaluation: {ended} of {episodes}, {steps:,} steps"
            self.progress.update(self.task, numbers=numbers)

    def notify(self, line: str) -> None:
        """Show a line above the bars."""
        show_line(self.progress, line)


class StudyDisplay:
    """A progress bar for all runs of a study, and another for the run in training."""

    def __init__(self, progress: Progress, runs: int, complete: int) -> None:
        self.progress, self.runs, self.complete = progress, runs, complete
        self.found, self.began = complete, time.monotonic()
        self.running: TrainingDisplay | None = None
        self.task = progress.add_task("all runs", total=runs, completed=complete, numbers="")
        self._show(f", {complete} found complete" if complete else "")

    @contextlib.contextmanager
    def run(self, label: str, total_env_steps: int) -> Iterator[TrainingDisplay]:
        """Show the bar of one run until it has ended."""
        display = self.running = TrainingDisplay(self.progress, total_env_steps, label)
        try:
            yield display
        finally:
            self.running = None
            self.progress.remove_task(display.task)

    def notify(self, line: str) -> None:
        """Show a line above the bars."""
        show_line(self.progress, line)

    def line(self) -> str:
        """How far the study is, in a line."""
        running = self.running.line() if self.running else ""
        return f"{self.complete} of {self.runs} runs{self.left()}" + (f"; {running}" if running else "")

    def left(self) -> str:
        """How long the other runs take if they are like those that have ended here; empty before the first one."""
        ended, others = self.complete - self.found, self.runs - self.complete
        if not ended or not others:
            return ""
        return f", about {in_words((time.monotonic() - self.began) / ended * others)} left"

    def end(self) -> None:
        """Count one more complete run."""
        self.complete += 1
        self._show(self.left())

    def _show(self, more: str) -> None:
        self.progress.update(self.task, completed=self.complete, numbers=f"{self.complete} of {self.runs} runs{more}")


def in_words(seconds: float) -> str:
    """A duration: 40 s, 12 min, 3.5 h."""
    if seconds < 5400:
        return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def show_line(progress: Progress, line: str) -> None:
    """Show a line above the bars, as it is."""
    progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def shown_progress(label: str) -> Iterator[Callable[[int, int, int], None]]:
    """Show on stderr how far an evaluation is: a line every ten seconds, so that a short one shows nothing."""
    shown_at = time.monotonic()

    def show(ended: int, episodes: int, steps: int) -> None:
        nonlocal shown_at
        if time.monotonic() - shown_at > LINE_SECONDS:
            shown_at = time.monotonic()
            words = f"{label}: {ended} of {episodes} episodes have ended, the others have taken {steps:,} steps"
            print(words, file=sys.stderr, flush=True)

    yield show


@contextlib.contextmanager
def training_progress() -> Iterator[Progress]:
    """Show live bars on stderr; where that is not a terminal, only their last state is printed, and lines before it."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(8),
        TimeElapsedColumn(),
        TextColumn("{task.fields[numbers]}", table_column=Column(ratio=1, no_wrap=True)),  # takes what is left
    )
    with Progress(*columns, console=Console(stderr=True), expand=True) as progress:
        yield progress


def show_summary(run_dir: Path, summary: dict[str, Any]) -> None:
    """Print how a run ended."""
    table = Table(show_header=False, box=None)
    solved = "no"
    if summary["solved"]:
        solved = f"at {summary['solved_at_env_steps']:,} env steps, {summary['solved_at_seconds']:.1f} s of training"

    speed = "-" if summary["sps"] is None else f"{summary['sps']:,.0f}"

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    for name, value in (
        ("ended by", summary["exit_reason"]),
        ("env steps", f"{summary['env_steps']:,} in {summary['seconds']:.1f} s, {speed} a second"),
        ("solved", solved),
        ("greedy evaluation", number(summary["eval_greedy"])),
        ("sampled evaluation", number(summary["eval_sampled"])),
        ("record", str(run_dir)),
    ):
        table.add_row(name, value)
    Console(markup=False).print(table, highlight=False)
    if summary["exit_code"] and (run_dir / "checkpoint.pt").exists():
        command = shlex.join(["python", "-m", "experiments.train", "--resume", str(run_dir)])
        Console().print(f"go on with: {command}", highlight=False, markup=False, soft_wrap=True)
