"""Claims that runs of one kind end higher than runs of another."""

from experiments.online_vs_replay.report.duels import Duel, duels, other_metrics
from experiments.online_vs_replay.report.rows import Part
from experiments.online_vs_replay.report.verdicts import VERDICTS, Finding, against
from experiments.online_vs_replay.tasks import TASKS

DEPENDS = "depends on the task"
CLAIMS = {  # metric: claim
    "at the end": "Online (a2c lstm) ends higher than the best way of replay (q lstm), at equal env steps",
    "over all evaluations": "Online is higher over all of training than the best way of replay, at equal env steps",
    "at equal CPU seconds": "Online is higher than the best way of replay at equal CPU seconds",
}


def online_against_replay(grid: Part) -> list[Finding]:
    """Judge the claim itself, by each metric over the tasks."""
    return [over_tasks(of_metric, CLAIMS[name]) for name, of_metric in by_metric(duels(grid)).items()]


def otherwise_measured(grid: Part) -> list[Finding]:
    """Judge the same claim by other metrics."""
    return [over_tasks(of_metric, name) for name, of_metric in by_metric(duels(grid, other_metrics)).items()]


def by_metric(found: list[Duel]) -> dict[str, list[Duel]]:
    """Group the duels on the study's tasks by the name of their metric."""
    groups: dict[str, list[Duel]] = {}
    for duel in found:
        if duel.task in TASKS:
            groups.setdefault(duel.metric, []).append(duel)
    return groups


def over_tasks(found: list[Duel], claim: str) -> Finding:
    """Judge one claim over all tasks; if tasks are decided both ways, the verdict says so."""
    finding = against(claim, [duel.online for duel in found], [duel.replay for duel in found], ("online", "replay"))
    by_task = {duel.task: against("", [duel.online], [duel.replay], ("", "")).verdict for duel in found}
    split = {VERDICTS[1], VERDICTS[-1]} <= set(by_task.values())
    tasks = [
        f"{verdict} on {', '.join(task for task in by_task if by_task[task] == verdict)}"
        for verdict in dict.fromkeys(by_task.values())
    ]
    numbers = f"{finding.numbers}; {'; '.join(tasks)}"
    return finding._replace(numbers=numbers, verdict=DEPENDS if split else finding.verdict)


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
        tasks = [task for task in grid.tasks(TASKS) if task != "CartPole" and all(grid.of(task, arm) for arm in sides)]
        if tasks:
            x, y = ([[run.normalised() for run in grid.of(task, arm)] for task in tasks] for arm in sides)
            found.append(against(f"{sides[0]} ends higher than {sides[1]}", x, y, (better, worse)))
    return found
