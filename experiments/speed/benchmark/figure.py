"""The figure of the benchmark."""

from pathlib import Path

from experiments.lab.figures import STYLE, thousands, write_figure
from experiments.speed.benchmark.configurations import BASE_NAME

BLUE = "#0072B2"


def benchmark_figure(results: dict, file: Path) -> None:
    """Draw env steps a second: a bar for each configuration, a line for each numeric axis that was scaled over.

    Bars and points are medians, whiskers reach from smallest to largest, percentages are fractions of the roofline.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    runs, scaling = results["run"], results.get("scaling", {})
    axes = [axis for axis, points in scaling.items() if all(isinstance(value, int) for value, _ in points)]
    on_axes = {name for axis in axes for _, name in scaling[axis]} - {BASE_NAME}
    bars = {name: runs[name] for name in runs if name not in on_axes}
    columns = ["bars", *axes[:2]], ["bars", *axes[2:]]
    with plt.rc_context(STYLE):
        size = (4.6 + 2.7 * len(axes[:2]), max(2.6, 2.4 * bool(axes) * 2, 0.5 * len(bars)))
        figure, panels = plt.subplot_mosaic(
            columns if axes else [["bars"]],
            figsize=size,
            layout="constrained",
            width_ratios=[1.5] + [1] * len(axes[:2]),
        )
        draw_bars(panels["bars"], bars)
        for axis in axes:
            draw_scaling(panels[axis], {value: runs[name] for value, name in scaling[axis]})
            panels[axis].set_xlabel(axis.replace("envs_per", "environments per").replace("_", " "))
        write_figure(figure, file)


def draw_bars(panel, runs: dict[str, dict]) -> None:
    """Draw a bar for each run, the first at the top, with its fraction of the roofline if that is known."""
    for place, run in enumerate(runs.values()):
        middle, below, above = whiskers(run["sps"])
        panel.barh(place, middle, xerr=[[below], [above]], color=BLUE, height=0.62, ecolor="#444444")
        fraction = run.get("roofline", {}).get("fraction")
        share = f", {fraction['median']:.1%}" if fraction else ""
        label = f"{middle / 1e3:.0f}k{share}"
        panel.annotate(label, (middle + above, place), (4, 0), textcoords="offset points", va="center", fontsize=9)
    panel.set_yticks(range(len(runs)), list(runs))
    panel.invert_yaxis()
    panel.margins(x=0.3)
    panel.set_xlim(left=0)
    panel.xaxis.set_major_formatter(thousands)
    panel.set_xlabel("env steps a second" + (", % of the roofline" if share else ""))


def draw_scaling(panel, runs: dict[int, dict]) -> None:
    """Draw env steps a second over the values of one option."""
    values = list(runs)
    middle, below, above = zip(*(whiskers(run["sps"]) for run in runs.values()), strict=True)
    panel.errorbar(values, middle, [below, above], color=BLUE, marker="o", markersize=4, capsize=2)
    panel.set_xscale("log", base=2)
    panel.set_xticks(values, [str(value) for value in values])
    panel.minorticks_off()
    panel.set_ylim(0, 1.1 * max(map(sum, zip(middle, above, strict=True))))
    panel.yaxis.set_major_formatter(thousands)
    panel.grid(axis="y", color="#E5E5E5", linewidth=0.8)


def whiskers(found: dict) -> tuple[float, float, float]:
    """Return the median, and its distances to the smallest and the largest."""
    return found["median"], found["median"] - found["min"], found["max"] - found["median"]
