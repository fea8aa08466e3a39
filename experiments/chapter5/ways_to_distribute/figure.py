"""The figure: learning curves and speed of the ways to distribute learning."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from experiments.lab.arms import COLOURS
from experiments.lab.figures import STYLE, thousands, write_figure
from experiments.lab.learning_curves import LENGTH, X_AXES, mean_curve
from experiments.lab.records import Record

System = tuple[str, int]  # async, sync or one process; workers
KIND_COLOURS = {"one process": "#000000", "async": COLOURS["lstm"], "sync": COLOURS["mlp"]}
MARKERS = {"async": "o", "sync": "s"}
DASHES: dict[int, Any] = {1: (0, (1, 1.2)), 2: (0, (3, 1.2)), 4: (0, (7, 1.5))}  # workers; others: solid
STRENGTHS = {1: 0.4, 2: 0.6, 4: 0.8}  # the more workers, the fuller the colour


def ways_figure(
    curves: Mapping[System, list[Record]], speeds: Mapping[tuple[str, int, float], float], file: Path, length: float
) -> None:
    """Draw learning curves over env steps and over seconds, and speed over workers at each cost.

    Args:
        curves: runs of each system with the cheap environment.
        speeds: env steps a second by (async, sync or one process; workers; milliseconds of an environment's step).
        file: the PNG.
        length: mean episode length that is marked.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(1, 3, figsize=(13.5, 4.6), layout="constrained")
        panels[1].sharey(panels[0])
        for panel, (x_key, _, x_label) in zip(panels, X_AXES, strict=False):
            _draw_curves(panel, curves, x_key)
            panel.axhline(length, color="#444444", linewidth=1, linestyle="--", zorder=1)
            panel.set_xlabel(x_label)
        panels[0].set_ylabel("mean episode length")
        panels[0].set_title("Learning, cheap steps", loc="left", fontsize=10, fontweight="bold")
        panels[1].set_title("The same, over time", loc="left", fontsize=10, fontweight="bold")
        _draw_speeds(panels[2], speeds)
        lines, names = _legend(curves)
        columns = (len(names) + 1) // 2
        figure.legend(lines, names, loc="outside upper center", ncols=columns, frameon=False, handlelength=3.2)
        write_figure(figure, file)


def _look(kind: str, workers: int) -> dict[str, Any]:
    """How a system's line looks. Sync learns as one process does, so their lines cover each other: one process is broad
    and lies beneath, and dashes lie upon solid lines."""
    if kind == "one process":
        return {"color": "#BBBBBB", "linewidth": 5.5, "linestyle": "-", "solid_capstyle": "butt", "zorder": 2}
    from matplotlib.colors import to_rgb

    strength = STRENGTHS.get(workers, 1.0)
    colour = [1 - strength * (1 - part) for part in to_rgb(KIND_COLOURS[kind])]
    return {"color": colour, "linewidth": 2.0, "linestyle": DASHES.get(workers, "-"), "zorder": 3 + 1 / workers}


def _draw_curves(panel, curves: Mapping[System, list[Record]], x_key: str) -> None:
    for system, runs in curves.items():
        curve = mean_curve(runs, x_key, LENGTH)
        if curve:
            grid, mean, (low, high) = curve
            look = _look(*system)
            panel.fill_between(grid, low, high, color=look["color"], alpha=0.15, linewidth=0)
            panel.plot(grid, mean, **look)
    panel.set_xlim(left=0)
    panel.set_ylim(bottom=0)
    panel.xaxis.set_major_formatter(thousands)
    panel.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    panel.set_axisbelow(True)


def _draw_speeds(panel, speeds: Mapping[tuple[str, int, float], float]) -> None:
    """Env steps a second over workers: a group of lines for each cost, which is written at their right."""
    workers = sorted({workers for _, workers, _ in speeds})
    for cost in sorted({cost for _, _, cost in speeds}):
        for kind, colour in KIND_COLOURS.items():
            line = sorted((w, sps) for (of, w, at), sps in speeds.items() if (of, at) == (kind, cost))
            if kind == "one process":
                for _, sps in line:
                    panel.axhline(sps, color="#BBBBBB", linewidth=3, zorder=2)
            elif line:
                panel.plot(*zip(*line, strict=True), color=colour, marker=MARKERS[kind], markersize=5, zorder=3)
        values = [sps for (_, _, at), sps in speeds.items() if at == cost]
        middle = (min(values) * max(values)) ** 0.5  # on the logarithmic axis
        at_right = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
        panel.annotate(f"{cost:g} ms\na step", (1.0, middle), (5, 0), fontsize=9, **at_right)
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xticks(workers, [str(value) for value in workers])
    panel.minorticks_off()
    panel.margins(y=0.12)
    panel.yaxis.set_major_formatter(thousands)
    panel.set_xlabel("workers (8 environments in all)")
    panel.set_ylabel("env steps a second")
    panel.set_title("Speed", loc="left", fontsize=10, fontweight="bold")
    panel.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    panel.set_axisbelow(True)


def _legend(systems: Iterable[System]) -> tuple[list[Any], list[str]]:
    """Lines and names of the systems, for a legend of two rows that is filled column by column: async above sync."""
    from matplotlib.lines import Line2D

    drawn = sorted(systems, key=lambda system: (system[0] != "one process", system[1], system[0]))
    names = [kind if kind == "one process" else f"{kind}, {w} worker{'s' * (w > 1)}" for kind, w in drawn]
    lines = [Line2D([], [], **_look(*system)) for system in drawn]
    if len(drawn) % 2 and names[0] == "one process":  # it gets its own column then
        lines.insert(1, Line2D([], [], linestyle=""))
        names.insert(1, "")
    return lines, names
