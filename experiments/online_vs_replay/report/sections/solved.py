"""What it took to solve each task, and what came after."""

import math
from pathlib import Path
from statistics import mean

from experiments.online_vs_replay.report.cells import Blocks, Table, count, digits_of, markdown, seconds, spread
from experiments.online_vs_replay.report.rows import Part


def solved_section(grid: Part, _out: Path) -> Blocks:
    """Write what it took to solve each task, and what came after."""
    if not grid:
        return []
    blocks = [f"**{task}**\n\n" + markdown(solved_table(grid, task)) for task in grid.tasks()]
    return [
        *blocks,
        "Solved: the first evaluation, of 20 greedy episodes of the frozen policy, that reaches the "
        "threshold. Median (smallest–largest) over all seeds, a run that did not solve counting as infinite. "
        "Training window: the env steps at which the last 100 training episodes reached it, random actions of "
        "Q-learning included, and 100 fresh episodes confirmed it. Later "
        "evaluations at the threshold: of the runs that solved, the share of what came after.",
    ]


def solved_table(grid: Part, task: str) -> Table:
    """Tabulate what it took each arm to solve a task, and what came after."""
    table = [
        [
            "arm",
            "solved",
            "unsolved",
            "env steps",
            "updates",
            "CPU seconds",
            "env steps, training window",
            "later evaluations at the threshold",
            "final return, worst seed",
        ]
    ]
    for arm in grid.arms():
        mine = grid.of(task, arm)
        if not mine:
            continue
        solved = len(mine.numbers("solved_env_steps"))
        after = mine.numbers("after")
        window = [run.row.get("window_solved_env_steps", math.inf) for run in mine]
        table.append(
            [
                arm,
                f"{solved} of {len(mine)}",
                f"{1 - solved / len(mine):.0%}",
                *(spread([run.until_solved(key) for run in mine], count) for key in ("env_steps", "updates")),
                spread([run.until_solved("cpu_seconds") for run in mine], seconds),
                spread(window, count),
                f"{mean(after):.0%}" if after else "–",
                f"{min(mine.numbers('final_greedy')):.{digits_of(task)}f}",
            ]
        )
    return table
