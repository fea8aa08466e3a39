"""Learning curves of runs: smoothed, averaged over seeds, and the figure of a comparison."""

from pathlib import Path
from textwrap import fill

import numpy as np

from experiments.lab.arms import Arms, colours_of
from experiments.lab.figures import STYLE, thousands, write_figure
from experiments.lab.records import Record
from experiments.lab.statistics import Interval, iqm, stratified_bootstrap

CAPTION = (
    "Thin lines: one seed each, the mean of five log intervals, a dot where it solved the task. Thick line and band: "
    "interquartile mean over seeds and its 95 % bootstrap interval; a run that stopped because it had solved the task "
    "keeps its last value, and the line ends where the first run stopped without solving it. Dashed: the threshold."
)
X_AXES = (  # key of the record's rows, key of its summary, label
    ("global_step", "solved_at_env_steps", "environment steps"),
    ("time/seconds", "solved_at_seconds", "seconds of training"),
)
SOLVED_KEYS = {x_key: solved_key for x_key, solved_key, _ in X_AXES}
POINTS = 200
CHARACTERS = 100  # fit across the figure
RETURN = "charts/episodic_return"
LENGTH = "charts/episodic_length"
SMOOTHED = 5  # log intervals: one alone holds some twenty episodes once they are long
CURVE_RESAMPLES = 2_000  # at each of the points


def learning_curves(arms: Arms, file: Path) -> None:
    """Draw two panels for each environment: returns against env steps, and against seconds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D

    environments = list(dict.fromkeys(env for env, _ in arms))
    colours = colours_of(list(dict.fromkeys(name for _, name in arms)))
    with plt.rc_context(STYLE):
        size = (9, 3.4 * len(environments))
        figure, panels = plt.subplots(
            len(environments), 2, figsize=size, sharey="row", squeeze=False, layout="constrained"
        )
        for (left, right), env in zip(panels, environments, strict=True):
            groups = {name: runs for (of_env, name), runs in arms.items() if of_env == env}
            for panel, (x_key, _, x_label) in zip((left, right), X_AXES, strict=True):
                _draw_panel(panel, groups, x_key, colours)
                panel.set_xlabel(x_label)
            left.set_ylabel("mean episode return")
            left.set_title(env, loc="left", fontsize=10, fontweight="bold")
        lines = [Line2D([], [], color=colour, linewidth=2.2) for colour in colours.values()]
        columns = max(1, CHARACTERS // (8 + max(map(len, colours))))
        names = [fill(name, CHARACTERS - 10) for name in colours]
        figure.legend(lines, names, loc="outside upper center", ncols=columns, frameon=False)
        write_figure(figure, file)


def smoothed(run: Record, x_key: str, y_key: str = RETURN) -> tuple[np.ndarray, np.ndarray]:  # [row] each
    """A run's returns (or lengths), each averaged with those of the four log intervals before it, if there are four."""
    x, y = run.curve(x_key, y_key)
    solved_at = run.summary.get(SOLVED_KEYS[x_key])
    if run.summary.get("exit_reason") == "solved" and solved_at is not None and (x <= solved_at).any():
        x, y = x[x <= solved_at], y[x <= solved_at]  # later rows are of updates that were dropped
    sums = np.concatenate([[0.0], y.cumsum()])
    starts = np.maximum(np.arange(len(y)) - SMOOTHED + 1, 0)
    ends = np.arange(len(y)) + 1
    return x, (sums[ends] - sums[starts]) / (ends - starts)


def solved_dot(run: Record, x_key: str) -> tuple[float, float] | None:
    """Where a run was solved, and the mean return that decided so; None where it was not solved.

    A record that does not hold that mean gets its threshold, which the mean had just reached, or else its curve.
    """
    solved_at = run.summary.get(SOLVED_KEYS[x_key])
    x, y = smoothed(run, x_key)
    if solved_at is None or not len(x):
        return None
    attempts = run.summary.get("solve_attempts") or ()
    decided = next((attempt["window_mean"] for attempt in attempts if attempt["confirmed"]), run.reward_threshold)
    return solved_at, float(np.interp(solved_at, x, y)) if decided is None else decided


def mean_curve(runs: list[Record], x_key: str, y_key: str = RETURN) -> tuple[np.ndarray, np.ndarray, Interval] | None:
    """Interquartile mean over runs on a common grid: (grid, mean, (low, high)), each [point].

    The grid starts where every run has a value. A solved run holds its last value. The grid ends with the last solved
    run, or with the first run that stopped unsolved, since nobody knows how that run would have continued.
    None where the runs have no common part.
    """
    curves = [smoothed(run, x_key, y_key) for run in runs]
    if any(len(x) == 0 for x, _ in curves):
        return None
    start = max(x[0] for x, _ in curves)
    unsolved_ends = [x[-1] for run, (x, _) in zip(runs, curves, strict=True) if not run.summary.get("solved")]
    end = min(unsolved_ends, default=max(x[-1] for x, _ in curves))
    if end <= start:
        return None
    grid = np.linspace(start, end, POINTS)
    values = np.stack([np.interp(grid, x, y) for x, y in curves], axis=-1)  # [point, run]; interp holds the last value
    return grid, iqm(values), stratified_bootstrap([values], iqm, CURVE_RESAMPLES)


def _draw_panel(panel, groups: dict[str, list[Record]], x_key: str, colours: dict[str, str]) -> None:
    for name, runs in groups.items():
        for run in runs:
            x, y = smoothed(run, x_key)
            panel.plot(x, y, color=colours[name], linewidth=0.7, alpha=0.35)
            dot = solved_dot(run, x_key)
            if dot:
                panel.plot(*dot, "o", color=colours[name], markersize=4.5, markeredgecolor="white", zorder=3)
        curve = mean_curve(runs, x_key)
        if curve:
            grid, mean, (low, high) = curve
            panel.fill_between(grid, low, high, color=colours[name], alpha=0.2, linewidth=0)
            panel.plot(grid, mean, color=colours[name], linewidth=2.2)
    for threshold in {run.reward_threshold for runs in groups.values() for run in runs} - {None}:
        panel.axhline(threshold, color="#444444", linewidth=1, linestyle="--", zorder=1)
    panel.set_xlim(left=0)
    panel.xaxis.set_major_formatter(thousands)
    panel.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    panel.set_axisbelow(True)
