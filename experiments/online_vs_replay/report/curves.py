"""Figures of greedy returns while agents learn."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.lab.figures import thousands
from experiments.lab.statistics import Interval, iqm, stratified_bootstrap
from experiments.online_vs_replay.report.panels import COLUMNS, LOOKS, MIDDLE_LINE, look, panels, whole_axis
from experiments.online_vs_replay.report.rows import FinishedRun, Part
from experiments.online_vs_replay.tasks import ALL_TASKS

POINTS = 60
RESAMPLES = 1_000  # at each point
X_LABELS = {"env_steps": "env steps", "updates": "gradient steps", "cpu_seconds": "CPU seconds"}


def curves_figure(
    grid: Part, tasks: Sequence[str], arms: Sequence[str], file: Path, x_key: str = "env_steps", columns: int = COLUMNS
) -> None:
    """Draw greedy returns of the frozen policy, a panel a task: interquartile means over seeds, with intervals."""
    with panels(file, tasks, columns) as axes:
        for place, (panel, task) in enumerate(zip(axes, tasks, strict=True)):
            draw_curves(panel, grid, task, arms, x_key)
            if place >= len(tasks) - columns:
                panel.set_xlabel(X_LABELS[x_key])
            if place % columns == 0:
                panel.set_ylabel("greedy return")


def draw_curves(panel, grid: Part, task: str, arms: Sequence[str], x_key: str = "env_steps") -> None:
    """Draw the curves of one task and its threshold into a panel."""
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


def curve(runs: Sequence[FinishedRun], x_key: str) -> tuple[np.ndarray, np.ndarray, Interval]:
    """Return grid, interquartile mean over runs of greedy returns, and its interval (low, high), each [point].

    The grid starts where every run has an evaluation and ends at the last evaluation of all; a run that ended sooner
    holds its last value. It is linear in env steps, and geometric in the rest, from a thousandth of its end on.
    """
    lines = [tuple(np.array([point[key] for point in run.points]) for key in (x_key, "greedy")) for run in runs]
    start, end = max(x[0] for x, _ in lines), max(x[-1] for x, _ in lines)
    plain = x_key == "env_steps" or end <= 0
    grid = np.linspace(start, end, POINTS) if plain else np.geomspace(max(start, end / 1000), end, POINTS)
    values = np.stack([np.interp(grid, x, y) for x, y in lines], axis=-1)
    return grid, iqm(values), stratified_bootstrap([values], iqm, RESAMPLES)


def threshold_of(task: str) -> float | None:
    """Return the threshold at which a task counts as solved; None if its environment is not registered."""
    import gymnasium

    import envs  # noqa: F401  registers environments

    spec = gymnasium.registry.get(ALL_TASKS[task].options["env"])
    return spec and spec.reward_threshold
