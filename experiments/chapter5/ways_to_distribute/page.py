"""The page of the experiment."""

from collections.abc import Mapping

from experiments.chapter5.length_results import final_lengths
from experiments.chapter5.length_study import COLUMNS, FOOTNOTE
from experiments.chapter5.ways_to_distribute.agreement import agreement
from experiments.chapter5.ways_to_distribute.command import Command
from experiments.chapter5.ways_to_distribute.projection import project, projection_table, to_length, winner
from experiments.chapter5.ways_to_distribute.speed import median_of, speed_table
from experiments.chapter5.ways_to_distribute.ways import EXPENSIVE_MS, LONG_STEPS
from experiments.lab.records import Record
from experiments.lab.rows import Row
from experiments.lab.statistics import compared
from experiments.lab.tables import Column, study_table

SPEED_NOTE = (
    "Env steps a second: medians over repetitions of {seconds:g} s of training each, without W&B. The cost of a step "
    "is milliseconds of computing on a CPU, for each environment. Staleness: how many updates of others came between "
    "taking parameters and applying the gradient, mean over gradients; in brackets as a share of the workers. A "
    "measurement of few segments (10 steps of 8 environments) starts with young gradients."
)
PROJECTION_NOTE = (
    "Projected, not measured: median env steps with the cheap environment until the mean length over five log "
    "intervals was {length:g}, divided by the env steps a second measured at that cost. >: not reached; the seconds "
    "that the run's env steps take."
)
LATE_NOTE = "Lengths: means of the curves' points in the last fifth of the expensive runs' env steps."


def lead(rows: list[Row]) -> str:
    """Whether async leads only by its number of updates, in a sentence; no text where an arm is missing."""
    pair = [final_lengths(rows, arm) for arm in (LONG_STEPS, "async 8 workers")]
    if not all(pair):
        return ""
    words, sign = compared(*pair)
    verdict = {
        1: "learns more from the same env steps, so async's lead need not come from asynchrony",
        -1: "still learns less from the same env steps",
        0: "learns neither surely more nor less from the same env steps",
    }[sign]
    return (
        " Async with 8 workers updates 8 times as often as one process, at the same learning rate. One process with 8 "
        f"times the learning rate {verdict}: P(one process longer) = {words}."
    )


def page(command: Command, rows: list[Row], curves: Mapping[str, list[Record]], speed_rows: list[Row]) -> str:
    """All tables, made from the rows alone."""
    sps = median_of(speed_rows, "sps")
    env_steps = {way.name: [to_length(run, command.length) for run in curves[way.name]] for way in command.ways()}
    costs = {cost: project(env_steps, command.env_steps, sps, cost) for cost in command.costs()}
    age = Column("staleness", "staleness", 2, median=True)
    sections: list[tuple[str, str]] = [
        ("Learning", f"{study_table(rows, (*COLUMNS, age))}\n\n{FOOTNOTE}{lead(rows)}"),
        ("Speed and staleness", f"{speed_table(speed_rows)}\n\n{SPEED_NOTE.format(seconds=command.seconds)}"),
        (
            f"Seconds to a mean episode length of {command.length:g}, projected",
            projection_table(env_steps, costs)
            + "\n\n"
            + "\n".join(f"- {winner(projections, cost, command.length)}" for cost, projections in costs.items())
            + f"\n\n{PROJECTION_NOTE.format(length=command.length)}",
        ),
    ]
    if real := agreement(rows, curves, sps, command.length):
        sections.append((f"The projection against runs with {EXPENSIVE_MS:g} ms", f"{real} {LATE_NOTE}"))
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in sections)
