"""Carry the gradient across segments, the state alone, or nothing: what does an agent learn, at which length N?

Question: does a gradient that is carried exactly let segments of a few steps learn what long ones learn?
Command:  python -m experiments.carry_gradient
Time:     days on 2 CPUs for all tasks x 5 seeds; --tasks, --cores and --lengths choose; a stopped study goes on.
Output:   carry_gradient.md and .png (tables, verdicts, figure), runs.csv and curves.csv in --out; run folders.

Cores rtu and mingru carry nothing, the state, or state and gradient; lstm and gru, whose gradient cannot be carried
at this price, stand beside them. All arms have the same settings. On RecallCue units remember for 1 to 4 steps at
first, so that what is recalled was learnt; in the tasks named "long memory" they remember for up to 64, untrained.
POPGym and MuJoCo need packages of their own; envs/README.md says which.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.carry_gradient.arms import BETWEEN, CORES, LENGTHS, TASKS, arms
from experiments.carry_gradient.page import figure, page
from experiments.lab.digest import digest
from experiments.lab.figures import pdf_too
from experiments.lab.learning_curves import RETURN
from experiments.lab.options import counts, listed
from experiments.lab.records import final_score, read_record
from experiments.lab.rows import Row, read_csv
from experiments.lab.study import Study, StudyCommand
from experiments.lab.tables import publish
from rl.config import Config
from rl.loop import Overrides


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    tasks: str = "all"
    """Tasks, separated by commas."""
    cores: str = ",".join(CORES)
    """Cores, separated by commas."""
    lengths: str = ",".join(map(str, LENGTHS))
    """Lengths of a segment."""
    seeds: int = 5
    """Runs of each arm, from --first-seed on; 3 on HalfCheetah at most."""
    first_seed: int = 1
    """Seed of each arm's first run."""
    processes: int = 2
    """Runs at a time."""
    runs_dir: Path = Path("runs/carry_gradient")
    """Folder of the run folders."""
    out: Path | None = None
    """Folder of rows, page and figure; a run that has its row there is not trained again. None: --runs-dir."""
    pdf: bool = False
    """Write the figure as a PDF file, too."""

    def studies(self) -> list[Study]:
        """One study for the tasks of each number of seeds.

        Raises:
            ValueError: an option cannot work.
        """
        lengths = counts("--lengths", self.lengths)
        if strange := [n for n in lengths if n not in LENGTHS]:
            raise ValueError(f"--lengths {strange[0]}: one of {', '.join(map(str, LENGTHS))} is needed")
        cores = listed("--cores", self.cores, lambda name: CORES[CORES.index(name)], f"a list out of {','.join(CORES)}")
        wanted = ",".join(TASKS) if self.tasks == "all" else self.tasks
        needed = f"all, or a list out of {','.join(TASKS)},"
        tasks = listed("--tasks", wanted, lambda name: (name, TASKS[name])[0], needed)
        by_seeds: dict[int, list[str]] = {}
        for name in arms():
            task, core, _, length = parts_of(name)
            if task in tasks and core in cores and length in lengths:
                by_seeds.setdefault(min(self.seeds, TASKS[task].most_seeds), []).append(name)
        return [self.study(names, seeds) for seeds, names in by_seeds.items()]

    def study(self, names: list[str], seeds: int) -> Study:
        """The study of these arms."""
        command = StudyCommand(
            seeds=seeds,
            first_seed=self.first_seed,
            processes=self.processes,
            runs_dir=self.runs_dir,
            out=self.out,
            wandb="disabled",
        )
        return Study("carry-gradient", {name: arms()[name] for name in names}, command, result)


def parts_of(arm: str) -> tuple[str, str, str, int]:
    """Task, core, what is carried, and length of a segment."""
    task, core, carried, length = arm.split(BETWEEN)
    return task, core, carried, int(length.rpartition(" ")[2])


def result(config: Config, overrides: Overrides) -> tuple[Row, dict[str, list[Row]]]:
    """A finished run's row, and the points of its curve."""
    run = read_record(Path(config.run_dir))
    summary = run.summary
    row = {
        "digest": digest(config, overrides),
        "env_steps": summary["env_steps"],
        "cpu_seconds": round(summary["cpu_seconds"], 3),
        "final_return": final_score(run),
        "sampled": summary["eval_sampled"],
        "greedy": summary["eval_greedy"],
    }
    seconds, returns = run.curve("time/cpu_seconds")
    steps, _ = run.curve("global_step")
    points = zip(steps, seconds, returns, strict=True)
    return row, {
        "curves": [
            {"global_step": int(step), "cpu_seconds": round(second, 3), RETURN: round(score, 4)}
            for step, second, score in points
        ]
    }


def with_parts(rows: list[Row], points: list[Row]) -> list[Row]:
    """The rows with task, core, what is carried, N, and the return at equal CPU seconds."""
    found = []
    for row in rows:
        task, core, carried, length = parts_of(row["arm"])
        found.append(row | {"task": task, "core": core, "carried": carried, "segment_length": length})
    curves: dict[tuple[str, str], list[Row]] = {}
    for point in points:
        curves.setdefault((point["arm"], point["seed"]), []).append(point)
    for row in found:
        rivals = [one for one in found if all(one[key] == row[key] for key in ("task", "segment_length"))]
        seconds = min(float(one["cpu_seconds"]) for one in rivals)
        row["equal_seconds_return"] = return_at(curves.get((row["arm"], str(row["seed"])), []), seconds)
    return found


def return_at(points: list[Row], seconds: float) -> float:
    """The mean return of the fifth of a curve that ends at so many CPU seconds; nan where there is no point."""
    values = [float(point[RETURN]) for point in points if float(point["cpu_seconds"]) <= seconds]
    return float(np.mean(values[-max(1, len(values) // 5) :])) if values else float("nan")


def main() -> None:
    """Parse the command line, train what is missing, tabulate and draw."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        command = parse(Command, __doc__)
        studies = command.studies()
        rows = [row for study in studies for row in study.complete()]
        out = studies[0].out
        rows = with_parts(rows, read_csv(out / "curves.csv"))
        with pdf_too(command.pdf):
            figure(rows, out / "carry_gradient.png")
        publish(out, "carry_gradient", page(rows))

    experiment(run)


if __name__ == "__main__":
    main()
