"""Numbers and tables of the report as text."""

import math
from collections.abc import Callable, Sequence
from statistics import median

from experiments.lab.statistics import iqm, with_interval
from experiments.online_vs_replay.report.rows import Part
from experiments.online_vs_replay.tasks import ALL_TASKS

NOT_REACHED = "not reached"
Table = list[list[str]]  # the first row is the header
Blocks = list[str]  # paragraphs, tables and figures in Markdown


def markdown(table: Table) -> str:
    """Write a table in Markdown, all columns but the first aligned right."""
    rule = ["---", *["---:"] * (len(table[0]) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (table[0], rule, *table[1:]))


def words(table: Table) -> str:
    """Write a table in Markdown, all columns aligned left."""
    return markdown(table).replace("---:", "---")


def picture(file: str, caption: str) -> str:
    """Show a figure of --out with its caption."""
    return f"![{file}]({file})\n\n*{caption}*"


def in_words(values: Sequence[float], digits: int) -> str:
    """Write the interquartile mean with its interval; one seed has no interval, and no seed is a dash."""
    if not values:
        return "–"
    middle, low, high = (round(value, digits) + 0.0 for value in with_interval(list(values)))  # no -0.00
    shown = f"{middle:.{digits}f}"
    return f"{shown} [{low:.{digits}f}, {high:.{digits}f}]" if len(values) > 1 else shown


def digits_of(task: str) -> int:
    """Return how many decimals a task's returns are shown with."""
    return 0 if ALL_TASKS[task].best >= 10 else 2


def seeds_in_words(counts: Sequence[int]) -> str:
    """Write how many seeds the cells have: 10, or 3–10."""
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low}–{high}"


def seeds(part: Part) -> str:
    """Write how many seeds the cells of a part have."""
    cells: dict[tuple[str, str, str], int] = {}
    for run in part:
        cell = run.task, run.arm, run.variant
        cells[cell] = cells.get(cell, 0) + 1
    return seeds_in_words(list(cells.values()))


def count(value: float) -> str:
    """Write env steps or updates: 950, 81k, 1.2M."""
    if math.isinf(value):
        return NOT_REACHED
    return f"{value:.0f}" if value < 1e4 else f"{value / 1e3:.0f}k" if value < 1e6 else f"{value / 1e6:.1f}M"


def seconds(value: float) -> str:
    """Write seconds with about two significant digits."""
    if math.isinf(value):
        return NOT_REACHED
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def spread(values: Sequence[float], text: Callable[[float], str]) -> str:
    """Write median and range: 81k (60k–not reached); equal values are written once."""
    if not values:
        return "–"
    low, middle, high = min(values), median(values), max(values)
    if math.isinf(middle) and math.isfinite(low):
        return f"{text(middle)} (soonest {text(low)})"
    return text(middle) + (f" ({text(low)}–{text(high)})" if low != high else "")


def finals(cell: Part, task: str) -> str:
    """Write the final return and how many runs solved the task: 480, 3 of 3."""
    if not cell:
        return "–"
    solved = len(cell.numbers("solved_env_steps"))
    return f"{iqm(cell.numbers('final_greedy')):.{digits_of(task)}f}, {solved} of {len(cell)}"


def measure(value: float | None) -> str:
    """Write a measure with two significant digits."""
    return "–" if value is None else f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"
