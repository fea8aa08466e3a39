"""Tables of the grid: returns, what solving took, aggregates, and the price of a step. Each is a list of cells."""

import math
from collections.abc import Sequence
from statistics import mean, median

from experiments.lab.learning_study import with_interval
from experiments.lab.statistics import iqm, optimality_gap, stratified_bootstrap
from experiments.online_vs_replay.arms import TASKS
from experiments.online_vs_replay.report.claims import ONLINE, Q_ONLINE, REPLAYED, Duel, against
from experiments.online_vs_replay.report.rows import ALL_TASKS, Part

PRICES = (0.0, 0.1, 1.0, 10.0)  # milliseconds a step
NOT_REACHED = "not reached"
Table = list[list[str]]  # the first row is the header


def markdown(table: Table) -> str:
    """A table in Markdown, all columns but the first aligned right."""
    rule = ["---", *["---:"] * (len(table[0]) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (table[0], rule, *table[1:]))


def words(table: Table) -> str:
    """A table in Markdown whose cells are sentences."""
    return markdown(table).replace("---:", "---")


def in_words(values: Sequence[float], digits: int) -> str:
    """Interquartile mean with its interval; the mean alone of one seed; a dash of none."""
    if not values:
        return "–"
    middle, low, high = (round(value, digits) + 0.0 for value in with_interval(list(values)))  # no -0.00
    shown = f"{middle:.{digits}f}"
    return f"{shown} [{low:.{digits}f}, {high:.{digits}f}]" if len(values) > 1 else shown


def digits_of(task: str) -> int:
    """Digits behind the point of a task's returns."""
    return 0 if ALL_TASKS[task].best >= 10 else 2


def seeds_in_words(counts: Sequence[int]) -> str:
    """How many seeds cells have: 10, or 3–10."""
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low}–{high}"


def count(value: float) -> str:
    """Env steps or updates: 950, 81k, 1.2M."""
    if math.isinf(value):
        return NOT_REACHED
    return f"{value:.0f}" if value < 1e4 else f"{value / 1e3:.0f}k" if value < 1e6 else f"{value / 1e6:.1f}M"


def seconds(value: float) -> str:
    """Seconds, with about two digits that count."""
    if math.isinf(value):
        return NOT_REACHED
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def spread(values: Sequence[float], text) -> str:
    """Median and range: 81k (60k–not reached); the value alone where all are the same."""
    if not values:
        return "–"
    low, middle, high = min(values), median(values), max(values)
    if math.isinf(middle) and math.isfinite(low):
        return f"{text(middle)} (soonest {text(low)})"
    return text(middle) + (f" ({text(low)}–{text(high)})" if low != high else "")


def final_table(grid: Part) -> Table:
    """Final greedy return of each arm on each task."""
    tasks = grid.tasks()
    table = [["arm", "seeds", *tasks]]
    for arm in grid.arms():
        cells = {task: grid.of(task, arm).numbers("final_greedy") for task in tasks}
        seeds = seeds_in_words([len(values) for values in cells.values() if values])
        table.append([arm, seeds, *(in_words(values, digits_of(task)) for task, values in cells.items())])
    return table


def duel_table(found: Sequence[Duel]) -> Table:
    """Online against the best way of replay, a row a task and metric."""
    table = [["task", "compared", "online", "replay", "its way", "seeds", "P(online > replay)", "online is better"]]
    for duel in found:
        of = against("", [duel.online], [duel.replay], ("online", "replay"))
        seeds = seeds_in_words([len(duel.online), len(duel.replay)])
        values = in_words(duel.online, 2), in_words(duel.replay, 2)
        table.append([duel.task, duel.metric, *values, duel.way.replace("q lstm ", ""), seeds, of.chance, of.verdict])
    return table


def solved_table(grid: Part, task: str) -> Table:
    """What solving a task took each arm, and what came after."""
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


def whole_arms(grid: Part) -> list[str]:
    """The arms that have runs on all of the study's tasks that have any."""
    tasks = grid.tasks(TASKS)
    return [arm for arm in grid.arms() if tasks and all(grid.of(task, arm) for task in tasks)]


def scores_by_task(grid: Part, arm: str) -> list[list[float]]:
    """Normalised final returns of an arm on each of the study's tasks that have runs."""
    return [[run.normalised() for run in grid.of(task, arm)] for task in grid.tasks(TASKS)]


def aggregate_table(grid: Part) -> Table:
    """Aggregates over all tasks, best first: runs of all tasks pooled, drawn again within each task."""
    rows = []
    for arm in whole_arms(grid):
        scores = scores_by_task(grid, arm)
        pooled = [score for task in scores for score in task]
        low, high = stratified_bootstrap(scores, iqm)
        gap_low, gap_high = stratified_bootstrap(scores, optimality_gap)
        rows.append(
            (
                float(iqm(pooled)),
                [
                    arm,
                    seeds_in_words([len(task) for task in scores]),
                    f"{iqm(pooled):.2f} [{low:.2f}, {high:.2f}]",
                    f"{optimality_gap(pooled):.2f} [{gap_low:.2f}, {gap_high:.2f}]",
                ],
            )
        )
    header = ["arm", "seeds", "IQM of normalised final returns", "optimality gap"]
    return [header, *(cells for _, cells in sorted(rows, key=lambda row: -row[0]))]


def price_table(grid: Part, task: str) -> Table:
    """Seconds to solved on one core, if a step took so many milliseconds more, of arms whose median is finite."""
    table = [["arm", *(f"{price:g} ms" for price in PRICES)]]
    for arm in grid.arms():
        middles = [
            median(run.seconds_at(price) for run in grid.of(task, arm)) for price in PRICES if grid.of(task, arm)
        ]
        if middles and math.isfinite(middles[0]):
            table.append([arm, *map(seconds, middles)])
    return table


def overtaking_table(grid: Part) -> Table:
    """From which price of a step each learner from replay solves a task sooner than online, a2c lstm."""
    tasks = [task for task in grid.tasks() if grid.of(task, ONLINE)]
    table = [["replay", *tasks]]
    for arm in grid.arms():
        if (arm.startswith("q lstm ") and arm != Q_ONLINE) or arm == REPLAYED:
            table.append(
                [arm, *(overtakes(medians(grid.of(task, ONLINE)), medians(grid.of(task, arm))) for task in tasks)]
            )
    return table if tasks else table[:1]


def medians(runs: Part) -> tuple[float, float] | None:
    """CPU seconds and env steps to solved."""
    if not runs:
        return None
    return tuple(median(run.until_solved(key) for run in runs) for key in ("cpu_seconds", "env_steps"))


def overtakes(online: tuple[float, float] | None, replay: tuple[float, float] | None) -> str:
    """At which prices of a step, in milliseconds, replay solves sooner.

    c' + p e' < c + p e,  by the medians c of CPU seconds and e of env steps to solved; the two lines cross at
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
