"""Claims that one kind of runs is better than another, and verdicts, which follow from the numbers by rules.

A comparison is decided where the 95 % interval of P(X > Y) does not contain one half, a difference where its interval
does not contain 0; both need 4 seeds in each cell (learning_study.FEWEST). Tasks with fewer are left out of what is
aggregated over tasks, unless no task has more.
"""

from collections.abc import Callable
from statistics import mean, median
from typing import NamedTuple

from experiments.lab.learning_study import FEWEST
from experiments.lab.statistics import iqm, probability_of_improvement
from experiments.online_vs_replay.arms import TASKS, WAYS
from experiments.online_vs_replay.arms import normalised as normalised_return
from experiments.online_vs_replay.report.rows import ALL_TASKS, Part, Run

ONLINE, Q_ONLINE, REPLAYED, R2D2 = "a2c lstm", "q lstm online", "a2c lstm replay", "q lstm stored burn in"
EPISODES = "q lstm episodes"
REPLAY_WAYS = tuple(f"q lstm {way.replace('_', ' ')}" for way in WAYS)
VERDICTS = {1: "holds", 0: "not decided", -1: "does not hold: the opposite does"}
DEPENDS = "depends on the task"
ROUNDING = 1e-9  # of sums
Score = Callable[[Run], float]
Scores = list[list[float]]  # a list a task


class Finding(NamedTuple):
    """One claim, the numbers for and against it, and what became of it."""

    claim: str
    numbers: str
    verdict: str
    chance: str = ""  # P(X > Y) with its interval, of comparisons

    def sentence(self) -> str:
        """All of it in one."""
        return f"{self.claim}: **{self.verdict}**. {self.numbers}."


class Metric(NamedTuple):
    """What runs of a task are compared by."""

    name: str
    score: Score


def metrics(runs: Part, budget: float) -> list[Metric]:
    """At equal env steps and at equal CPU seconds, for the runs of one task that are compared."""
    evaluations = max(len(run.points) for run in runs)
    return [
        Metric("at the end", lambda run: run.row["final_greedy"]),
        Metric("over all evaluations", lambda run: run.area(evaluations)),
        Metric("at equal CPU seconds", lambda run: run.greedy_at(budget)),
    ]


def other_metrics(runs: Part, budget: float) -> list[Metric]:
    """Other ways to measure the same, to see how much depends on the choice."""
    at = {f"at {share:g} times the CPU seconds": share * budget for share in (0.25, 0.5, 2.0, 4.0)}
    return [
        Metric("at the end, 100 fresh episodes", lambda run: run.row["greedy_100"]),
        Metric("at the end, actions sampled", lambda run: run.row["final_sampled"]),
        *(Metric(name, lambda run, after=after: run.greedy_at(after)) for name, after in at.items()),
    ]


def core_second_budget(runs: Part) -> float:
    """CPU seconds of the fastest arm's runs: their median."""
    return min(median(run.row["cpu_seconds"] for run in runs if run.arm == arm) for arm in runs.arms())


class Duel(NamedTuple):
    """Online against replay on a task, by one metric: normalised scores."""

    task: str
    metric: str
    online: list[float]
    replay: list[float]
    way: str  # of replay, the best: of each half of the seeds, where they differ
    budget: float  # CPU seconds that the fastest of their arms took


def duels(grid: Part, metrics: Callable[[Part, float], list[Metric]] = metrics) -> list[Duel]:
    """Online against the best way of replay, by each metric on each task that has runs of both."""
    found = []
    for task in grid.tasks():
        mine = Part(run for run in grid if run.task == task and run.arm in (ONLINE, *REPLAY_WAYS) and run.points)
        ways = mine.arms(REPLAY_WAYS)
        if not ways or not mine.of(task, ONLINE):
            continue
        budget = core_second_budget(mine)
        for metric in metrics(mine, budget):
            scores = {
                arm: {run.seed: normalised_return(ALL_TASKS[task], metric.score(run)) for run in mine.of(task, arm)}
                for arm in (ONLINE, *ways)
            }
            replay, way = best_way({way: scores[way] for way in ways})
            found.append(Duel(task, metric.name, list(scores[ONLINE].values()), replay, way, budget))
    return found


def best_way(scores: dict[str, dict[int, float]]) -> tuple[list[float], str]:
    """Scores of the best way of replay, and its name, from the scores of each way by seed.

    Odd seeds are scored by the way that is best on even ones, and the other way round: the best of six on the runs that
    it is then judged by would look better than it is. With too few seeds to choose by, all of them choose.

    Source: cross-fitting (Stone 1974, "Cross-validatory choice and assessment of statistical predictions").
    """
    halves = [{way: {s: v for s, v in of.items() if s % 2 == odd} for way, of in scores.items()} for odd in (0, 1)]
    if min(len(of) for half in halves for of in half.values()) < FEWEST // 2:
        best = max(scores, key=lambda way: iqm(list(scores[way].values())))
        return list(scores[best].values()), best
    chosen = [max(half, key=lambda way, half=half: iqm(list(half[way].values()))) for half in halves]
    judged = [value for half, way in zip(halves, reversed(chosen), strict=True) for value in half[way].values()]
    return judged, " / ".join(dict.fromkeys(chosen))


def with_enough_seeds(x: Scores, y: Scores) -> tuple[Scores, Scores, bool]:
    """The tasks on which both sides have seeds enough, all tasks if there is none; and whether there is one."""
    pairs = list(zip(x, y, strict=True))
    enough = [pair for pair in pairs if min(map(len, pair)) >= FEWEST]
    x, y = map(list, zip(*(enough or pairs), strict=True))
    return x, y, bool(enough)


def verdict(low: float, high: float, middle: float, enough: bool) -> str:
    """Of the claim that a number is above the point of no difference, by its interval."""
    sign = 1 if low > middle + ROUNDING else -1 if high < middle - ROUNDING else 0
    return VERDICTS[sign] if enough else "not decided: too few seeds"


def over(used: int, given: int) -> str:
    """How many tasks a number is of, in words; nothing where there is but one."""
    if given == 1:
        return ""
    return (
        f" over {given} tasks" if used == given else f" over {used} of {given} tasks, those with {FEWEST} seeds a side"
    )


def against(claim: str, x: Scores, y: Scores, names: tuple[str, str]) -> Finding:
    """That runs of one kind are above runs of another, on a task drawn at random."""
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


CLAIMS = {  # by metric
    "at the end": "Online (a2c lstm) ends higher than the best way of replay (q lstm), at equal env steps",
    "over all evaluations": "Online is higher over all of training than the best way of replay, at equal env steps",
    "at equal CPU seconds": "Online is higher than the best way of replay at equal CPU seconds",
}


def online_against_replay(grid: Part) -> list[Finding]:
    """The claim itself, by each metric over the tasks."""
    return [over_tasks(mine, CLAIMS[name]) for name, mine in by_metric(duels(grid)).items()]


def otherwise_measured(grid: Part) -> list[Finding]:
    """The same by other metrics."""
    return [over_tasks(mine, name) for name, mine in by_metric(duels(grid, other_metrics)).items()]


def by_metric(found: list[Duel]) -> dict[str, list[Duel]]:
    """Duels on the study's tasks, by the name of their metric."""
    of = [duel for duel in found if duel.task in TASKS]
    return {name: [duel for duel in of if duel.metric == name] for name in dict.fromkeys(duel.metric for duel in of)}


def over_tasks(mine: list[Duel], claim: str) -> Finding:
    """One claim over all tasks. Where tasks are decided both ways, that is the verdict."""
    finding = against(claim, [duel.online for duel in mine], [duel.replay for duel in mine], ("online", "replay"))
    by_task = {duel.task: against("", [duel.online], [duel.replay], ("", "")).verdict for duel in mine}
    split = {VERDICTS[1], VERDICTS[-1]} <= set(by_task.values())
    tasks = [
        f"{verdict} on {', '.join(task for task in by_task if by_task[task] == verdict)}"
        for verdict in dict.fromkeys(by_task.values())
    ]
    numbers = f"{finding.numbers}; {'; '.join(tasks)}"
    return finding._replace(numbers=numbers, verdict=DEPENDS if split else finding.verdict)


def ways(grid: Part) -> list[Finding]:
    """Which way to draw from replay is better: pairs, over the tasks with something to remember."""
    pairs = (
        ("zero", "transitions"),
        ("zero burn in", "zero"),
        ("stored", "zero"),
        ("stored burn in", "zero"),
        ("stored burn in", "stored"),
        ("stored burn in", "zero burn in"),
        ("episodes", "zero"),
        ("episodes", "stored burn in"),
    )
    found = []
    for better, worse in pairs:
        sides = f"q lstm {better}", f"q lstm {worse}"
        tasks = [task for task in grid.tasks(TASKS) if task != "CartPole" and all(grid.of(task, arm) for arm in sides)]
        if tasks:
            x, y = ([[run.normalised() for run in grid.of(task, arm)] for task in tasks] for arm in sides)
            found.append(against(f"{sides[0]} ends higher than {sides[1]}", x, y, (better, worse)))
    return found
