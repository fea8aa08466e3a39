"""Figures of the chapter's experiments."""

from pathlib import Path

import numpy as np

from experiments.lab.figures import COLOURS, LENGTH, STYLE, colours_of, mean_curve, thousands, write_png
from experiments.lab.learning_study import Row, with_interval
from experiments.lab.records import Run

ERRORS = (("squared bias", COLOURS["mlp"]), ("variance", COLOURS["lstm"]), ("sum", COLOURS["gru zeroed"]))


def error_figure(rows: list[dict], file: Path) -> None:
    """Draws squared bias, variance and their sum against N, a panel for each training stage.

    `rows` have env_steps, N (text; MC, the last, is the whole episode), squared_bias and variance. Circles are seeds,
    lines their means. The axis of errors is linear: on it the two parts can be seen to add up.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(row["N"] for row in rows))
    numbers = [int(name) for name in names if name != "MC"]
    places = dict(zip(names, [*numbers, *[2.5 * max(numbers)] * ("MC" in names)], strict=True))
    stages = sorted({row["env_steps"] for row in rows})
    with plt.rc_context(STYLE):
        size = (3.2 * len(stages), 3.4)
        figure, panels = plt.subplots(1, len(stages), figsize=size, sharey=True, squeeze=False, layout="constrained")
        for panel, steps in zip(panels[0], stages, strict=True):
            for label, colour in ERRORS:
                found = {name: [] for name in names}
                for row in rows:
                    if row["env_steps"] == steps:
                        parts = {"squared bias": row["squared_bias"], "variance": row["variance"]}
                        found[row["N"]].append(parts.get(label, sum(parts.values())))
                means = [np.mean(values) for values in found.values()]
                seeds = [(places[name], value) for name, values in found.items() for value in values]
                panel.plot(list(places.values()), means, color=colour, linewidth=2, label=label)
                panel.plot(*zip(*seeds, strict=True), "o", color=colour, markersize=4, alpha=0.5, markeredgewidth=0)
            panel.set_xscale("log")
            panel.set_xticks(list(places.values()), names)
            panel.xaxis.set_minor_locator(plt.NullLocator())
            panel.set_title(f"after {steps:,} env steps", fontsize=9, fontweight="bold")
            panel.set_xlabel("N")
            panel.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        panels[0][0].set_ylim(bottom=0)  # of all, and not before all are drawn: it holds the top where it is
        panels[0][0].set_ylabel("squared error of the return")
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
        write_png(figure, file)
        plt.close(figure)


def study_figure(
    curves: dict[str, list[Run]], rows: list[Row], file: Path, seconds: bool, ordered: bool = False
) -> None:
    """Draws a learning study: interquartile means over seeds, and what each seed came to at the end.

    Args:
        curves: of each arm, as `Study.curves` gives them.
        rows: of the study: arm, final_length.
        file: of the PNG.
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
            for arm, runs in curves.items():
                curve = mean_curve(runs, x_key, LENGTH)
                if curve:
                    grid, mean, (low, high) = curve
                    panel.fill_between(grid, low, high, color=colours[arm], alpha=0.12, linewidth=0)
                    panel.plot(grid, mean, color=colours[arm], linewidth=2)
            panel.set_xlabel(x_label)
            if x_key == "time/seconds":
                panel.set_xscale("log")  # updates every step take ten times as long as every episode
            else:
                panel.set_xlim(left=0)
            panel.xaxis.set_major_formatter(thousands)
            panel.grid(axis="y", color="#E5E5E5", linewidth=0.8)
            panel.set_axisbelow(True)
        for panel in panels[1:-1]:
            panel.sharey(panels[0])
        panels[0].set_ylabel("mean episode length")
        ends = panels[-1]
        for place, arm in enumerate(curves):
            lengths = [float(row["final_length"]) for row in rows if row["arm"] == arm]
            mean, low, high = with_interval(lengths)
            ends.plot(lengths, [place] * len(lengths), "o", color=colours[arm], markersize=4, alpha=0.45, mew=0)
            ends.plot([low, high], [place, place], color=colours[arm], linewidth=2.5)
            ends.plot(mean, place, "D", color=colours[arm], markersize=7, mec="white")
        ends.set_yticks(range(len(curves)), list(curves))
        for label, colour in zip(ends.get_yticklabels(), colours.values(), strict=True):
            label.set(color=colour, fontweight="bold")  # the key to the curves, too
        ends.invert_yaxis()
        ends.set_xlim(left=0)
        ends.set_xlabel("episode length at the end")
        ends.grid(axis="x", color="#E5E5E5", linewidth=0.8)
        ends.set_axisbelow(True)
        write_png(figure, file)
        plt.close(figure)
