"""Figures with one line an arm."""

from collections.abc import Callable, Sequence
from pathlib import Path

from experiments.lab.statistics import iqm
from experiments.online_vs_replay.measures.watch import MOMENTS
from experiments.online_vs_replay.report.panels import COLUMNS, MIDDLE_LINE, look, panels, whole_axis
from experiments.online_vs_replay.report.rows import Part


def lines_figure(
    file: Path,
    titles: Sequence[str],
    lines: Callable[[int], dict[str, tuple[Sequence[float], Sequence[float]]]],
    x_labels: Sequence[str],
    y_labels: Sequence[str],
    levels: Sequence[dict[str, float]] = (),
    ticks: dict[float, str] | None = None,
    scale: str = "log",
    tasks: Sequence[str] = (),
) -> None:
    """Draw one line an arm in each panel.

    Args:
        file: the PNG file.
        titles: the panels' titles.
        lines: returns x and y of each arm for a panel's number.
        x_labels: the panels' labels of x.
        y_labels: the panels' labels of y.
        levels: the panels' dotted lines, by name.
        ticks: places and names on the axis of x of all panels.
        scale: the scale of x.
        tasks: the task whose returns a panel shows, "" if it shows other numbers; () if no panel shows returns.
    """
    with panels(file, titles, size=(4.8, 3.2) if len(titles) < COLUMNS else (3.5, 2.7)) as axes:
        for place, panel in enumerate(axes):
            for arm, (x, y) in lines(place).items():
                panel.plot(x, y, marker="o", markersize=4, **look(arm))
            if levels:
                panel.set_ylim(min(panel.get_ylim()[0], -0.05), 1.0)
            for name, level in (levels[place] if levels else {}).items():
                panel.axhline(level, **MIDDLE_LINE)
                panel.annotate(
                    name,
                    (1.0, level),
                    (0, 3),
                    xycoords=("axes fraction", "data"),
                    ha="right",
                    fontsize=8,
                    textcoords="offset points",
                    color="#444444",
                    bbox={"color": "white", "alpha": 0.8, "pad": 0.5},
                )
            if tasks and tasks[place]:
                whole_axis(panel, tasks[place])
            panel.set_xscale(scale)
            if ticks:
                panel.set_xticks(list(ticks), list(ticks.values()))
                panel.xaxis.minorticks_off()
            panel.set_xlabel(x_labels[place])
            panel.set_ylabel(y_labels[place])


def by_variant(part: Part, task: str, key: str) -> dict[str, tuple[list[float], list[float]]]:
    """Return x and y of each arm: the numbers of its variants, and interquartile means of a column of runs.csv."""
    found = {}
    for arm in part.arms():
        points = [
            (float(variant), values)
            for variant in part.variants()
            if (values := part.of(task, arm, variant).numbers(key))
        ]
        if points:
            found[arm] = [x for x, _ in points], [float(iqm(values)) for _, values in points]
    return found


def known(values: list[float | None]) -> tuple[list[float], list[float]]:
    """Return the moments of training that have a value, and the values."""
    pairs = [(moment, value) for moment, value in zip(MOMENTS, values, strict=False) if value is not None]
    return [moment for moment, _ in pairs], [value for _, value in pairs]
