"""Seconds to an episode length, projected from learning with cheap steps and from speed with expensive ones."""

import math
from collections.abc import Mapping
from statistics import median
from typing import NamedTuple

from experiments.chapter5.ways_to_distribute.speed import number
from experiments.chapter5.ways_to_distribute.ways import WAYS
from experiments.lab.learning_curves import LENGTH, smoothed
from experiments.lab.records import Record


def to_length(run: Record, length: float, x_key: str = "global_step") -> float:
    """Env steps or seconds until a run's smoothed curve first reaches a mean episode length; inf where it never does.

    Args:
        run: one of `curves_of`.
        length: in steps.
        x_key: global_step or time/seconds.
    """
    x, y = smoothed(run, x_key, LENGTH)
    reached = (y >= length).nonzero()[0]
    return float(x[reached[0]]) if len(reached) else math.inf


class Projection(NamedTuple):
    """The projected seconds of one arm at one cost of a step."""

    arm: str
    seconds: float  # to the length: median over seeds; inf where half of them never reached it
    seconds_of_run: float  # for all env steps that a run learnt from


def project(
    env_steps: Mapping[str, list[float]], env_steps_of_run: float, sps: Mapping[tuple[str, float], float], cost: float
) -> list[Projection]:
    """Seconds to the length at one cost: median env steps to it with the cheap environment ÷ env steps a second.

    Args:
        env_steps: env steps to the length, of each seed, by arm; inf where it was never reached.
        env_steps_of_run: env steps that each run learnt from.
        sps: measured env steps a second, by (arm, milliseconds).
        cost: milliseconds of a step.
    """
    return [
        Projection(arm, median(seeds) / sps[arm, cost], env_steps_of_run / sps[arm, cost])
        for arm, seeds in env_steps.items()
    ]


def winner(projections: list[Projection], cost: float, length: float) -> str:
    """Which way is soonest at this cost, in a sentence that also names the ways whose runs were too short to tell."""
    reached = sorted((one for one in projections if math.isfinite(one.seconds)), key=lambda one: one.seconds)
    if not reached:
        return f"At {cost:g} ms: no way reached a mean length of {length:g}."
    best, *_ = reached
    others = [
        next(one for one in reached if WAYS[one.arm].kind == kind)
        for kind in dict.fromkeys(WAYS[one.arm].kind for one in reached)
        if kind != WAYS[best.arm].kind
    ]
    said = f"At {cost:g} ms: {best.arm} is soonest, {number(best.seconds)} s projected"
    if others:
        said += "; the best of each other way: " + ", ".join(
            f"{one.arm} {number(one.seconds)} s ({one.seconds / best.seconds:.2f} times as long)" for one in others
        )
    unknown = [one for one in projections if not math.isfinite(one.seconds) and one.seconds_of_run < best.seconds]
    if unknown:
        said += "; open, because not there yet: " + ", ".join(
            f"{one.arm} (after {number(one.seconds_of_run)} s)" for one in unknown
        )
    return said + "."


def projection_table(env_steps: Mapping[str, list[float]], by_cost: Mapping[float, list[Projection]]) -> str:
    """A Markdown table of env steps to the length, of seeds that reached it, and of projected seconds at each cost."""
    titles = ["env steps to it", "seeds that had it", *(f"projected seconds, {cost:g} ms" for cost in by_cost)]
    lines = ["| | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
    for place, (arm, seeds) in enumerate(env_steps.items()):
        had = sum(map(math.isfinite, seeds))
        middle = median(seeds)
        cells = [f"{middle:,.0f}" if math.isfinite(middle) else "not reached", f"{had} of {len(seeds)}"]
        for projections in by_cost.values():
            one = projections[place]
            ended = math.isfinite(one.seconds)
            cells.append(number(one.seconds) if ended else f"> {number(one.seconds_of_run)}")
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
