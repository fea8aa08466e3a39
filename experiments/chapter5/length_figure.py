"""The figure of a study of episode lengths."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from experiments.chapter5.length_results import final_lengths
from experiments.lab.arms import colours_of
from experiments.lab.figures import STYLE, thousands, write_figure
from experiments.lab.learning_curves import LENGTH, mean_curve
from experiments.lab.records import Record
from experiments.lab.rows import Row
from experiments.lab.statistics import with_interval


def length_figure(
    curves: Mapping[str, list[Record]], rows: list[Row], file: Path, seconds: bool, ordered: bool = False
) -> None:
    """Draw interquartile means of the curves over seeds, and what each seed came to at the end.

    Args:
        curves: what `curves_of` gives for each arm.
        rows: the study's rows with arm, seed and final_length.
        file: the PNG.
        seconds: draw a panel over seconds, too; for studies whose runs had the machine to themselves.
        ordered: arms are values of one quantity, and get colours from dark to light.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    axes = [("global_step", "environment steps"), *([("time/seconds", "seconds of training")] if seconds else [])]
    shades = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(curves)))
    colours = dict(zip(curves, shades, strict=True)) if ordered else colours_of(list(curves))
    with plt.rc_context(STYLE):
        figure, (panels,) = plt.subplots(
            1,
            len(axes) + 1,
            figsize=(4.2 * len(axes) + 3.6, 3.8),
            layout="constrained",
            width_ratios=[1.0] * len(axes) + [0.8],
            squeeze=False,
        )
        for panel, (x_key, x_label) in zip(panels, axes, strict=False):
            _draw_curves(panel, curves, x_key, colours)
            panel.set_xlabel(x_label)
        for panel in panels[1:-1]:
            panel.sharey(panels[0])
        panels[0].set_ylabel("mean episode length")
        _draw_ends(panels[-1], rows, colours)
        write_figure(figure, file)


def _draw_curves(panel, curves: Mapping[str, list[Record]], x_key: str, colours: dict) -> None:
    for arm, runs in curves.items():
        curve = mean_curve(runs, x_key, LENGTH)
        if curve:
            grid, mean, (low, high) = curve
            panel.fill_between(grid, low, high, color=colours[arm], alpha=0.12, linewidth=0)
            panel.plot(grid, mean, color=colours[arm], linewidth=2)
    if x_key == "time/seconds":
        panel.set_xscale("log")  # updates every step take ten times as long as every episode
    else:
        panel.set_xlim(left=0)
    panel.xaxis.set_major_formatter(thousands)
    panel.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    panel.set_axisbelow(True)


def _draw_ends(panel, rows: list[Row], colours: dict) -> None:
    """Dots for seeds, a diamond and a bar for their interquartile mean and its interval."""
    for place, (arm, colour) in enumerate(colours.items()):
        lengths = final_lengths(rows, arm)
        mean, low, high = with_interval(lengths)
        panel.plot(lengths, [place] * len(lengths), "o", color=colour, markersize=4, alpha=0.45, mew=0)
        panel.plot([low, high], [place, place], color=colour, linewidth=2.5)
        panel.plot(mean, place, "D", color=colour, markersize=7, mec="white")
    panel.set_yticks(range(len(colours)), list(colours))
    for label, colour in zip(panel.get_yticklabels(), colours.values(), strict=True):
        label.set(color=colour, fontweight="bold")  # the key to the curves, too
    panel.invert_yaxis()
    panel.set_xlim(left=0)
    panel.set_xlabel("episode length at the end")
    panel.grid(axis="x", color="#E5E5E5", linewidth=0.8)
    panel.set_axisbelow(True)
