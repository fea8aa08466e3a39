"""The figure of the group's updates."""

from pathlib import Path

from experiments.lab.rows import Row
from experiments.speed.group_scaling.group import WAYS
from experiments.speed.group_scaling.page import count


def draw(table: list[Row], file: Path) -> None:
    """Draw milliseconds and megabytes of an update over workers, a line for each number of parameters."""
    import matplotlib
    import numpy as np

    from experiments.lab.figures import STYLE, write_figure

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D

    many = sorted({row["parameters"] for row in table})
    shades = plt.get_cmap("viridis_r")
    colours = {one: shades(0.15 + 0.8 * place / max(1, len(many) - 1)) for place, one in enumerate(many)}
    dashes = dict(zip(WAYS, ("-", (0, (4, 1.5))), strict=True))
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
        for panel, key, scale, fewest, title, label in (
            (panels[0], "seconds", 1e3, 1, "On one machine, where workers take turns", "milliseconds of an update"),
            (
                panels[1],
                "busiest_bytes",
                1e-6,
                2,
                "What the busiest link carries between hosts",
                "megabytes of an update, each way",
            ),  # one worker sends nothing
        ):
            for way in WAYS:
                for one in many:
                    of_one = [row for row in table if (row["reduce"], row["parameters"]) == (way, one)]
                    line = sorted((row["workers"], scale * row[key]) for row in of_one if row["workers"] >= fewest)
                    panel.plot(*np.array(line).reshape(-1, 2).T, color=colours[one], linestyle=dashes[way], marker=".")
            panel.set_yscale("log")
            panel.yaxis.set_major_formatter("{x:g}")
            panel.set_title(title)
            panel.set_xticks(sorted({row["workers"] for row in table if row["workers"] >= fewest}))
            panel.set_xlabel("workers")
            panel.set_ylabel(label)
            panel.grid(axis="y", color="#E5E5E5", linewidth=0.8)
            panel.set_axisbelow(True)
        lines = [Line2D([], [], color=colour, linewidth=2.2) for colour in colours.values()]
        lines += [Line2D([], [], color="#444444", linestyle=dash) for dash in dashes.values()]
        names = [*(f"{count(one)} parameters" for one in many), *WAYS]
        figure.legend(lines, names, loc="outside upper center", ncols=4, frameon=False, handlelength=2.4)
        write_figure(figure, file)
