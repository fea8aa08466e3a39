"""The figure of errors against N."""

from pathlib import Path

import numpy as np

from experiments.lab.arms import COLOURS
from experiments.lab.figures import STYLE, write_figure
from experiments.lab.rows import Row

ERRORS = (("squared bias", COLOURS["mlp"]), ("variance", COLOURS["lstm"]), ("sum", COLOURS["gru zeroed"]))


def error_figure(rows: list[Row], file: Path) -> None:
    """Draw squared bias, variance and their sum against N, in a panel for each training stage.

    Circles are seeds, lines their means. The axis of errors is linear, so one sees that the two parts add up.

    Args:
        rows: env_steps, N (text; MC, the last, is the whole episode), squared_bias and variance.
        file: the PNG.
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
                        two = {"squared bias": row["squared_bias"], "variance": row["variance"]}
                        found[row["N"]].append(two.get(label, sum(two.values())))
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
        panels[0][0].set_ylim(bottom=0)  # of all panels, after all are drawn, since it keeps the top where it is
        panels[0][0].set_ylabel("squared error of the return")
        handles, labels = panels[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
        write_figure(figure, file)
