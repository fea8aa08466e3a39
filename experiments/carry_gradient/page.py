"""The page and the figure of the study, from its rows alone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.carry_gradient.arms import CARRIED, CORES, GRADIENT, LENGTHS, STATE, TASKS, ZEROED
from experiments.lab.arms import COLOURS
from experiments.lab.figures import STYLE, write_figure
from experiments.lab.rows import Row
from experiments.lab.statistics import compared
from rl.names import DIAGONAL

LINES = {GRADIENT: "-", STATE: "--", ZEROED: ":"}
OF_CORE = {"rtu": COLOURS["mlp"], "mingru": COLOURS["mlp 2 frames"], "lstm": COLOURS["lstm"], "gru": COLOURS["gru"]}


def page(rows: Sequence[Row]) -> str:
    """A Markdown table for each task, a line for each core and what it carries, and the verdicts."""
    lines: list[str] = []
    for task in TASKS:
        mine = [row for row in rows if row["task"] == task]
        if mine:
            lines += [f"**{task}**", "", *table(mine), "", *verdicts(mine), ""]
    lines += [
        "Return in the last fifth of training, mean over seeds (smallest to largest). At equal CPU seconds: the same",
        "of the part of a run that took the CPU time of the quickest arm of its N. Verdict: the chance that a run with",
        "the gradient carried is better than one with the state alone; a difference is claimed where its 95 % interval",
        "excludes one half.",
    ]
    return "\n".join(lines)


def table(rows: Sequence[Row]) -> list[str]:
    """The returns of a task."""
    lengths = [n for n in LENGTHS if any(int(row["segment_length"]) == n for row in rows)]
    lines = [
        "| core | carried | " + " | ".join(f"N = {n}" for n in lengths) + " |",
        "|---|---|" + "---:|" * len(lengths),
    ]
    for key, title in (("final_return", ""), ("equal_seconds_return", ", at equal CPU seconds")):
        for core in CORES:
            for carried in CARRIED:
                cells = [returns(rows, core, carried, n, key) for n in lengths]
                if any(cells):
                    lines.append(f"| {core} | {carried}{title} | " + " | ".join(map(middle_and_range, cells)) + " |")
    return lines


def returns(rows: Sequence[Row], core: str, carried: str, length: int, key: str = "final_return") -> list[float]:
    """One number of each seed of an arm."""
    return [
        float(row[key])
        for row in rows
        if (row["core"], row["carried"], int(row["segment_length"])) == (core, carried, length)
    ]


def middle_and_range(values: Sequence[float]) -> str:
    """The mean, the smallest and the largest."""
    if not values:
        return ""
    digits = 2 if max(map(abs, values)) < 10 else 0
    mean, low, high = (f"{value:,.{digits}f}" for value in (np.mean(values), min(values), max(values)))
    return f"{mean} ({low} to {high})" if len(values) > 1 else mean


def verdicts(rows: Sequence[Row]) -> list[str]:
    """For each diagonal core, the gradient against the state alone, at each N and over all of them."""
    lines = []
    for core in DIAGONAL:
        words = []
        for n in LENGTHS:
            with_gradient, without = (returns(rows, core, carried, n) for carried in (GRADIENT, STATE))
            if with_gradient and without:
                words.append(f"N = {n}: {compared(with_gradient, without)[0]}")
        if words:
            lines.append(f"- {core}, gradient carried against the state alone: " + "; ".join(words))
    return lines


def figure(rows: Sequence[Row], file: Path) -> None:
    """Draw the return at the end of training against N, a panel for each task, three lines a core."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    tasks = [task for task in TASKS if any(row["task"] == task for row in rows)]
    across = min(4, len(tasks))
    down = -(-len(tasks) // across)
    with plt.rc_context(STYLE):
        drawn, panels = plt.subplots(
            down, across, figsize=(3.6 * across, 3.2 * down + 0.6), squeeze=False, layout="constrained"
        )
        for panel in panels.flat[len(tasks) :]:
            panel.set_visible(False)
        for panel, task in zip(panels.flat, tasks, strict=False):
            mine = [row for row in rows if row["task"] == task]
            for core in CORES:
                for carried, style in LINES.items():
                    points = {n: returns(mine, core, carried, n) for n in LENGTHS}
                    points = {n: values for n, values in points.items() if values}
                    if points:
                        label = f"{core}, {carried}"
                        means = [np.mean(values) for values in points.values()]
                        panel.plot(list(points), means, style, color=OF_CORE[core], linewidth=2, label=label)
                        for n, values in points.items():
                            panel.plot([n] * len(values), values, "o", color=OF_CORE[core], markersize=3, alpha=0.4)
            panel.set_xscale("log", base=2)
            panel.set_xticks(LENGTHS, [str(n) for n in LENGTHS])
            panel.minorticks_off()
            panel.set_title(task, loc="left", fontsize=10, fontweight="bold")
            panel.set_xlabel("segment length N")
            panel.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        for row in panels:
            row[0].set_ylabel("return at the end of training")
        labelled = {}
        for panel in panels.flat:
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
                labelled.setdefault(label, handle)
        drawn.legend(labelled.values(), labelled, loc="outside upper center", ncols=5, frameon=False, fontsize=8)
        write_figure(drawn, file)
