"""The rows of a part as finished runs, and numbers that follow from the rows of one run."""

import math
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from experiments.lab.rows import Row, read_csv, rows_of
from experiments.online_vs_replay.arms import ARMS
from experiments.online_vs_replay.tasks import ALL_TASKS, normalised

KEY_ARMS = (  # drawn in the figures with many panels
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
REFERENCES = ("a2c lstm", "q lstm stored burn in", "q lstm episodes")
RTU_ARMS = tuple(name for name in ARMS if name in REFERENCES or " rtu" in name or name.endswith(" 8"))
Numbers = dict[str, float]


class FinishedRun(NamedTuple):
    """One run as the CSV files have it, without their blanks."""

    task: str
    arm: str
    variant: str
    seed: int
    row: Numbers  # of runs.csv
    points: list[Numbers]  # rows of curves.csv
    moments: list[Numbers]  # rows of measures.csv
    ended: str = "total_env_steps"

    def normalised(self, key: str = "final_greedy") -> float:
        """Scale a return of the row: 0 for random actions, 1 for the best."""
        return normalised(ALL_TASKS[self.task], self.row[key])

    def until_solved(self, key: str) -> float:
        """Return env_steps, updates or cpu_seconds to solved; infinite if the run did not solve the task."""
        return self.row.get(f"solved_{key}", math.inf)

    def seconds_at(self, price: float) -> float:
        """Return the seconds to solved on one CPU if a step took `price` milliseconds more."""
        if "solved_env_steps" not in self.row:
            return math.inf
        return self.row["solved_cpu_seconds"] + price / 1000 * self.row["solved_env_steps"]

    def area(self, evaluations: int) -> float:
        """Return the mean greedy return over so many evaluations; a run that ended sooner holds its last value."""
        greedy = [point["greedy"] for point in self.points]
        return sum(greedy + greedy[-1:] * (evaluations - len(greedy))) / max(len(greedy), evaluations)

    def greedy_at(self, cpu_seconds: float) -> float:
        """Return the greedy return after so many CPU seconds: random at 0, linear between, held at the end."""
        x = [0.0, *(point["cpu_seconds"] for point in self.points)]
        y = [ALL_TASKS[self.task].random, *(point["greedy"] for point in self.points)]
        return float(np.interp(cpu_seconds, x, y))


class Part(list[FinishedRun]):
    """The runs of a part of the study."""

    def of(self, task: str, arm: str, variant: str | None = "") -> "Part":
        """Select the runs of a cell in the order of seeds; None selects all variants."""
        mine = [run for run in self if (run.task, run.arm) == (task, arm) and variant in (None, run.variant)]
        return Part(sorted(mine, key=lambda run: run.seed))

    def tasks(self, among: Iterable[str] = tuple(ALL_TASKS)) -> list[str]:
        """List the tasks that have runs, in the order of tasks.py."""
        there = {run.task for run in self}
        return [task for task in among if task in there]

    def arms(self, among: Iterable[str] = tuple(ARMS)) -> list[str]:
        """List the arms that have runs, in the order of arms.py."""
        there = {run.arm for run in self}
        return [arm for arm in among if arm in there]

    def numbers(self, key: str) -> list[float]:
        """List a column of runs.csv for the runs that have it."""
        return [run.row[key] for run in self if key in run.row]

    def variants(self) -> list[str]:
        """List the variants that have runs, in the order of their numbers."""
        return sorted({run.variant for run in self}, key=float)


def figures(arms: Iterable[str]) -> dict[str, list[str]]:
    """Share arms out to figures that stay readable: by the end of a figure's name, without those that have no arm.

    The first figure has what is neither an RTU nor has segments of 8. The second has these beside a few LSTMs.
    """
    arms = list(arms)
    more = [arm for arm in arms if arm in RTU_ARMS]
    found = {
        "": [arm for arm in arms if arm not in more or arm in REFERENCES],
        "_rtu": more if set(more) - set(REFERENCES) else [],
    }
    return {name: of for name, of in found.items() if of}


def read_part(folder: Path) -> Part:
    """Read the finished runs of a part; without a folder there are none. A curve without its row is not read.

    Raises:
        ValueError: a row names an unknown task or arm, or rows of one arm have different options.
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
        numbers, ended = numbers_of(row), row["exit_reason"]
        part.append(FinishedRun(task, arm, variant, int(row["seed"]), numbers, points, moments, ended))
    return part


def named(name: str, file: Path) -> tuple[str, str, str]:
    """Split the column `arm` into task, arm and variant.

    Raises:
        ValueError: the task or the arm does not exist.
    """
    task, arm, variant = (*name.split(" / "), "", "")[:3]
    if task not in ALL_TASKS or arm not in ARMS:
        raise ValueError(f"{file}: {name!r} names no task and arm of experiments/online_vs_replay")
    return task, arm, variant


def numbers_of(row: Row) -> Numbers:
    """Convert the columns that hold numbers."""
    words = ("arm", "seed", "digest", "exit_reason")
    return {key: float(value) for key, value in row.items() if key not in words and value not in ("", None)}


def at_moments(runs: Part, key: str) -> list[float | None]:
    """Return a measure at each moment of training, the median over the runs that have it; None if no run has it."""
    moments = max((len(run.moments) for run in runs), default=0)
    found = [
        [run.moments[number][key] for run in runs if len(run.moments) > number and key in run.moments[number]]
        for number in range(moments)
    ]
    return [median(values) if values else None for values in found]
