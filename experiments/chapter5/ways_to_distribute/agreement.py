"""How the projection agrees with runs whose steps really were expensive."""

import math
from collections.abc import Mapping
from statistics import median

from experiments.chapter5.ways_to_distribute.projection import to_length
from experiments.chapter5.ways_to_distribute.speed import number
from experiments.chapter5.ways_to_distribute.ways import EXPENSIVE_MS
from experiments.lab.learning_curves import LENGTH
from experiments.lab.records import Record
from experiments.lab.rows import Row


def mean_length(runs: list[Record], low: float, high: float) -> float:
    """Mean episode length over the curves' points with low < env steps ≤ high, over all runs; nan without a point."""
    lengths = [point[LENGTH] for run in runs for point in run.rows if low < point["global_step"] <= high]
    return sum(lengths) / len(lengths) if lengths else math.nan


def agreement(
    rows: list[Row], curves: Mapping[str, list[Record]], sps: Mapping[tuple[str, float], float], length: float
) -> str:
    """Real and projected seconds of the arms that learnt with the expensive environment, as a table and a sentence.

    Args:
        rows: the study's rows with arm, env_steps and seconds.
        curves: every arm's curve.
        sps: measured env steps a second, by (arm, milliseconds).
        length: the mean episode length to be reached.
    """
    titles = (
        "env steps",
        "seconds",
        "projected",
        "real ÷ projected",
        "length in the last fifth",
        "cheap environment, same env steps",
        f"seconds to length {length:g}",
        "projected",
    )
    lines, ratios = ["| | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)], []
    for arm, runs in curves.items():
        cheap = arm.removesuffix(f" {EXPENSIVE_MS:g} ms")
        speed = sps.get((cheap, EXPENSIVE_MS))
        if arm == cheap or speed is None:
            continue
        mine = [row for row in rows if row["arm"] == arm]
        env_steps, seconds = (median(float(row[key]) for row in mine) for key in ("env_steps", "seconds"))
        span = 0.8 * env_steps, env_steps
        real = median(to_length(run, length, "time/seconds") for run in runs)
        projected = median(to_length(run, length) for run in curves[cheap]) / speed
        ratios.append(seconds / (env_steps / speed))
        cells = [
            *(f"{env_steps:,.0f}", number(seconds), number(env_steps / speed), f"{ratios[-1]:.2f}"),
            *(f"{mean_length(group, *span):.1f}" for group in (runs, curves[cheap])),
            *(number(value) if math.isfinite(value) else "not reached" for value in (real, projected)),
        ]
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    if not ratios:
        return ""
    ends = f"{min(ratios):.2f}", f"{max(ratios):.2f}"
    times = " to ".join(dict.fromkeys(ends))
    return "\n".join(lines) + f"\n\nThe real runs took {times} times the seconds projected for their env steps."
