"""Compare runs that exist already; nothing is trained.

Question: which core learns faster, and how sure are we?
Command:  python -m experiments.compare_runs runs/* --out runs/comparison
Time:     two seconds, and half a second more for each offline W&B folder.
Output:   a table for each environment; comparison.md (tables, notes, figure), comparison.csv, comparison.png (curves).

Runs are grouped into arms by their core and by whatever else differs between them; the seeds of an arm are its sample.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from experiments.lab.arms import arms_of
from experiments.lab.comparison import HEADER, ArmSummary, arm_summary, cells, footnotes, improvements
from experiments.lab.figures import pdf_too
from experiments.lab.options import at_least
from experiments.lab.records import read_records, runs_among
from experiments.lab.statistics import RESAMPLES


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")]
    """Run folders, or offline W&B folders (.../wandb/offline-run-*)."""
    out: Path = Path("runs/comparison")
    """Folder for comparison.md, comparison.csv and comparison.png; made when missing."""
    pdf: bool = False
    """Write the figure as a PDF file, too."""
    resamples: int = RESAMPLES
    """Resamples of each bootstrap interval."""
    bootstrap_seed: int = 0
    """Seed of the bootstrap; the same seed gives the same intervals."""


def compare(
    runs: Sequence[Path | str], out_dir: Path | str, resamples: int = RESAMPLES, bootstrap_seed: int = 0
) -> list[ArmSummary]:
    """Read the runs, print their tables and write comparison.md, comparison.csv and comparison.png to `out_dir`.

    Returns:
        A summary of each arm.

    Raises:
        ValueError: a folder is not a readable run; the message is one line.
    """
    from experiments.lab.learning_curves import CAPTION, learning_curves

    arms = arms_of(read_records(runs))
    summaries = [arm_summary(env, name, group, resamples, bootstrap_seed) for (env, name), group in arms.items()]
    tables: dict[str, list[list[str]]] = {}
    for summary in summaries:
        tables.setdefault(str(summary["env"]), []).append(cells(summary))
    notes = [*improvements(arms, resamples, bootstrap_seed), *footnotes(summaries)]

    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    with open(out_dir / "comparison.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, summaries[0])
        writer.writeheader()
        writer.writerows(summaries)
    learning_curves(arms, out_dir / "comparison.png")
    blocks = [block for env, body in tables.items() for block in (f"**{env}**", _markdown_table(body))]
    blocks += [*notes, "![Learning curves](comparison.png)", f"*{CAPTION}*"]
    (out_dir / "comparison.md").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    _print_tables(tables, [*notes, f"Written to {out_dir}: comparison.md, comparison.csv, comparison.png."])
    return summaries


def _markdown_table(body: list[list[str]]) -> str:
    lines = [HEADER, ["---", *["---:"] * (len(HEADER) - 1)], *body]
    return "\n".join("| " + " | ".join(cell.replace("\n", " ") for cell in line) + " |" for line in lines)


def _print_tables(tables: dict[str, list[list[str]]], notes: list[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    for env, body in tables.items():
        table = Table(
            title=env, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=0, pad_edge=False
        )
        for number, title in enumerate(HEADER):
            # Counts stay whole and other cells fold at blanks, so 80 columns are enough, and no digit is left out.
            counts = 1 <= number <= 5
            justify = "left" if number == 0 else "right"
            table.add_column(title, justify=justify, no_wrap=counts, min_width=None if counts else 7, overflow="fold")
        for line in body:
            table.add_row(*line)
        console.print(table)
    for note in notes:
        console.print(note)


def main() -> None:
    """Parse the command line and compare."""
    from experiments.lab.command_line import errors_in_one_line, parse

    with errors_in_one_line():
        command = parse(Command, __doc__)
        at_least(1, resamples=command.resamples)
        at_least(0, bootstrap_seed=command.bootstrap_seed)
        chosen, left_out = runs_among(command.runs)
        if left_out:
            print(f"Left out, not complete run folders: {', '.join(map(str, left_out))}")
        with pdf_too(command.pdf):
            compare(chosen, command.out, command.resamples, command.bootstrap_seed)


if __name__ == "__main__":
    main()
