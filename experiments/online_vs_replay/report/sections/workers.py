"""Asynchronous workers."""

from experiments.online_vs_replay.report.cells import (
    Blocks,
    Table,
    count,
    digits_of,
    in_words,
    markdown,
    seconds,
    spread,
)
from experiments.online_vs_replay.report.rows import Part


def workers_section(part: Part) -> Blocks:
    """Write what asynchronous workers need, and where they end."""
    if not part:
        return []
    return [
        f"Asynchronous workers on {' and '.join(part.tasks())}. CPU seconds are summed over workers. "
        "Parameter lag: updates by the others between a gradient's parameters and its own.",
        markdown(workers_table(part)),
    ]


def workers_table(part: Part) -> Table:
    """Tabulate what asynchronous workers need, and where they end."""
    table = [
        [
            "arm",
            "workers",
            "seeds",
            "solved",
            "env steps to solved",
            "CPU seconds to solved",
            "CPU seconds in all",
            "parameter lag",
            "final return",
        ]
    ]
    for task in part.tasks():
        for arm in part.arms():
            for workers in part.variants():
                mine = part.of(task, arm, workers)
                if mine:
                    table.append(
                        [
                            arm,
                            workers,
                            str(len(mine)),
                            f"{len(mine.numbers('solved_env_steps'))} of {len(mine)}",
                            spread([run.until_solved("env_steps") for run in mine], count),
                            spread([run.until_solved("cpu_seconds") for run in mine], seconds),
                            spread(mine.numbers("cpu_seconds"), seconds),
                            spread(mine.numbers("lag"), lambda value: f"{value:.2f}"),
                            in_words(mine.numbers("final_greedy"), digits_of(task)),
                        ]
                    )
    return table
