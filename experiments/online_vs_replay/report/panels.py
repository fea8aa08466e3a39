"""Figures of titled panels. An arm looks the same in all of them.

Solid lines learn online, dash-dotted ones online with segments of 8 steps, and dashed ones from replay.
"""

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

from experiments.lab.arms import COLOURS
from experiments.lab.figures import STYLE, write_figure
from experiments.online_vs_replay.tasks import ALL_TASKS

DASHED = (0, (4, 1.6))
DASH_DOTTED = (0, (5, 1.2, 1, 1.2))
LOOKS = {  # arm: colour, dashes. Okabe and Ito's palette; arms share a colour if dashes tell them apart
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
    "a2c rtu": (COLOURS["lstm zeroed"], "-"),
    "a2c rtu gradient": ("#6A3D9A", "-"),
    "q rtu stored burn in": ("#6A3D9A", DASHED),
    "q rtu episodes": ("#56B4E9", DASHED),
    "a2c lstm 8": (COLOURS["lstm"], DASH_DOTTED),
    "a2c rtu 8": (COLOURS["lstm zeroed"], DASH_DOTTED),
    "a2c rtu gradient 8": ("#6A3D9A", DASH_DOTTED),
}
COLUMNS = 3  # panels side by side
MIDDLE_LINE = {"color": "#444444", "linewidth": 1, "linestyle": ":", "zorder": 1}


@contextmanager
def panels(file: Path, titles: Sequence[str], columns: int = COLUMNS, size: tuple[float, float] = (3.5, 2.7)):
    """Make a figure with a panel for each title; the end of the block adds the legend of its arms and writes the file.

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
        drawn = list(axes.flat[: len(titles)])
        for panel, title in zip(drawn, titles, strict=True):
            panel.set_title(title, loc="left", fontsize=10, fontweight="bold")
            panel.grid(axis="y", color="#E5E5E5", linewidth=0.8)
            panel.set_axisbelow(True)
        for panel in axes.flat[len(titles) :]:
            panel.remove()
        yield drawn
        named = {}
        for panel in drawn:
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
        write_figure(figure, file)


def look(arm: str, **more) -> dict:
    """Return how an arm's line looks, and its name in the legend."""
    colour, dashes = LOOKS[arm]
    return {"color": colour, "linestyle": dashes, "linewidth": 2.0, "label": arm, **more}


def whole_axis(panel, task: str) -> None:
    """Show returns from 0, or the lowest that is drawn, to the best, so that small differences look small."""
    best = ALL_TASKS[task].best
    panel.set_ylim(min(panel.get_ylim()[0], -0.02 * best), 1.04 * best)
