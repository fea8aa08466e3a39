"""The figure of a sweep: value against each option, and which options matter."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.lab.figures import STYLE, write_figure
from experiments.sweep.plan import Plan, Trial
from experiments.sweep.space import Range

COMPLETE, PRUNED, BEST = "#0072B2", "#999999", "#D55E00"


def sweep_figure(plan: Plan, trials: Sequence[Trial], importances: Mapping[str, float], file: Path) -> None:
    """Draw a panel for each option: filled circles are complete trials, rings pruned ones, the star is the best.

    The last panel has the importance of each option.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    panels = len(plan.space) + bool(importances)
    columns = min(panels, 3)
    rows = -(-panels // columns)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows, columns, figsize=(3.6 * columns, 3.0 * rows), squeeze=False, layout="constrained"
        )
        for axis in axes.flat[panels:]:
            axis.set_visible(False)
        for place, (one, axis) in enumerate(zip(plan.space, axes.flat, strict=False)):
            draw_range(axis, one, trials)
            if place % columns == 0:
                axis.set_ylabel(f"{plan.measure} return, mean over seeds")
        if importances:
            draw_importances(axes.flat[panels - 1], importances)
        write_figure(figure, file)


def draw_range(axis, one: Range, trials: Sequence[Trial]) -> None:
    """Draw value against one option."""
    shown = [trial for trial in trials if trial.scores and trial.state != "repeated"]
    best = max((trial for trial in shown if trial.state == "complete"), key=lambda trial: trial.value, default=None)
    for state, style in (
        ("pruned", {"facecolors": "none", "edgecolors": PRUNED}),
        ("complete", {"color": COMPLETE, "alpha": 0.7}),
    ):
        points = [(place_of(one, trial), trial.value) for trial in shown if trial.state == state]
        if points:
            axis.scatter(*zip(*points, strict=True), s=28, label=f"{state} ({len(points)})", **style)
    if best:
        axis.scatter(place_of(one, best), best.value, s=120, marker="*", color=BEST, label="best", zorder=3)
    axis.set_xlabel(one.name)
    if one.kind == "choice":
        axis.set_xticks(range(len(one.values)), list(map(str, one.values)))
        axis.set_xlim(-0.5, len(one.values) - 0.5)
    elif one.kind == "log":
        axis.set_xscale("log")
    axis.legend(fontsize=7, frameon=False)


def place_of(one: Range, trial: Trial) -> float:
    """Where a trial stands on the axis of an option."""
    value = trial.settings[one.name]
    if one.kind != "choice":
        return float(value)
    spread = np.random.default_rng(trial.number).uniform(-0.12, 0.12)  # equal values would hide each other
    return one.values.index(value) + spread


def draw_importances(axis, importances: Mapping[str, float]) -> None:
    """Draw which share of the differences between trials comes from each option."""
    names = sorted(importances, key=importances.get)
    axis.barh(names, [importances[name] for name in names], color=COMPLETE)
    axis.set_xlim(0, 1)
    axis.set_xlabel("importance (PED-ANOVA)")
