"""Figures: learning curves, and what carrying the state is worth at each segment length."""

import io
from collections.abc import Callable
from pathlib import Path
from textwrap import fill

import numpy as np

from experiments.lab.arms import Arms
from experiments.lab.records import Run
from experiments.lab.statistics import Interval, iqm, stratified_bootstrap

# Okabe and Ito's palette without its yellow: told apart by colour-blind readers, too.  An arm keeps its colour in every
# figure; an arm without one takes the next that is free.
COLOURS = {
    "mlp": "#D55E00",
    "gru": "#009E73",
    "lstm": "#0072B2",
    "mlp 2 frames": "#E69F00",
    "gru zeroed": "#000000",
    "lstm zeroed": "#CC79A7",
}
SPARE_COLOURS = ("#56B4E9", "#8C6D46", "#7F7F7F")

CAPTION = (
    "Thin lines: one seed each, the mean of five log intervals, a dot where it solved the task. Thick line and band: "
    "interquartile mean over seeds and its 95 % bootstrap interval; a run that stopped because it had solved the task "
    "keeps its last value, and the line ends where the first run stopped without solving it. Dashed: the threshold."
)
X_AXES = (  # key of the rows, key of the summary, label
    ("global_step", "solved_at_env_steps", "environment steps"),
    ("time/seconds", "solved_at_seconds", "seconds of training"),
)
SOLVED_KEYS = {x_key: solved_key for x_key, solved_key, _ in X_AXES}
POINTS = 200
CHARACTERS = 100  # fit across the figure
RETURN = "charts/episodic_return"
LENGTH = "charts/episodic_length"
SMOOTHED = 5  # log intervals: one alone holds some twenty episodes once they are long
STYLE = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#888888"}
CURVE_RESAMPLES = 2_000  # at each of the points


def learning_curves(arms: Arms, file: Path) -> None:
    """Draws one row of two panels for each environment and writes them as a PNG."""
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
            for panel, (x_key, solved_key, x_label) in zip((left, right), X_AXES, strict=True):
                _draw_panel(panel, groups, x_key, solved_key, colours)
                panel.set_xlabel(x_label)
            left.set_ylabel("mean episode return")
            left.set_title(env, loc="left", fontsize=10, fontweight="bold")
        lines = [Line2D([], [], color=colour, linewidth=2.2) for colour in colours.values()]
        columns = max(1, CHARACTERS // (8 + max(map(len, colours))))
        names = [fill(name, CHARACTERS - 10) for name in colours]
        figure.legend(lines, names, loc="outside upper center", ncols=columns, frameon=False)
        write_png(figure, file)
        plt.close(figure)


def write_png(figure, file: Path) -> None:
    """Writes a figure with 256 colours instead of 16 million: a third of the bytes, and no difference to the eye."""
    from PIL import Image

    picture = io.BytesIO()
    figure.savefig(picture, dpi=150)
    Image.open(picture).convert("RGB").quantize(256).save(file, format="PNG", optimize=True)


def carry_figure(rows: list[dict], zeroed_score: Callable[[int, int], float], file: Path) -> None:
    """Draws final return against segment length, state carried and zeroed, a panel for each task and delay.

    `rows` have task, delay (0: none), segment_length, carry_state and final_return; `zeroed_score(delay, N)` is the
    dotted line.  Circles are seeds, lines their means.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    panels = list(dict.fromkeys((row["task"], row["delay"]) for row in rows))
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(panels), figsize=(3 * len(panels), 3.2), squeeze=False, layout="constrained")
        for axis, (task, delay) in zip(axes[0], panels, strict=True):
            mine = [row for row in rows if (row["task"], row["delay"]) == (task, delay)]
            lengths = sorted({row["segment_length"] for row in mine})
            if delay:
                fine = np.geomspace(lengths[0], lengths[-1], 200)
                expected = [zeroed_score(delay, length) for length in fine]
                axis.plot(fine, expected, ":", color="#444444", label="max(0, 1 − delay/N)")
            for carry, colour, label in ((True, COLOURS["lstm"], "carried"), (False, COLOURS["lstm zeroed"], "zeroed")):
                arm = [row for row in mine if row["carry_state"] == carry]
                points = [(row["segment_length"], row["final_return"]) for row in arm]
                means = [np.mean([score for length, score in points if length == at]) for at in lengths]
                axis.plot(lengths, means, color=colour, linewidth=2, label=label)
                axis.plot(*zip(*points, strict=True), "o", color=colour, markersize=4, alpha=0.5, markeredgewidth=0)
            axis.set_xscale("log", base=2)
            axis.set_xticks(lengths, [str(length) for length in lengths])
            axis.minorticks_off()
            axis.set_title(f"{task}, delay {delay}" if delay else task, fontsize=9, fontweight="bold")
            axis.set_xlabel("segment length N")
            axis.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        axes[0][0].set_ylabel("return at the end of training")
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
        write_png(figure, file)
        plt.close(figure)


def colours_of(names: list[str]) -> dict[str, str]:
    """The fixed colour of each known arm; the others share what is left, in their order."""
    free = [*SPARE_COLOURS, *(colour for name, colour in COLOURS.items() if name not in names)]
    unknown = [name for name in names if name not in COLOURS]
    return {name: COLOURS[name] if name in COLOURS else free[unknown.index(name) % len(free)] for name in names}


def smoothed(run: Run, x_key: str, y_key: str = RETURN) -> tuple[np.ndarray, np.ndarray]:  # [row] each
    """A run's returns (or lengths), each the mean of its own and the four log intervals before (fewer at the start)."""
    x, y = run.curve(x_key, y_key)
    solved_at = run.summary.get(SOLVED_KEYS[x_key])
    if run.summary.get("exit_reason") == "solved" and solved_at is not None and (x <= solved_at).any():
        x, y = x[x <= solved_at], y[x <= solved_at]  # later rows are of updates that were dropped when it was confirmed
    sums = np.concatenate([[0.0], y.cumsum()])
    starts = np.maximum(np.arange(len(y)) - SMOOTHED + 1, 0)
    ends = np.arange(len(y)) + 1
    return x, (sums[ends] - sums[starts]) / (ends - starts)


def mean_curve(runs: list[Run], x_key: str, y_key: str = RETURN) -> tuple[np.ndarray, np.ndarray, Interval] | None:
    """Interquartile mean over runs on a common grid: (grid, mean, (low, high)), each [point].

    The grid starts where every run has a value.  A solved run holds its last value; the grid ends with the last solved
    run, or with the first one that stopped without solving, because nobody knows how that one would have gone on.
    None when the runs have no common part.
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


def _draw_panel(panel, groups: dict[str, list[Run]], x_key: str, solved_key: str, colours: dict[str, str]) -> None:
    for name, runs in groups.items():
        for run in runs:
            x, y = smoothed(run, x_key)
            panel.plot(x, y, color=colours[name], linewidth=0.7, alpha=0.35)
            solved_at = run.summary.get(solved_key)
            if solved_at is not None and len(x):
                dot = {"color": colours[name], "markersize": 4.5, "markeredgecolor": "white", "zorder": 3}
                panel.plot(solved_at, np.interp(solved_at, x, y), "o", **dot)
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


def thousands(value: float, _position: int) -> str:
    """A tick's label: 250k, 1.5M."""
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"
