"""Compare runs that exist already; nothing is trained.

Question: which core learns faster, and how sure are we?
Command:  python -m experiments.compare_runs runs/* --out runs/comparison
Time:     two seconds, and half a second more for each offline W&B folder.
Output:   a table for each environment; comparison.md (tables, notes, figure), comparison.csv, comparison.png (curves).

Runs are grouped into arms by their core and by whatever else differs between them; the seeds of an arm are its sample.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from experiments.lab.arms import arms_of
from experiments.lab.records import read_runs, runs_among
from experiments.lab.statistics import RESAMPLES
from experiments.lab.tables import HEADER, Row, arm_row, cells, footnotes, improvements


def compare(
    runs: Sequence[Path | str], out_dir: Path | str, resamples: int = RESAMPLES, bootstrap_seed: int = 0
) -> list[Row]:
    """Reads the runs, prints their tables and writes comparison.md, comparison.csv and comparison.png to `out_dir`.

    Returns one row an arm.  Raises ValueError in one line when a folder is not a readable run.
    """
    from experiments.lab.figures import CAPTION, learning_curves

    arms = arms_of(read_runs(runs))
    rows = [arm_row(env, name, group, resamples, bootstrap_seed) for (env, name), group in arms.items()]
    tables: dict[str, list[list[str]]] = {}
    for row in rows:
        tables.setdefault(str(row["env"]), []).append(cells(row))
    notes = [*improvements(arms, resamples, bootstrap_seed), *footnotes(rows)]

    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    with open(out_dir / "comparison.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    learning_curves(arms, out_dir / "comparison.png")
    parts = [part for env, body in tables.items() for part in (f"**{env}**", _markdown_table(body))]
    parts += [*notes, "![Learning curves](comparison.png)", f"*{CAPTION}*"]
    (out_dir / "comparison.md").write_text("\n\n".join(parts) + "\n")
    _print_tables(tables, [*notes, f"Written to {out_dir}: comparison.md, comparison.csv, comparison.png."])
    return rows


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
            # The counts stay whole, the rest folds at blanks: 80 columns are enough, and no digit is ever left out.
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
    import tyro

    from experiments.lab.display import command_line, paragraphs

    def compare_runs(
        runs: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN...")],
        out: Path = Path("runs/comparison"),
        resamples: int = RESAMPLES,
        bootstrap_seed: int = 0,
    ) -> None:
        """Compare runs.

        Args:
            runs: Run folders, or offline W&B folders (.../wandb/offline-run-*).
            out: Folder for comparison.md, comparison.csv and comparison.png; made when missing.
            resamples: Resamples of each bootstrap interval.
            bootstrap_seed: Seed of the bootstrap: the same one gives the same intervals.
        """
        if resamples < 1 or bootstrap_seed < 0:
            raise ValueError(
                f"--resamples {resamples}, --bootstrap-seed {bootstrap_seed}: whole numbers of at least "
                "1 and 0 are needed"
            )
        chosen, left_out = runs_among(runs)
        if left_out:
            print(f"Left out, not complete run folders: {', '.join(map(str, left_out))}")
        compare(chosen, out, resamples, bootstrap_seed)

    with command_line():
        tyro.cli(compare_runs, prog="python -m experiments.compare_runs", description=paragraphs(__doc__))


if __name__ == "__main__":
    main()
