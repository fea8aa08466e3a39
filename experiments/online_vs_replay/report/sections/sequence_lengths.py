"""Lengths of sequences and segments against delays."""

from pathlib import Path

from experiments.online_vs_replay.report.cells import Blocks, finals, markdown, picture, seeds
from experiments.online_vs_replay.report.lines import by_variant, lines_figure
from experiments.online_vs_replay.report.rows import Part


def lengths_section(part: Part, out: Path) -> Blocks:
    """Write and draw the final return against the length of sequences and segments."""
    if not part:
        return []
    tasks, rows = part.tasks(), part.variants()
    lines = {task: by_variant(part, task, "final_greedy") for task in tasks}
    lines_figure(
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
