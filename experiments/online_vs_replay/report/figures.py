"""Figures of the report. An arm has one look in all of them: solid lines learn online, dashed ones from replay."""

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from experiments.lab.figures import COLOURS, STYLE, thousands, write_png
from experiments.lab.statistics import Interval, iqm, performance_profile, stratified_bootstrap
from experiments.online_vs_replay.report.rows import ALL_TASKS, Part, Run

DASHED = (0, (4, 1.6))
LOOKS = {  # arm: colour, dashes. Okabe and Ito's palette; a colour is used twice where solid and dashed tell apart
    "a2c mlp": (COLOURS["mlp"], "-"),
    "q mlp": (COLOURS["mlp"], DASHED),
    "a2c lstm": (COLOURS["lstm"], "-"),
    "a2c lstm replay": (COLOURS["lstm"], DASHED),
    "q lstm online": ("#56B4E9", "-"),
    "q lstm transitions": ("#7F7F7F", DASHED),
    "q lstm zero": (COLOURS["lstm zeroed"], DASHED),
    "q lstm stored burn in": ("#000000", DASHED),
    "a2c gru": (COLOURS["gru"], "-"),
    "q lstm stored": (COLOURS["gru"], DASHED),
    "a2c mlp 2 frames": (COLOURS["mlp 2 frames"], "-"),
    "q lstm episodes": (COLOURS["mlp 2 frames"], DASHED),
    "a2c mlp oracle": ("#000000", "-"),
    "q lstm zero burn in": ("#8C6D46", DASHED),
}
POINTS = 60
RESAMPLES = 1_000  # at each of the points
X_LABELS = {"env_steps": "env steps", "updates": "gradient steps", "cpu_seconds": "CPU seconds"}
COLUMNS = 3  # of panels
MIDDLE_LINE = {"color": "#444444", "linewidth": 1, "linestyle": ":", "zorder": 1}


@contextmanager
def panels(file: Path, titles: Sequence[str], columns: int = COLUMNS, size: tuple[float, float] = (3.5, 2.7)):
    """A figure with a titled panel each, as [panel]; written with a legend of the arms drawn when it ends.

    Raises:
        ValueError: there is no title.
    """
    if not titles:
        raise ValueError(f"{file.name}: no panels; at least one is needed")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    columns = min(columns, len(titles))
    rows = -(-len(titles) // columns)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows,
            columns,
            figsize=(max(6.0, size[0] * columns), size[1] * rows + 0.8),
            squeeze=False,
            layout="constrained",
        )
        there = list(axes.flat[: len(titles)])
        for panel, title in zip(there, titles, strict=True):
            panel.set_title(title, loc="left", fontsize=10, fontweight="bold")
            panel.grid(axis="y", color="#E5E5E5", linewidth=0.8)
            panel.set_axisbelow(True)
        for panel in axes.flat[len(titles) :]:
            panel.remove()
        yield there
        named = {}
        for panel in there:
            for line, label in zip(*panel.get_legend_handles_labels(), strict=True):
                named.setdefault(label, line)
        if named:
            order = sorted(named, key=lambda label: list(LOOKS).index(label) if label in LOOKS else len(LOOKS))
            wide = max(map(len, order))
            across = max(1, min(len(order), int(figure.get_figwidth() * 12 / (wide + 6))))
            figure.legend(
                [named[label] for label in order],
                order,
                loc="outside upper center",
                ncols=across,
                frameon=False,
                handlelength=2.8,
            )
        write_png(figure, file)
        plt.close(figure)


def look(arm: str, **more) -> dict:
    """How an arm's line looks, and its name in the legend."""
    colour, dashes = LOOKS[arm]
    return {"color": colour, "linestyle": dashes, "linewidth": 2.0, "label": arm, **more}


def threshold_of(task: str) -> float | None:
    """The return at which a task counts as solved; None where its environment is not registered."""
    import gymnasium

    import envs  # noqa: F401, registers

    spec = gymnasium.registry.get(ALL_TASKS[task].options["env"])
    return spec and spec.reward_threshold


def whole_axis(panel, task: str) -> None:
    """Show returns from 0, or from the lowest that is drawn, to the best: small differences look small."""
    best = ALL_TASKS[task].best
    panel.set_ylim(min(panel.get_ylim()[0], -0.02 * best), 1.04 * best)


def curve(runs: Sequence[Run], x_key: str) -> tuple[np.ndarray, np.ndarray, Interval]:
    """Interquartile mean over runs of greedy returns on a common grid: (grid, mean, (low, high)), each [point].

    The grid goes from where every run has an evaluation to the last one of all; a run that ended sooner holds its last
    value. It is geometric but for env steps, from a thousandth of its end on where runs start at 0.
    """
    lines = [tuple(np.array([point[key] for point in run.points]) for key in (x_key, "greedy")) for run in runs]
    start, end = max(x[0] for x, _ in lines), max(x[-1] for x, _ in lines)
    plain = x_key == "env_steps" or end <= 0
    grid = np.linspace(start, end, POINTS) if plain else np.geomspace(max(start, end / 1000), end, POINTS)
    values = np.stack([np.interp(grid, x, y) for x, y in lines], axis=-1)
    return grid, iqm(values), stratified_bootstrap([values], iqm, RESAMPLES)


def curves_figure(
    grid: Part, tasks: Sequence[str], arms: Sequence[str], file: Path, x_key: str = "env_steps", columns: int = COLUMNS
) -> None:
    """Draws greedy returns of the frozen policy, a panel a task: interquartile means over seeds and their intervals."""
    with panels(file, tasks, columns) as axes:
        for place, (panel, task) in enumerate(zip(axes, tasks, strict=True)):
            for arm in arms:
                runs = [run for run in grid.of(task, arm) if run.points]
                if runs:
                    x, mean, (low, high) = curve(runs, x_key)
                    panel.fill_between(x, low, high, color=LOOKS[arm][0], alpha=0.12, linewidth=0)
                    panel.plot(x, mean, **look(arm))
            threshold = threshold_of(task)
            if threshold is not None:
                panel.axhline(threshold, **MIDDLE_LINE)
            whole_axis(panel, task)
            if x_key == "env_steps":
                panel.set_xlim(left=0)
            else:
                panel.set_xscale("log")
            panel.xaxis.set_major_formatter(thousands)
            if place >= len(tasks) - columns:
                panel.set_xlabel(X_LABELS[x_key])
            if place % columns == 0:
                panel.set_ylabel("greedy return")


def aggregate_figure(key: dict[str, list[list[float]]], everything: dict[str, list[list[float]]], file: Path) -> None:
    """Draws performance profiles of key arms, and the IQM over tasks of all arms with its interval.

    Both take an arm's normalised final returns, a list a task.
    """
    thresholds = np.linspace(0, 1, 51)[:-1]
    with panels(file, ("Share of runs and tasks above τ", "IQM over all tasks"), 2, (4.8, 3.6)) as (left, right):
        for arm, scores in key.items():
            share, (low, high) = performance_profile(scores, thresholds, RESAMPLES)
            left.fill_between(thresholds, low, high, color=LOOKS[arm][0], alpha=0.12, linewidth=0)
            left.plot(thresholds, share, **look(arm))
        left.set_xlabel("normalised final return τ")
        left.set_ylabel("share of runs above τ")
        left.set_ylim(0, 1.02)
        ranked = sorted(everything, key=lambda arm: float(iqm(np.concatenate(everything[arm]))))
        for place, arm in enumerate(ranked):
            low, high = stratified_bootstrap(everything[arm], iqm)
            colour, dashes = LOOKS[arm]
            inside = colour if dashes == "-" else "white"  # from replay: open
            right.plot([low, high], [place, place], color=colour, linewidth=2.5)
            right.plot(
                float(iqm(np.concatenate(everything[arm]))), place, "D", color=inside, markersize=6.5, mec=colour
            )
        right.set_yticks(range(len(ranked)), ranked, fontsize=9)
        right.grid(axis="y", visible=False)
        right.grid(axis="x", color="#E5E5E5", linewidth=0.8)
        right.set_xlim(right=1.02)
        right.set_xlabel("normalised final return")


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
    """Draws one line an arm in each panel.

    Args:
        file: the PNG.
        titles: of the panels.
        lines: x and y of each arm, by number of the panel.
        x_labels: of the panels.
        y_labels: of the panels.
        levels: dotted lines of each panel, by name.
        ticks: places and names on the axis of x, for all panels.
        scale: of the axis of x.
        tasks: whose returns the panels show, "" for other numbers; none if no panel shows returns.
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
