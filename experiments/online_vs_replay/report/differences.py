"""Claims about differences of normalised final returns: by source of data, by algorithm, by what must be remembered."""

from collections.abc import Sequence

from experiments.lab.statistics import FEWEST, Interval, contrast
from experiments.online_vs_replay.report.duels import EPISODES, ONLINE, Q_ONLINE, R2D2, REPLAYED, RTU_GRADIENT, RTU_WAYS
from experiments.online_vs_replay.report.rows import Part
from experiments.online_vs_replay.report.verdicts import Finding, over, verdict
from experiments.online_vs_replay.tasks import TASKS

Weights = dict[tuple[str, str], float]  # by (task, arm)


def difference(grid: Part, claim: str, each: Sequence[Weights]) -> Finding | None:
    """Judge the claim that a weighted sum of normalised final returns is above 0; None if no sum has all its cells.

    Args:
        grid: the runs.
        claim: the claim in words.
        each: one sum, or one for each task; their mean is over the sums that have all their cells.
    """
    there = [weights for weights in each if all(grid.of(*cell) for cell in weights)]
    enough = [weights for weights in there if all(len(grid.of(*cell)) >= FEWEST for cell in weights)]
    used = enough or there
    if not used:
        return None
    estimate, (low, high) = weighed(grid, used)
    numbers = f"{estimate:+.2f} [{float(low):+.2f}, {float(high):+.2f}]{over(len(used), len(there))}"
    return Finding(claim, numbers, verdict(low, high, 0.0, bool(enough)))


def weighed(grid: Part, each: Sequence[Weights]) -> tuple[float, Interval]:
    """Return the mean of weighted sums of normalised final returns, and its interval."""
    together: Weights = {}
    for weights in each:
        for cell, weight in weights.items():
            together[cell] = together.get(cell, 0.0) + weight / len(each)
    return contrast([(weight, [run.normalised() for run in grid.of(*cell)]) for cell, weight in together.items()])


def minus(first: Weights, second: Weights) -> Weights:
    """Subtract a sum from another."""
    total = dict(first)
    for cell, weight in second.items():
        total[cell] = total.get(cell, 0.0) - weight
    return total


def lead(tasks: Sequence[str], online: str, replay: str) -> Weights:
    """Weigh online minus replay, a mean over tasks."""
    return {(task, arm): sign / len(tasks) for task in tasks for arm, sign in ((online, 1.0), (replay, -1.0))}


def source_and_algorithm(grid: Part) -> list[Finding]:
    """Compare {a2c, q} x {online, replay} with lstm: the effects of the source of data and of the algorithm."""
    claims = {  # weights of a2c online, a2c replay, q online, q replay
        "Learning online ends higher than learning from replay, mean of both algorithms": (0.5, -0.5, 0.5, -0.5),
        "A2C ends higher than Q-learning, mean of both sources of data": (0.5, 0.5, -0.5, -0.5),
        "Online does more for A2C than for Q-learning": (1.0, -1.0, -1.0, 1.0),
    }
    cells = (ONLINE, REPLAYED, Q_ONLINE, R2D2)
    found = [
        difference(
            grid, claim, [{(task, arm): w for arm, w in zip(cells, weights, strict=True)} for task in grid.tasks(TASKS)]
        )
        for claim, weights in claims.items()
    ]
    return [finding for finding in found if finding]


SIDES = {  # the arms that are compared: online, replay
    "a2c lstm against q lstm stored burn in": (ONLINE, R2D2),
    "a2c lstm against q lstm episodes": (ONLINE, EPISODES),
    "a2c lstm against a2c lstm replay": (ONLINE, REPLAYED),
    "q lstm online against q lstm stored burn in": (Q_ONLINE, R2D2),
    **{f"{RTU_GRADIENT} against {way}": (RTU_GRADIENT, way) for way in RTU_WAYS},
}


def interactions(grid: Part) -> dict[str, dict[str, Finding]]:
    """Judge whether online's lead grows with what must be remembered, by contrast and pair of SIDES."""
    long = grid.tasks(("recall 24", "recall 48"))
    in_words = f"{' and '.join(long)} minus recall 4"
    found: dict[str, dict[str, Finding]] = {}
    for name, side in SIDES.items():
        sums = {"masked minus full observation": minus(lead(["masked"], *side), lead(["CartPole"], *side))}
        if long:
            sums[in_words] = minus(lead(long, *side), lead(["recall 4"], *side))
            sums["mean of both"] = half(*sums.values())
        for words, weights in sums.items():
            claim = f"The lead of online grows with what must be remembered ({words}; {name})"
            finding = difference(grid, claim, [weights])
            if finding:
                found.setdefault(words, {})[name] = finding
    return found


def recurrence(grid: Part) -> Finding | None:
    """Judge whether online does more for an lstm than for an mlp on CartPole, which both can learn."""
    claim = "Online's lead over replay is larger with an lstm than with an mlp (CartPole, where an mlp is enough)"
    return difference(grid, claim, [minus(lead(["CartPole"], ONLINE, R2D2), lead(["CartPole"], "a2c mlp", "q mlp"))])


def half(first: Weights, second: Weights) -> Weights:
    """Return the mean of two sums."""
    return {cell: (first.get(cell, 0.0) + second.get(cell, 0.0)) / 2 for cell in {**first, **second}}
