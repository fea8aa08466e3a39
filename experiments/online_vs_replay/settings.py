"""The settings of each arm: which tasks tune it, and which of its trials did best."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.online_vs_replay.arms import ARMS, Arm
from experiments.online_vs_replay.tasks import TASKS, Options, normalised

RESULTS = Path(__file__).parents[1] / "results" / "online_vs_replay"
TUNING_TASKS = ("masked", "recall 24")
SIGHTED = ("CartPole",)  # tunes arms without memory and the oracle, which can learn no other task


def tuning_tasks(name: str, arm: Arm) -> tuple[str, ...]:
    """Name the tasks that tune an arm."""
    if arm.memory:
        return TUNING_TASKS
    return ("masked",) if "frames" in name else SIGHTED


def tuned(name: str, rows: Iterable[dict[str, Any]]) -> int:
    """Choose the trial with the best mean normalised return in the second half of training.

    Trials with fewer runs than others are not chosen. Without any row the choice is trial 0.
    """
    scores: dict[int, list[float]] = {}
    for row in rows:
        task, arm, trial = row["arm"].split(" / ")
        if arm == name:
            scores.setdefault(int(trial), []).append(normalised(TASKS[task], float(row["late_greedy"])))
    most = max((len(values) for values in scores.values()), default=0)
    means = {trial: sum(values) / len(values) for trial, values in scores.items() if len(values) == most}
    return max(means, key=lambda trial: (means[trial], -trial)) if means else 0


def is_tuned(name: str, results: Path = RESULTS) -> bool:
    """Whether an arm has rows of all its trials on all the tasks that tune it."""
    from experiments.lab.rows import read_csv

    there = {row["arm"] for row in read_csv(results / "tuning" / "runs.csv")}
    arm = ARMS[name]
    return there >= {f"{task} / {name} / {n}" for task in tuning_tasks(name, arm) for n in range(len(arm.trials))}


def settings_of(name: str, results: Path = RESULTS) -> Options:
    """Read which settings tuning chose for an arm."""
    from experiments.lab.rows import read_csv

    return ARMS[name].trials[tuned(name, read_csv(results / "tuning" / "runs.csv"))]
