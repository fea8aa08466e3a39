"""Seconds to solve a task if a step cost more."""

import math
from pathlib import Path
from statistics import median

from experiments.online_vs_replay.report.cells import Blocks, Table, markdown, seconds, spread
from experiments.online_vs_replay.report.duels import ONLINE, REPLAY_AGENTS
from experiments.online_vs_replay.report.rows import Part

PRICES = (0.0, 0.1, 1.0, 10.0)  # milliseconds a step


def price_section(grid: Part, _out: Path) -> Blocks:
    """Write the seconds to solve each task if steps cost more, and what the buffers hold."""
    if not grid:
        return []
    overtaking = overtaking_table(grid)
    blocks = [
        "Computed from the measured rows: seconds to solved = CPU seconds to solved + price x env steps to solved, on "
        "one CPU; medians over seeds. Replay is worth its updates where a step is dear.",
        *(f"**{task}**\n\n" + markdown(table) for task in grid.tasks() if len(table := price_table(grid, task)) > 1),
        "Not in these tables: arms of which half of the seeds or fewer solve the task.",
    ]
    if len(overtaking) > 1:
        blocks += [
            "Where replay solves sooner than online (a2c lstm), by the medians of CPU seconds and env steps to "
            "solved: from a price on, below one, always, or never.",
            markdown(overtaking),
        ]
    held = bytes_table(grid)
    return [*blocks, *(["What the buffers hold.", markdown(held)] if len(held) > 1 else [])]


def price_table(grid: Part, task: str) -> Table:
    """Tabulate the seconds to solved on one CPU at each price of a step, of arms whose median is finite."""
    table = [["arm", *(f"{price:g} ms" for price in PRICES)]]
    for arm in grid.arms():
        middles = [
            median(run.seconds_at(price) for run in grid.of(task, arm)) for price in PRICES if grid.of(task, arm)
        ]
        if middles and math.isfinite(middles[0]):
            table.append([arm, *map(seconds, middles)])
    return table


def overtaking_table(grid: Part) -> Table:
    """Tabulate at which prices of a step each learner from replay solves a task sooner than a2c lstm."""
    tasks = [task for task in grid.tasks() if grid.of(task, ONLINE)]
    table = [["replay", *tasks]]
    for arm in grid.arms(REPLAY_AGENTS):
        table.append([arm, *(overtakes(medians(grid.of(task, ONLINE)), medians(grid.of(task, arm))) for task in tasks)])
    return table if tasks else table[:1]


def medians(runs: Part) -> tuple[float, float] | None:
    """Return the medians of CPU seconds and env steps to solved; None without runs."""
    if not runs:
        return None
    return tuple(median(run.until_solved(key) for run in runs) for key in ("cpu_seconds", "env_steps"))


def overtakes(online: tuple[float, float] | None, replay: tuple[float, float] | None) -> str:
    """Write at which prices of a step, in milliseconds, replay solves sooner.

    c' + p e' < c + p e,   c the medians of CPU seconds and e of env steps to solved; the two lines cross at
    p = (c' − c) / (e − e').
    """
    if online is None or replay is None:
        return "–"
    if math.isinf(replay[0]):
        return "never" if math.isfinite(online[0]) else "neither solves"
    if math.isinf(online[0]):
        return "always"
    dearer, saved = replay[0] - online[0], online[1] - replay[1]
    if saved == 0 or dearer / saved <= 0:
        return "always" if dearer < 0 or (dearer == 0 and saved > 0) else "never"
    price = 1000 * dearer / saved
    return f"{'from' if saved > 0 else 'below'} {f'{price:.2g}' if price < 100 else f'{price:.0f}'} ms"


def bytes_table(grid: Part) -> Table:
    """Tabulate what the buffers of each arm hold at the end, the median over tasks."""
    table = [["arm", "MB"]]
    for arm in grid.arms():
        held = [
            values[-1]
            for run in grid
            if run.arm == arm and (values := [at["bytes"] for at in run.moments if "bytes" in at])
        ]
        if held:
            table.append([arm, spread(held, lambda value: f"{value / 1e6:.1f}")])
    return table
