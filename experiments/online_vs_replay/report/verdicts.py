"""Verdicts on claims; they follow from the numbers by rules.

A comparison is decided if the 95 % interval of P(X > Y) does not contain one half. A difference is decided if its
interval does not contain 0. Both need 4 seeds in each cell (lab.statistics.FEWEST). Aggregates over tasks leave out
tasks with fewer seeds, unless no task has more.
"""

from statistics import mean
from typing import NamedTuple

from experiments.lab.statistics import FEWEST, iqm, probability_of_improvement

VERDICTS = {1: "holds", 0: "not decided", -1: "does not hold: the opposite does"}
ROUNDING = 1e-9  # error of sums
Scores = list[list[float]]  # a list a task


class Finding(NamedTuple):
    """A claim, the numbers for and against it, and the verdict."""

    claim: str
    numbers: str
    verdict: str
    chance: str = ""  # P(X > Y) with its interval, for comparisons

    def sentence(self) -> str:
        """Write the finding as one sentence."""
        return f"{self.claim}: **{self.verdict}**. {self.numbers}."


def with_enough_seeds(x: Scores, y: Scores) -> tuple[Scores, Scores, bool]:
    """Select the tasks with enough seeds on both sides, all tasks if none has them; tell whether one has."""
    pairs = list(zip(x, y, strict=True))
    enough = [pair for pair in pairs if min(map(len, pair)) >= FEWEST]
    x, y = map(list, zip(*(enough or pairs), strict=True))
    return x, y, bool(enough)


def verdict(low: float, high: float, middle: float, enough: bool) -> str:
    """Judge by its interval the claim that a number is above the point of no difference."""
    sign = 1 if low > middle + ROUNDING else -1 if high < middle - ROUNDING else 0
    return VERDICTS[sign] if enough else "not decided: too few seeds"


def over(used: int, given: int) -> str:
    """Write over how many tasks a number is taken; one task is not mentioned."""
    if given == 1:
        return ""
    return (
        f" over {given} tasks" if used == given else f" over {used} of {given} tasks, those with {FEWEST} seeds a side"
    )


def against(claim: str, x: Scores, y: Scores, names: tuple[str, str]) -> Finding:
    """Judge the claim that runs of one kind are above runs of another, on a task drawn at random."""
    given = len(x)
    x, y, enough = with_enough_seeds(x, y)
    estimate, (low, high) = probability_of_improvement(x, y)
    middles = [mean(float(iqm(scores)) for scores in side) for side in (x, y)]
    chance = f"{estimate:.2f} [{float(low):.2f}, {float(high):.2f}]"
    numbers = (
        f"P({names[0]} > {names[1]}) = {chance}{over(len(x), given)}; normalised {middles[0]:.2f} against "
        f"{middles[1]:.2f}"
    )
    return Finding(claim, numbers, verdict(low, high, 0.5, enough), chance)
