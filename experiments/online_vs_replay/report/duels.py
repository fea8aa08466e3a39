"""Online against replay, the best agent of each side, by each metric on each task."""

from collections.abc import Callable
from statistics import median
from typing import NamedTuple

from experiments.lab.statistics import FEWEST, iqm
from experiments.online_vs_replay.arms import ARMS, WAYS
from experiments.online_vs_replay.report.rows import FinishedRun, Part
from experiments.online_vs_replay.tasks import ALL_TASKS, normalised

ONLINE, Q_ONLINE, REPLAYED, R2D2 = "a2c lstm", "q lstm online", "a2c lstm replay", "q lstm stored burn in"
EPISODES = "q lstm episodes"
RTU, RTU_GRADIENT, RTU_WAYS = "a2c rtu", "a2c rtu gradient", ("q rtu stored burn in", "q rtu episodes")
REPLAY_WAYS = tuple(f"q lstm {way.replace('_', ' ')}" for way in WAYS)
ONLINE_AGENTS = tuple(name for name, arm in ARMS.items() if arm.memory and not arm.replays and not arm.only)
REPLAY_AGENTS = tuple(name for name, arm in ARMS.items() if arm.memory and arm.replays)
Score = Callable[[FinishedRun], float]


class Sides(NamedTuple):
    """Whose best agent meets whose, and what claims call them."""

    online: str
    replay: str
    online_agents: tuple[str, ...]
    replay_agents: tuple[str, ...]


BEST = Sides("The best online agent", "the best from replay", ONLINE_AGENTS, REPLAY_AGENTS)
WITH_LSTM = Sides("Online (a2c lstm)", "the best way of replay (q lstm)", (ONLINE,), REPLAY_WAYS)
WITH_RTU = Sides("Online (a2c rtu gradient)", "the best way of replay (q rtu)", (RTU_GRADIENT,), RTU_WAYS)


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
    agent: str  # the best online agent; those of both halves of the seeds where they differ
    way: str  # the best from replay, likewise
    budget: float  # CPU seconds that the fastest arm took


def duels(grid: Part, metrics: Callable[[Part, float], list[Metric]] = metrics, sides: Sides = WITH_LSTM) -> list[Duel]:
    """Compare the best agents of both sides, by each metric on each task that has runs of both."""
    found = []
    for task in grid.tasks():
        there = Part(run for run in grid if run.task == task and run.points)
        online, replay = (with_most_seeds(there, agents) for agents in (sides.online_agents, sides.replay_agents))
        if not online or not replay:
            continue
        mine = Part(run for run in there if run.arm in (*online, *replay))
        budget = cpu_second_budget(mine)
        for metric in metrics(mine, budget):
            (x, agent), (y, way) = (
                best_agent(
                    {
                        arm: {run.seed: normalised(ALL_TASKS[task], metric.score(run)) for run in mine.of(task, arm)}
                        for arm in agents
                    }
                )
                for agents in (online, replay)
            )
            found.append(Duel(task, metric.name, x, y, agent, way, budget))
    return found


def with_most_seeds(runs: Part, agents: tuple[str, ...]) -> list[str]:
    """Select the agents with seeds enough for a verdict; if none has them, all that have runs."""
    counts = {arm: sum(run.arm == arm for run in runs) for arm in runs.arms(agents)}
    return [arm for arm, count in counts.items() if count >= FEWEST] or list(counts)


def best_agent(scores: dict[str, dict[int, float]]) -> tuple[list[float], str]:
    """Return the scores of the best agent, and its name, from the scores of each agent by seed.

    The agent that is best on even seeds is judged by odd ones, and the other way round: the best of several would look
    better than it is on the runs that chose it. If there are too few seeds, all of them choose.

    Source: cross-fitting (Stone 1974, "Cross-validatory choice and assessment of statistical predictions").
    """
    halves = [{arm: {s: v for s, v in of.items() if s % 2 == odd} for arm, of in scores.items()} for odd in (0, 1)]
    if len(scores) == 1 or min(len(of) for half in halves for of in half.values()) < FEWEST // 2:
        best = max(scores, key=lambda arm: iqm(list(scores[arm].values())))
        return list(scores[best].values()), best
    chosen = [max(half, key=lambda arm, half=half: iqm(list(half[arm].values()))) for half in halves]
    judged = [value for half, arm in zip(halves, reversed(chosen), strict=True) for value in half[arm].values()]
    return judged, " / ".join(dict.fromkeys(chosen))
