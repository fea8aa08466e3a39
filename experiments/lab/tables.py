"""Markdown tables and pages of a study's rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.lab.rows import Row
from experiments.lab.statistics import with_interval


class Column(NamedTuple):
    """A column of a table: a number over seeds."""

    key: str  # of the rows
    title: str
    digits: int
    median: bool  # the median; else the interquartile mean with its interval


def study_table(rows: list[Row], columns: Sequence[Column]) -> str:
    """A Markdown table with a line for each arm."""
    lines = ["| | seeds | " + " | ".join(column.title for column in columns) + " |"]
    lines.append("|---|" + "---:|" * (len(columns) + 1))
    for arm in dict.fromkeys(row["arm"] for row in rows):
        mine = [row for row in rows if row["arm"] == arm]
        cells = [cell([float(row[key]) for row in mine], digits, median) for key, _, digits, median in columns]
        lines.append(f"| {arm} | {len(mine)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(values: list[float], digits: int, median: bool) -> str:
    """The median, or the interquartile mean with its interval."""
    if median:
        middle = np.median(values)
        return f"{middle:,.{digits}f}" if np.isfinite(middle) else "not reached"
    mean, low, high = with_interval(values)
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]" if len(values) > 1 else f"{mean:.{digits}f}"


def scores(rows: list[Row], arm: str, key: str) -> list[float]:
    """One number of each seed of an arm, in the order of seeds."""
    return [float(row[key]) for row in sorted(rows, key=lambda row: int(row["seed"])) if row["arm"] == arm]


def publish(out: Path, name: str, text: str) -> None:
    """Write a Markdown page, print it, and say where everything is."""
    (out / f"{name}.md").write_text(text.rstrip() + "\n", encoding="utf-8")
    print(text)
    print(f"Written to {out}: " + ", ".join(sorted(file.name for file in out.iterdir() if file.is_file())))
