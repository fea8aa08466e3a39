"""Online against the best way of replay, by each metric on each task."""

from collections.abc import Callable
from statistics import median
from typing import NamedTuple

from experiments.lab.statistics import FEWEST, iqm
from experiments.online_vs_replay.arms import WAYS
from experiments.online_vs_replay.report.rows import FinishedRun, Part
from experiments.online_vs_replay.tasks import ALL_TASKS, normalised

ONLINE, Q_ONLINE, REPLAYED, R2D2 = "a2c lstm", "q lstm online", "a2c lstm replay", "q lstm stored burn in"
EPISODES = "q lstm episodes"
REPLAY_WAYS = tuple(f"q lstm {way.replace('_', ' ')}" for way in WAYS)
Score = Callable[[FinishedRun], float]


class Metric(NamedTuple):
    """A number by which runs of a task are compared."""

    name: str
    score: Score


def metrics(runs: Part, budget: float) -> list[Metric]:
    """Compare the runs of one task at equal env steps and at equal CPU seconds."""
    evaluations = max(len(run.points) for run in runs)
    return [
        Metric("at the end", lambda run: run.row["final_greedy"]),
        Metric("over all evaluations", lambda run: run.area(evaluations)),
        Metric("at equal CPU seconds", lambda run: run.greedy_at(budget)),
    ]


def other_metrics(runs: Part, budget: float) -> list[Metric]:
    """Measure the same in other ways, to see how much depends on the choice."""
    at = {f"at {share:g} times the CPU seconds": share * budget for share in (0.25, 0.5, 2.0, 4.0)}
    return [
        Metric("at the end, 100 fresh episodes", lambda run: run.row["greedy_100"]),
        Metric("at the end, actions sampled", lambda run: run.row["final_sampled"]),
        *(Metric(name, lambda run, after=after: run.greedy_at(after)) for name, after in at.items()),
    ]


def cpu_second_budget(runs: Part) -> float:
    """Return the median CPU seconds of the fastest arm's runs."""
    return min(median(run.row["cpu_seconds"] for run in runs if run.arm == arm) for arm in runs.arms())


class Duel(NamedTuple):
    """Normalised scores of online and of replay on a task, by one metric."""

    task: str
    metric: str
    online: list[float]
    replay: list[float]
    way: str  # the best way of replay; those of both halves of the seeds where they differ
    budget: float  # CPU seconds that the fastest arm took


def duels(grid: Part, metrics: Callable[[Part, float], list[Metric]] = metrics) -> list[Duel]:
    """Compare online with the best way of replay, by each metric on each task that has runs of both."""
    found = []
    for task in grid.tasks():
        mine = Part(run for run in grid if run.task == task and run.arm in (ONLINE, *REPLAY_WAYS) and run.points)
        ways = mine.arms(REPLAY_WAYS)
        if not ways or not mine.of(task, ONLINE):
            continue
        budget = cpu_second_budget(mine)
        for metric in metrics(mine, budget):
            scores = {
                arm: {run.seed: normalised(ALL_TASKS[task], metric.score(run)) for run in mine.of(task, arm)}
                for arm in (ONLINE, *ways)
            }
            replay, way = best_way({way: scores[way] for way in ways})
            found.append(Duel(task, metric.name, list(scores[ONLINE].values()), replay, way, budget))
    return found


def best_way(scores: dict[str, dict[int, float]]) -> tuple[list[float], str]:
    """Return the scores of the best way of replay, and its name, from the scores of each way by seed.

    The way that is best on even seeds is judged by odd ones, and the other way round: the best of six ways would look
    better than it is on the runs that chose it. If there are too few seeds, all of them choose.

    Source: cross-fitting (Stone 1974, "Cross-validatory choice and assessment of statistical predictions").
    """
    halves = [{way: {s: v for s, v in of.items() if s % 2 == odd} for way, of in scores.items()} for odd in (0, 1)]
    if min(len(of) for half in halves for of in half.values()) < FEWEST // 2:
        best = max(scores, key=lambda way: iqm(list(scores[way].values())))
        return list(scores[best].values()), best
    chosen = [max(half, key=lambda way, half=half: iqm(list(half[way].values()))) for half in halves]
    judged = [value for half, way in zip(halves, reversed(chosen), strict=True) for value in half[way].values()]
    return judged, " / ".join(dict.fromkeys(chosen))
