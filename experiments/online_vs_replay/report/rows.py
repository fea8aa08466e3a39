"""What the report reads: the rows of a part as runs, and the numbers of one run that its row does not hold as such."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.lab.learning_study import Row, read_csv, rows_of
from experiments.online_vs_replay.arms import ARMS, MORE_TASKS, TASKS, normalised

ALL_TASKS = {**TASKS, **MORE_TASKS}
KEY_ARMS = (  # those of the figures with many panels
    "a2c mlp",
    "a2c lstm",
    "q lstm online",
    "q mlp",
    "q lstm transitions",
    "q lstm zero",
    "q lstm stored burn in",
    "q lstm episodes",
    "a2c lstm replay",
)
Numbers = dict[str, float]


class Run(NamedTuple):
    """One finished run, as the CSV files have it; what is blank there is absent here."""

    task: str
    arm: str
    variant: str
    seed: int
    row: Numbers  # of runs.csv
    points: list[Numbers]  # of curves.csv
    moments: list[Numbers]  # of measures.csv
    ended: str = "total_env_steps"

    def normalised(self, key: str = "final_greedy") -> float:
        """A return of the row: 0 for random actions, 1 for the best."""
        return normalised(ALL_TASKS[self.task], self.row[key])

    def until_solved(self, key: str) -> float:
        """env_steps, updates or cpu_seconds to solved; infinite where it was not."""
        return self.row.get(f"solved_{key}", math.inf)

    def seconds_at(self, price: float) -> float:
        """Seconds to solved on one core if a step took `price` milliseconds more."""
        if "solved_env_steps" not in self.row:
            return math.inf
        return self.row["solved_cpu_seconds"] + price / 1000 * self.row["solved_env_steps"]

    def area(self, evaluations: int) -> float:
        """Mean greedy return over `evaluations` of them; a run that its limit ended sooner holds its last value."""
        greedy = [point["greedy"] for point in self.points]
        return sum(greedy + greedy[-1:] * (evaluations - len(greedy))) / max(len(greedy), evaluations)

    def greedy_at(self, cpu_seconds: float) -> float:
        """Greedy return after so many CPU seconds: linear between evaluations, random at 0, the last value held."""
        x = [0.0, *(point["cpu_seconds"] for point in self.points)]
        return float(np.interp(cpu_seconds, x, [ALL_TASKS[self.task].random, *(at["greedy"] for at in self.points)]))


class Part(list[Run]):
    """The runs of a part of the study."""

    def of(self, task: str, arm: str, variant: str | None = "") -> "Part":
        """The runs of a cell by seed; those of all variants if None."""
        mine = [run for run in self if (run.task, run.arm) == (task, arm) and variant in (None, run.variant)]
        return Part(sorted(mine, key=lambda run: run.seed))

    def tasks(self, among: Iterable[str] = tuple(ALL_TASKS)) -> list[str]:
        """The tasks that have runs, in the order of arms.py."""
        there = {run.task for run in self}
        return [task for task in among if task in there]

    def arms(self, among: Iterable[str] = tuple(ARMS)) -> list[str]:
        """The arms that have runs, in the order of arms.py."""
        there = {run.arm for run in self}
        return [arm for arm in among if arm in there]

    def numbers(self, key: str) -> list[float]:
        """A column of runs.csv, of the runs that have it."""
        return [run.row[key] for run in self if key in run.row]

    def variants(self) -> list[str]:
        """The variants that have runs, in the order of the numbers that they are."""
        return sorted({run.variant for run in self}, key=float)


def read_part(folder: Path) -> Part:
    """The finished runs of a part; none where there is no folder. A curve without its row is of a run under way.

    Raises:
        ValueError: a row is of no task or arm that there is, or rows of one arm are of different options.
    """
    file = folder / "runs.csv"
    tables: dict[str, dict[tuple[str, str], list[Row]]] = {}
    for name in ("curves", "measures"):
        tables[name] = {}
        for row in read_csv(folder / f"{name}.csv"):
            tables[name].setdefault((row["arm"], row["seed"]), []).append(row)
    part, digests = Part(), {}
    for row in rows_of(file).values():
        task, arm, variant = named(row["arm"], file)
        if digests.setdefault(row["arm"], row["digest"]) != row["digest"]:
            raise ValueError(f"{file}: rows of {row['arm']} are of different options; keep one kind")
        points, moments = (
            [numbers_of(one) for one in table.get((row["arm"], row["seed"]), [])] for table in tables.values()
        )
        part.append(Run(task, arm, variant, int(row["seed"]), numbers_of(row), points, moments, row["exit_reason"]))
    return part


def named(name: str, file: Path) -> tuple[str, str, str]:
    """Task, arm and variant of the column `arm`.

    Raises:
        ValueError: there is no such task or arm.
    """
    task, arm, variant = (*name.split(" / "), "", "")[:3]
    if task not in ALL_TASKS or arm not in ARMS:
        raise ValueError(f"{file}: {name!r} names no task and arm of experiments/online_vs_replay/arms.py")
    return task, arm, variant


def numbers_of(row: Row) -> Numbers:
    """The columns that hold numbers."""
    words = ("arm", "seed", "digest", "exit_reason")
    return {key: float(value) for key, value in row.items() if key not in words and value not in ("", None)}
