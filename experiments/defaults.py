"""Train with nothing but --env and --total-env-steps: do the defaults learn a task, with seeds not tuned on?

Question: does this codebase learn what I bring, before I tune anything?
Command:  python -m experiments.defaults
Time:     hours on 2 CPUs for all tasks x 5 seeds; --arms chooses tasks, and a study that stopped goes on.
Output:   defaults.md (a line for each task), runs.csv (a row for each run) in --out; run folders in --runs-dir.

A run ends where its last 100 episodes reach the mark and fresh ones confirm it, or at its last env step.
The tasks from POPGym, MiniGrid, Box2D and MuJoCo need packages of their own; envs/README.md says which.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.lab.digest import digest
from experiments.lab.records import read_record
from experiments.lab.rows import Row
from experiments.lab.study import Arm, Study, StudyCommand
from experiments.lab.tables import publish
from rl.algorithms import ALGORITHMS
from rl.config import Config
from rl.loop import Overrides

MEMORYLESS = " mlp"  # ends the name of an arm that another one is measured against


class Task(NamedTuple):
    """An environment, the mean return that counts as learnt, and the env steps within which."""

    env: str
    mark: float | None  # None: more than twice the return of the same defaults with --core mlp
    env_steps: int = 1_500_000
    env_arg: tuple[str, ...] = ()
    box: bool = False  # whether actions are numbers


TASKS = {
    "masked CartPole": Task("MaskedVelocityCartPole-v1", 475.0),
    "noisy CartPole": Task("NoisyPositionCartPole-v1", 400.0),
    "flickering CartPole": Task("FlickeringCartPole-v1", 400.0),
    "CartPole": Task("CartPole-v1", 475.0),
    "RecallCue delay 4": Task("RecallCue-v0", 0.95),
    "RecallCue delay 24": Task("RecallCue-v0", 0.95, env_arg=("delay=24",)),
    "RepeatPrevious": Task("RepeatPrevious-v0", 0.95),
    "TMaze length 10": Task("TMaze-v0", 0.95),
    "POPGym RepeatPreviousEasy": Task("popgym:popgym-RepeatPreviousEasy-v0", 0.9, 3_000_000),
    "POPGym RepeatFirstEasy": Task("popgym:popgym-RepeatFirstEasy-v0", 0.95, 3_000_000),
    "POPGym HigherLowerEasy": Task("popgym:popgym-HigherLowerEasy-v0", 0.5, 3_000_000),
    "Acrobot without velocities": Task("MaskedVelocityAcrobot-v1", -100.0),
    "LunarLander without velocities": Task("MaskedVelocityLunarLander-v3", 200.0, 3_000_000),
    "Pendulum without velocity": Task("MaskedVelocityPendulum-v1", -200.0, box=True),
    "MiniGrid MemoryS7": Task("minigrid:MiniGrid-MemoryS7-v0", 0.9, 3_000_000),
    "HalfCheetah positions": Task("MaskedVelocityHalfCheetah-v5", None, 2_000_000, box=True),
    "MountainCar": Task("MountainCar-v0", -110.0),
}
NO_MARK = ("MountainCar",)  # shown, and not counted: no reward is met by chance


@dataclass(frozen=True)
class Command(StudyCommand):
    """What the command line says."""

    seeds: int = 5
    """Runs of each task, from --first-seed on; the defaults were tuned on seeds from 101 on."""
    runs_dir: Path = Path("runs/defaults")
    """Folder of the run folders."""


def arms() -> dict[str, Arm]:
    """The runs of each task; where the mark depends on an agent without memory, the runs of that one too."""
    found = {}
    for name, task in TASKS.items():
        own = ALGORITHMS[Config.algorithm].box_defaults if task.box else {}  # as in experiments.train
        config = Config(env=task.env, env_arg=task.env_arg, total_env_steps=task.env_steps, eval_episodes=100, **own)
        config = replace(config, checkpoint_interval=task.env_steps)
        if task.mark is None:
            found[name] = Arm(config)
            found[name + MEMORYLESS] = Arm(replace(config, core="mlp"))
        else:
            found[name] = Arm(replace(config, reward_threshold=task.mark, stop_when_solved=True))
    return found


def result(config: Config, overrides: Overrides) -> tuple[Row, dict[str, list[Row]]]:
    """A finished run's row."""
    run = read_record(Path(config.run_dir))
    summary = run.summary
    return {
        "digest": digest(config, overrides),
        "reached": bool(summary.get("solved", False)),
        "env_steps": summary.get("solved_at_env_steps") or summary["env_steps"],
        "seconds": summary.get("solved_at_seconds") or summary["seconds"],
        "cpu_minutes": summary["cpu_seconds"] / 60.0,
        "sampled": summary["eval_sampled"],
        "greedy": summary["eval_greedy"],
        "last_return": summary["mean_return"],
    }, {}


class Outcome(NamedTuple):
    """What became of a task."""

    mark: float
    reached: list[Row]  # the seeds that reached the mark
    others: list[Row]


def outcome(name: str, rows: Sequence[Row]) -> Outcome | None:
    """The seeds of a task, by whether they reached its mark; None where there are none.

    A run counts by what its record says. Where the mark is twice the return without memory, the sampled evaluation at
    the end counts.
    """
    mine = [row for row in rows if row["arm"] == name]
    mark = TASKS[name].mark
    if mark is None:
        without = [float(row["sampled"]) for row in rows if row["arm"] == name + MEMORYLESS]
        if not mine or not without:
            return None
        mark = 2.0 * float(np.mean(without))
        reached = [row for row in mine if float(row["sampled"]) > mark]
    else:
        reached = [row for row in mine if str(row["reached"]) == "True"]
    return Outcome(mark, reached, [row for row in mine if row not in reached]) if mine else None


def page(rows: Sequence[Row]) -> str:
    """A Markdown table with a line for each task, and how many of the tasks are learnt."""
    lines = [
        "| task | mark | seeds that reach it | env steps to the mark | seconds | CPU minutes | sampled at the end "
        "| greedy at the end |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    learnt, counted = 0, 0
    for name, task in TASKS.items():
        found = outcome(name, rows)
        if found is None:
            continue
        seeds = len(found.reached) + len(found.others)
        if name not in NO_MARK:
            counted += 1
            learnt += len(found.reached) >= 0.8 * seeds
        ends = (middle_and_range([*found.reached, *found.others], key, 2) for key in ("sampled", "greedy"))
        steps, seconds = (middle_and_range(found.reached, key) for key in ("env_steps", "seconds"))
        minutes = middle_and_range(found.reached, "cpu_minutes", 1)
        mark = f"{found.mark:,.4g}" + (" (not counted)" if name in NO_MARK else "" if task.mark else " (twice the mlp)")
        of_seeds = f"{len(found.reached)} of {seeds}"
        lines.append(f"| {' | '.join((name, mark, of_seeds, steps, seconds, minutes, *ends))} |")
    lines += ["", f"At least four of five seeds reach the mark on {learnt} of {counted} tasks."]
    lines += [
        "Median (smallest to largest): of the seeds that reach the mark, and of all seeds at the end. A seed reaches",
        "it where its last 100 training episodes do and 100 fresh sampled ones confirm it, which ends the run; returns",
        "at the end are of 100 more episodes with the final parameters. CPU minutes: CPU time of all workers over the",
        "whole run. All runs have the defaults of experiments.train, which depend on nothing but the kind of actions.",
        "They were tuned with other seeds; those of numbers (Box) on Pendulum without velocity.",
    ]
    return "\n".join(lines)


def middle_and_range(rows: Sequence[Row], key: str, digits: int = 0) -> str:
    """Median, smallest and largest of a number of these rows."""
    if not rows:
        return ""
    values = [float(row[key]) for row in rows]
    return f"{np.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def main() -> None:
    """Parse the command line, train what is missing, write the page."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        study = Study("defaults", arms(), parse(Command, __doc__), result, tables=())
        publish(study.out, "defaults", page(study.complete()))

    experiment(run)


if __name__ == "__main__":
    main()
