"""Claims that runs of one kind end higher than runs of another."""

from experiments.online_vs_replay.report.duels import (
    EPISODES,
    ONLINE,
    R2D2,
    RTU,
    RTU_GRADIENT,
    RTU_WAYS,
    WITH_LSTM,
    Duel,
    Sides,
    duels,
    other_metrics,
)
from experiments.online_vs_replay.report.rows import Part
from experiments.online_vs_replay.report.verdicts import VERDICTS, Finding, against
from experiments.online_vs_replay.tasks import TASKS

DEPENDS = "depends on the task"
CLAIMS = {  # metric: claim
    "at the end": "{online} ends higher than {replay}, at equal env steps",
    "over all evaluations": "{online} is higher over all of training than {replay}, at equal env steps",
    "at equal CPU seconds": "{online} is higher than {replay} at equal CPU seconds",
}
NETWORKS = (  # arms that differ in the core or in what it carries
    (RTU_GRADIENT, RTU),
    (RTU_GRADIENT, ONLINE),
    (RTU, ONLINE),
    (RTU_WAYS[0], R2D2),
    (RTU_WAYS[1], EPISODES),
)
OnTasks = dict[str, tuple[list[float], list[float]]]  # normalised scores of both sides, by task


def online_against_replay(grid: Part, sides: Sides = WITH_LSTM) -> list[Finding]:
    """Judge the claim itself, by each metric over the tasks."""
    return [
        over_tasks(of_metric, CLAIMS[name].format(online=sides.online, replay=sides.replay))
        for name, of_metric in by_metric(duels(grid, sides=sides)).items()
    ]


def otherwise_measured(grid: Part, sides: Sides = WITH_LSTM) -> list[Finding]:
    """Judge the same claim by other metrics."""
    return [over_tasks(of_metric, name) for name, of_metric in by_metric(duels(grid, other_metrics, sides)).items()]


def by_metric(found: list[Duel]) -> dict[str, list[Duel]]:
    """Group the duels on the study's tasks by the name of their metric."""
    groups: dict[str, list[Duel]] = {}
    for duel in found:
        if duel.task in TASKS:
            groups.setdefault(duel.metric, []).append(duel)
    return groups


def over_tasks(found: list[Duel], claim: str) -> Finding:
    """Judge one claim about online and replay over all tasks."""
    return task_by_task(claim, {duel.task: (duel.online, duel.replay) for duel in found}, ("online", "replay"))


def task_by_task(claim: str, scores: OnTasks, names: tuple[str, str]) -> Finding:
    """Judge one claim over all tasks.

    If tasks are decided both ways, the verdict says so. It names the tasks that the second side wins, unless that side
    wins over all of them.
    """
    finding = against(claim, [x for x, _ in scores.values()], [y for _, y in scores.values()], names)
    by_task = {task: against("", [x], [y], names).verdict for task, (x, y) in scores.items()}
    split = {VERDICTS[1], VERDICTS[-1]} <= set(by_task.values())
    tasks = {
        verdict: ", ".join(task for task in by_task if by_task[task] == verdict)
        for verdict in dict.fromkeys(by_task.values())
    }
    said = DEPENDS if split else finding.verdict
    if VERDICTS[-1] in tasks and said != VERDICTS[-1]:
        said += f"; {names[1]} wins on {tasks[VERDICTS[-1]]}"
    numbers = "; ".join([finding.numbers, *(f"{verdict} on {of}" for verdict, of in tasks.items())])
    return finding._replace(numbers=numbers, verdict=said)


def networks(grid: Part) -> list[Finding]:
    """Compare what carries the gradient with what does not, and RTU with LSTM, over the tasks that both have."""
    found = []
    for better, worse in NETWORKS:
        if scores := on_tasks(grid, better, worse):
            found.append(task_by_task(f"{better} ends higher than {worse}", scores, (better, worse)))
    return found


def on_tasks(grid: Part, better: str, worse: str) -> OnTasks:
    """Return the normalised final returns of two arms on each of the study's tasks that has runs of both."""
    cells = {task: (grid.of(task, better), grid.of(task, worse)) for task in grid.tasks(TASKS)}
    return {
        task: tuple([run.normalised() for run in side] for side in sides) for task, sides in cells.items() if all(sides)
    }


def ways(grid: Part) -> list[Finding]:
    """Compare ways of replay in pairs, over the tasks with something to remember."""
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
        scores = on_tasks(grid, *sides)
        scores.pop("CartPole", None)
        if scores:
            x, y = map(list, zip(*scores.values(), strict=True))
            found.append(against(f"{sides[0]} ends higher than {sides[1]}", x, y, (better, worse)))
    return found
