"""What old data costs: the capacity of the buffer."""

from pathlib import Path
from statistics import median

from experiments.online_vs_replay.report.cells import Blocks, count, finals, markdown, measure, picture, seeds
from experiments.online_vs_replay.report.lines import by_variant, lines_figure
from experiments.online_vs_replay.report.rows import Part


def buffer_section(part: Part, out: Path) -> Blocks:
    """Write and draw the final return and the age of the data against the capacity of the buffer."""
    if not part:
        return []
    task, capacities = part.tasks()[0], part.variants()
    ages = {}
    for arm in part.arms():
        found = [(float(size), age) for size in capacities if (age := age_of(part.of(task, arm, size))) is not None]
        if found:
            ages[arm] = [x for x, _ in found], [y for _, y in found]
    panels = [by_variant(part, task, "final_greedy"), by_variant(part, task, "after"), ages]
    lines_figure(
        out / "buffer_age.png",
        ("final return", "after the first solve", "age of the data"),
        panels.__getitem__,
        ["capacity in env steps"] * 3,
        ["greedy return", "share at the threshold", "updates"],
        ticks={float(size): count(float(size)) for size in capacities},
        tasks=(task, "", ""),
    )
    table = [["arm", *(count(float(size)) for size in capacities)]]
    for arm in part.arms():
        cells = [part.of(task, arm, size) for size in capacities]
        table.append([arm, *(f"{finals(cell, task)}; age {measure(age_of(cell))}" if cell else "–" for cell in cells)])
    return [
        f"{task}, {seeds(part)} seeds: final return, runs that solved, and mean age of what is drawn, in updates.",
        picture(
            "buffer_age.png",
            "Against the capacity of the buffer: interquartile means over seeds; age: medians at the last moment.",
        ),
        markdown(table),
    ]


def age_of(runs: Part) -> float | None:
    """Return the mean age of drawn data at the last moment, in updates, the median over seeds; None if not measured."""
    ages = [run.moments[-1]["age_mean"] for run in runs if run.moments and "age_mean" in run.moments[-1]]
    return median(ages) if ages else None
