"""Compare recurrent actor-critics that learn online with learners from a replay buffer, and each with the other's half.

Question: does online distributed training suit recurrent networks better than replay?
Command:  python -m experiments.online_vs_replay --quick
Time:     2 cores finish 8 runs a minute: --quick has 48 (2 tasks, 8 arms, 3 seeds) and takes 6 minutes, all tasks and
          arms with --seeds 10 have 800 and take 2 hours. Interrupted, the same command keeps the runs that have ended.
Output:   a folder of rows for each part, and report.md, report.html and figures, in --out; run folders.

Tasks: CartPole, masked (no velocities), flickering (half the frames blank), recall 4, 24 and 48 (steps from cue to
question); noisy and repeat 4, 24 and 48 when named. Arms: see experiments/online_vs_replay/arms.py; settings are those
that experiments.online_vs_replay.tune chose. Every run of a task has the same env steps, 60 CPU seconds at most, and
is judged by 20 greedy episodes of the frozen policy, 25 times.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from experiments.lab.learning_study import Arm, Study, StudyCommand
from experiments.online_vs_replay.tune import TUNING_SEED

LEAST = 25_000  # env steps
QUICK_TASKS = "masked,recall 24"
QUICK_ARMS = "a2c mlp,a2c lstm,q mlp,q lstm transitions,q lstm zero,q lstm stored burn in,a2c lstm replay,q lstm online"


@dataclass(frozen=True)
class Command(StudyCommand):
    """What the command line says."""

    part: Literal["grid", "learning-rates", "sequence-lengths", "buffer-age", "carry", "workers", "report"] = "grid"
    """grid: all arms on all tasks. The others ask why: a grid of learning rates from a quarter to four times the tuned
    one; sequences and segments of 8 to 256 steps against delays; buffers from 4,000 to 300,000 steps; online with the
    state zeroed at each segment; 1, 2 and 4 asynchronous workers. report: trains nothing."""
    tasks: str = "all"
    """Which tasks, separated by commas (grid)."""
    quick: bool = False
    """Two tasks, eight arms, three seeds."""
    arms: str = "all"
    """Which arms to train, separated by commas: all, or out of a2c mlp, a2c mlp 2 frames, a2c mlp oracle, a2c gru,
    a2c lstm, q mlp, q lstm transitions, q lstm zero, q lstm zero burn in, q lstm stored, q lstm stored burn in, q lstm
    episodes, a2c lstm replay, q lstm online. The report is of all that have rows in --out."""
    seeds: int = 3
    """Runs of each arm on each task, from --first-seed on."""
    runs_dir: Path = Path("runs/online_vs_replay")
    """Folder of the run folders."""


def main() -> None:
    """Parse the command line, train, write the report."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: run(parse(Command, __doc__)))


def run(command: Command) -> None:
    """Train what is missing of a part, and write the report of all parts that have rows.

    Raises:
        ValueError: an option cannot work; nothing was trained.
    """
    from experiments.lab.learning_study import folder_of
    from experiments.online_vs_replay.measures.measured import TABLES, run_result
    from experiments.online_vs_replay.report.report import write_report

    out = folder_of(command.out, command.runs_dir)
    if command.part == "report" and command != Command(part="report", out=command.out, runs_dir=command.runs_dir):
        raise ValueError("--part report: it is of all rows in --out, give nothing else with it")
    if command.first_seed <= TUNING_SEED < command.first_seed + command.seeds:
        raise ValueError(
            f"--first-seed {command.first_seed}: seed {TUNING_SEED} is the one that settings were "
            "tuned with, others are needed"
        )
    if command.quick:
        command = quick(command)
    if command.part != "report":
        planned = shortened(chosen(command), command.env_steps)
        folders = {"out": out / command.part, "runs_dir": command.runs_dir / command.part}
        study = replace(command, arms="all", env_steps=0, **folders)
        Study("online-vs-replay", planned, study, run_result, TABLES).complete()
    write_report(out)


def shortened(planned: dict[str, Arm], env_steps: int) -> dict[str, Arm]:
    """Runs of other env steps than their tasks', 0 for those, with as many evaluations.

    Raises:
        ValueError: too few for that.
    """
    from experiments.online_vs_replay.arms import evaluated

    if not env_steps:
        return planned
    if env_steps < LEAST:
        raise ValueError(f"--env-steps {env_steps}: at least {LEAST} is needed, 25 evaluations while learning")
    return {name: arm._replace(config=evaluated(arm.config, env_steps)) for name, arm in planned.items()}


def quick(command: Command) -> Command:
    """The command with what --quick stands for.

    Raises:
        ValueError: something else is asked for too.
    """
    default = Command()
    for name in ("part", "tasks", "arms"):
        if getattr(command, name) != getattr(default, name):
            raise ValueError(f"--{name} {getattr(command, name)}: --quick sets it, leave one of them out")
    return replace(command, tasks=QUICK_TASKS, arms=QUICK_ARMS)


def chosen(command: Command) -> dict[str, Arm]:
    """The runs of a part that the command names, but for their seeds, by `task / arm` or `task / arm / variant`.

    Raises:
        ValueError: a task or an arm that there is not, or not in this part.
    """
    from experiments.lab.command_line import listed
    from experiments.online_vs_replay.arms import MORE_TASKS, TASKS, chosen_arms

    if command.tasks != "all" and command.part != "grid":
        raise ValueError(f"--tasks {command.tasks}: --part {command.part} has tasks of its own, leave it out")
    tasks = {**TASKS, **MORE_TASKS}
    names = ",".join(TASKS) if command.tasks == "all" else command.tasks
    wanted = listed("--tasks", names, lambda name: (name, tasks[name])[0], f"all, or a list out of {','.join(tasks)},")
    planned = dict(variants(command.part, wanted))
    if command.arms == "all":
        return planned
    arms = chosen_arms(command.arms)
    planned = {name: arm for name, arm in planned.items() if name.split(" / ")[1] in arms}
    if not planned:
        raise ValueError(f"--arms {command.arms}: --part {command.part} has none of them on these tasks")
    return planned


def variants(part: str, tasks: list[str]) -> Iterator[tuple[str, Arm]]:
    """Names and arms of a part."""
    from experiments.online_vs_replay.arms import ARMS

    if part == "grid":
        for task in tasks:
            for name, arm in ARMS.items():
                if not arm.only or task in arm.only:
                    yield f"{task} / {name}", watched(task, name, {})
    elif part == "learning-rates":
        for name, arm in ARMS.items():
            if arm.sees_all:
                continue  # on CartPole it is the arm that it is the oracle of
            task = "masked" if arm.memory or "frames" in name else "CartPole"
            for factor in (0.25, 0.5, 2.0, 4.0):  # the grid has the tuned one
                yield f"{task} / {name} / {factor:g}", plain(task, name, {"learning_rate": factor})
    elif part == "sequence-lengths":
        for delay in (4, 24, 48):
            for rows in (8, 16, 32, 64, 128, 256):
                task = f"recall {delay}"
                # As many steps an update, whatever their length: else length would be the number of updates.
                segments = {"segment_length": rows, "envs_per_worker": 1024 // rows}
                yield f"{task} / a2c lstm / {rows}", plain(task, "a2c lstm", segments)
                for name in ("q lstm zero burn in", "q lstm stored burn in"):
                    burn_in = min(8, rows // 2)
                    lengths = {
                        "burn_in": burn_in,
                        "sequence_length": rows - burn_in,
                        "replay_batch": 1280 // rows,
                        "segment_length": min(8, rows - burn_in),
                    }
                    yield f"{task} / {name} / {rows}", plain(task, name, lengths)
    elif part == "buffer-age":
        for name in ("q lstm zero", "q lstm stored burn in", "a2c lstm replay"):
            for capacity in (4_000, 10_000, 30_000, 100_000, 300_000):
                options = {"replay_capacity": capacity, "replay_warm_up": min(4_000, capacity)}
                yield f"masked / {name} / {capacity}", watched("masked", name, options)
    elif part == "carry":
        for task in tasks:
            for name in ("a2c gru", "a2c lstm", "q lstm online"):
                yield f"{task} / {name} / zeroed", watched(task, name, {"carry_state": False})
    elif part == "workers":
        for name in ("a2c lstm", "q lstm stored burn in"):
            for workers in (1, 2, 4):
                yield f"masked / {name} / {workers}", plain("masked", name, {"mode": "async", "workers": workers})


def plain(task: str, name: str, options: dict) -> Arm:
    """A tuned arm with other options; the learning rate is given as a multiple of the tuned one."""
    from experiments.online_vs_replay.arms import ARMS, MORE_TASKS, TASKS, config_of, settings_of

    settings = settings_of(name)
    if "learning_rate" in options:
        options = {**options, "learning_rate": settings["learning_rate"] * options["learning_rate"]}
    config = config_of({**TASKS, **MORE_TASKS}[task], ARMS[name], settings | options)
    return Arm(replace(config, wandb_group=name))


def watched(task: str, name: str, options: dict) -> Arm:
    """The same, measured while it learns."""
    from experiments.online_vs_replay.measures.staleness import watch
    from rl.loop import Overrides

    return plain(task, name, options)._replace(parts=Overrides(watch=watch))


if __name__ == "__main__":
    main()
