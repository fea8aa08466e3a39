"""How wide the range of learning rates is that works."""

from statistics import mean

from experiments.online_vs_replay.report.cells import Blocks, Table, finals, markdown, seeds_in_words
from experiments.online_vs_replay.report.rows import Part


def learning_rate_section(grid: Part, part: Part) -> Blocks:
    """Write the final return at each learning rate."""
    if not part:
        return []
    return [
        markdown(learning_rate_table(with_tuned(grid, part))),
        "Final greedy return (interquartile mean) and runs that solved, at multiples of the tuned learning rate; "
        "x 1 are the same seeds of the grid. Solve: the share of all these runs that do, each learning rate "
        "weighing the same.",
    ]


def with_tuned(grid: Part, part: Part) -> Part:
    """Add the grid's runs at the tuned learning rate, of the same cells and seeds."""
    cells, seeds = {(run.task, run.arm) for run in part}, {run.seed for run in part}
    tuned = (run for run in grid if (run.task, run.arm) in cells and run.seed in seeds)
    return Part([*part, *(run._replace(variant="1") for run in tuned)])


def learning_rate_table(part: Part) -> Table:
    """Tabulate the final return at each learning rate, and the share of runs that solve."""
    factors = part.variants()
    table = [["arm", "task", "seeds", *(f"x {factor}" for factor in factors), "solve"]]
    for arm in part.arms():
        for task in part.tasks():
            cells = [part.of(task, arm, factor) for factor in factors]
            there = [cell for cell in cells if cell]
            if there:
                share = mean(len(cell.numbers("solved_env_steps")) / len(cell) for cell in there)
                seeds = seeds_in_words([len(cell) for cell in there])
                table.append([arm, task, seeds, *(finals(cell, task) for cell in cells), f"{share:.0%}"])
    return table
