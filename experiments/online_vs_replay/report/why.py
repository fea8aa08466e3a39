"""The sections of the report that are of the other parts: learning rates, lengths, age, carry, workers, tuning."""

from pathlib import Path
from statistics import median

from experiments.lab.learning_study import Row
from experiments.lab.statistics import iqm
from experiments.online_vs_replay.report import figures as figures
from experiments.online_vs_replay.report.pages import Blocks, picture
from experiments.online_vs_replay.report.parts import (
    carry_table,
    finals,
    learning_rate_table,
    measure,
    trials_table,
    tuning_table,
    workers_table,
)
from experiments.online_vs_replay.report.rows import Part
from experiments.online_vs_replay.report.tables import count, markdown, seeds_in_words


def learning_rate_section(grid: Part, part: Part) -> Blocks:
    """How wide the range of learning rates is that works."""
    if not part:
        return []
    return [
        markdown(learning_rate_table(with_tuned(grid, part))),
        "Final greedy return (interquartile mean) and runs that solved, at multiples of the tuned learning rate; "
        "x 1 are the same seeds of the grid. Solve: the share of all these runs that do, each learning rate "
        "weighing the same.",
    ]


def with_tuned(grid: Part, part: Part) -> Part:
    """Runs at other learning rates, and beside them those of the grid at the tuned one: same cells, same seeds."""
    cells, seeds = {(run.task, run.arm) for run in part}, {run.seed for run in part}
    tuned = (run for run in grid if (run.task, run.arm) in cells and run.seed in seeds)
    return Part([*part, *(run._replace(variant="1") for run in tuned)])


def lengths_section(part: Part, out: Path) -> Blocks:
    """Sequences and segments against delays."""
    if not part:
        return []
    tasks, rows = part.tasks(), part.variants()
    lines = {task: by_variant(part, task, "final_greedy") for task in tasks}
    figures.lines_figure(
        out / "sequence_lengths.png",
        tasks,
        lambda place: lines[tasks[place]],
        ["rows of a segment or sequence"] * len(tasks),
        ["final greedy return"] * len(tasks),
        ticks={float(length): length for length in rows},
        tasks=tasks,
    )
    table = [["task", "arm", *rows]]
    table += [
        [task, arm, *(finals(part.of(task, arm, length), task) for length in rows)]
        for task in tasks
        for arm in part.arms()
    ]
    return [
        "Final return against the rows that are unrolled together: segments online, burn-in and trained "
        f"steps together from replay; {seeds(part)} seeds.",
        picture("sequence_lengths.png", "Final greedy return against rows, interquartile means over seeds."),
        markdown(table),
    ]


def by_variant(part: Part, task: str, key: str) -> dict[str, tuple[list[float], list[float]]]:
    """A column of runs.csv against the number that variants are: x and y of each arm, interquartile means."""
    found = {}
    for arm in part.arms():
        points = [
            (float(variant), values)
            for variant in part.variants()
            if (values := part.of(task, arm, variant).numbers(key))
        ]
        if points:
            found[arm] = [x for x, _ in points], [float(iqm(values)) for _, values in points]
    return found


def seeds(part: Part) -> str:
    """Of the cells that have runs."""
    cells: dict[tuple[str, str, str], int] = {}
    for run in part:
        cell = run.task, run.arm, run.variant
        cells[cell] = cells.get(cell, 0) + 1
    return seeds_in_words(list(cells.values()))


def age_of(runs: Part) -> float | None:
    """Mean age of what is drawn, in updates, at the last moment: the median over seeds."""
    ages = [run.moments[-1]["age_mean"] for run in runs if run.moments and "age_mean" in run.moments[-1]]
    return median(ages) if ages else None


def buffer_section(part: Part, out: Path) -> Blocks:
    """What old states cost: capacity of the buffer."""
    if not part:
        return []
    task, capacities = part.tasks()[0], part.variants()
    ages = {}
    for arm in part.arms():
        found = [(float(size), age) for size in capacities if (age := age_of(part.of(task, arm, size))) is not None]
        if found:
            ages[arm] = [x for x, _ in found], [y for _, y in found]
    panels = [by_variant(part, task, "final_greedy"), by_variant(part, task, "after"), ages]
    figures.lines_figure(
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


def carry_section(grid: Part, carry: Part) -> Blocks:
    """What carrying the state is worth online."""
    table = carry_table(grid, carry)
    if len(table) == 1:
        return []
    return [
        "In training the state carried over segments, against zeroed at the start of each (as zero-state replay "
        "does); evaluations carry it. Final greedy return.",
        markdown(table),
    ]


def workers_section(part: Part) -> Blocks:
    """Asynchronous workers."""
    if not part:
        return []
    return [
        f"Asynchronous workers on {' and '.join(part.tasks())}. CPU seconds are summed over workers. "
        "Parameter lag: updates by the others between a gradient's parameters and its own.",
        markdown(workers_table(part)),
    ]


def tuning_section(rows: list[Row]) -> Blocks:
    """Which settings were tried and chosen."""
    if not rows:
        return []
    table = tuning_table(rows)
    return [
        "Eight trials for each arm. Score: mean normalised return of the evaluations in the second half of "
        "training, over its tuning tasks, with a seed that is not used elsewhere; * is the chosen trial.",
        markdown(table),
        "The trials.",
        markdown(trials_table([row[0] for row in table[1:]])),
    ]
