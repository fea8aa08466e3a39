"""What experiments show on the terminal: progress while runs train, and how a run ended."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

EVERY_SECONDS = 0.5  # between two looks at an evaluation, on a bar
LINE_SECONDS = 10.0  # the same, in lines


class TrainingDisplay:
    """A run's progress bar: return, speed, env steps."""

    def __init__(self, progress: Progress, total_env_steps: int, label: str) -> None:
        self.progress = progress
        self.task = progress.add_task(label, total=total_env_steps, numbers="starting")
        self.shown_at, self.numbers = time.monotonic(), "starting"

    def row(self, keys: dict[str, float]) -> None:
        """Show a row of the record. The return comes first, since a narrow terminal cuts the line off."""
        episode_return = keys.get("charts/episodic_return")
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
        self.task = progress.add_task("all runs", total=runs, completed=complete, numbers="")
        self._show(f", {complete} found complete" if complete else "")

    @contextlib.contextmanager
    def run(self, label: str, total_env_steps: int) -> Iterator[TrainingDisplay]:
        """Show the bar of one run until it has ended."""
        display = TrainingDisplay(self.progress, total_env_steps, label)
        try:
            yield display
        finally:
            self.progress.remove_task(display.task)

    def notify(self, line: str) -> None:
        """Show a line above the bars."""
        show_line(self.progress, line)

    def end(self) -> None:
        """Count one more complete run."""
        self.complete += 1
        self._show("")

    def _show(self, more: str) -> None:
        self.progress.update(self.task, completed=self.complete, numbers=f"{self.complete} of {self.runs} runs{more}")


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
    """Show live bars on stderr; where that is not a terminal, only their last state is printed."""
    columns = (
        TextColumn("{task.description}"),
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

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.2f}"

    for name, value in (
        ("ended by", summary["exit_reason"]),
        ("env steps", f"{summary['env_steps']:,} in {summary['seconds']:.1f} s, {summary['sps']:,.0f} a second"),
        ("solved", solved),
        ("greedy evaluation", number(summary["eval_greedy"])),
        ("sampled evaluation", number(summary["eval_sampled"])),
        ("record", str(run_dir)),
    ):
        table.add_row(name, value)
    Console().print(table, highlight=False)
