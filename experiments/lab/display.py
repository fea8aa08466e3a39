"""What experiments show on the terminal: progress while a run trains, its summary afterwards, one line for an error."""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table


class TrainingDisplay:
    """One progress bar a run: env steps, return, speed."""

    def __init__(self, progress: Progress, total_env_steps: int, label: str) -> None:
        self.progress = progress
        self.task = progress.add_task(label, total=total_env_steps, numbers="starting workers")

    def row(self, keys: dict[str, float]) -> None:
        """Show a row of the record."""
        episode_return = keys.get("charts/episodic_return")
        shown = "" if episode_return is None else f"return {episode_return:7.2f}  "
        self.progress.update(
            self.task,
            completed=keys["global_step"],
            numbers=f"{keys['global_step']:>9,} env steps  {shown}{keys['charts/SPS']:>8,.0f} a second",
        )

    def notify(self, line: str) -> None:
        """Show a line above the bars."""
        self.progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


class StudyDisplay:
    """One bar for all runs of a study, and one for the run in training."""

    def __init__(self, progress: Progress, runs: int, complete: int) -> None:
        self.progress, self.runs, self.complete = progress, runs, complete
        self.task = progress.add_task("all runs", total=runs, completed=complete, numbers="")
        self._show(f", {complete} found complete" if complete else "")

    @contextlib.contextmanager
    def run(self, label: str, total_env_steps: int) -> Iterator[TrainingDisplay]:
        """The bar of one run, gone when it has ended."""
        display = TrainingDisplay(self.progress, total_env_steps, label)
        try:
            yield display
        finally:
            self.progress.remove_task(display.task)

    def end(self) -> None:
        """One more run is complete."""
        self.complete += 1
        self._show("")

    def _show(self, more: str) -> None:
        self.progress.update(self.task, completed=self.complete, numbers=f"{self.complete} of {self.runs} runs{more}")


@contextlib.contextmanager
def training_progress() -> Iterator[Progress]:
    """Live bars on stderr; where that is not a terminal, only their last state is printed."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(24),
        TimeElapsedColumn(),
        TextColumn("{task.fields[numbers]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
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


def paragraphs(docstring: str) -> str:
    """A module's docstring for --help, whose texts are filled: a paragraph for each of its paragraphs, for each line
    that opens with a word and a colon, and for each indented line."""
    units: list[str] = []
    for line in docstring.splitlines():
        continues = units and units[-1] and line and not line.startswith("    ") and not re.match(r"\w+: ", line)
        if continues or (line.startswith(" " * 10) and units and units[-1]):
            units[-1] += " " + line.strip()
        else:
            units.append(line)
    return "\n\n".join(unit for unit in units if unit)


@contextlib.contextmanager
def command_line() -> Iterator[None]:
    """Turn a wrong option into one line and exit code 2, and Ctrl-C into exit code 130 without a traceback."""
    try:
        yield
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
