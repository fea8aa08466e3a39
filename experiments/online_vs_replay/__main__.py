"""Compare recurrent actor-critics that learn online with learners from a replay buffer, and each with the other's half.

Question: does online distributed training suit recurrent networks better than replay?
Command:  python -m experiments.online_vs_replay --quick
Time:     2 CPUs finish 8 runs a minute: --quick has 48 (2 tasks, 8 arms, 3 seeds) and takes 6 minutes, all tasks and
          arms with --seeds 10 have 1,070 and take 2 to 3 hours. After an interruption the same command keeps the runs
          that have ended.
Output:   a folder of rows for each part, report.md and figures in --out; run folders in --runs-dir.

Tasks: CartPole, masked (no velocities), flickering (half the frames blank), recall 4, 24 and 48 (steps from cue to
question); noisy and repeat 4, 24 and 48 only when named. experiments/online_vs_replay/arms.py describes the arms, and
experiments.online_vs_replay.tune chose their settings; an arm that is not tuned yet is refused. Every run of a task has
the same env steps and 60 CPU seconds at most. 20 greedy episodes of the frozen policy judge it, 25 times.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from experiments.lab.study import Study, StudyCommand
from experiments.online_vs_replay.tune import TUNING_SEED

QUICK_TASKS = "masked,recall 24"
QUICK_ARMS = "a2c mlp,a2c lstm,q mlp,q lstm transitions,q lstm zero,q lstm stored burn in,a2c lstm replay,q lstm online"


@dataclass(frozen=True)
class Command(StudyCommand):
    """The options of the command."""

    part: Literal["grid", "learning-rates", "sequence-lengths", "buffer-age", "carry", "workers", "report"] = "grid"
    """grid: all arms on all tasks. The others ask why: learning rates from a quarter to four times the tuned one;
    sequences and segments of 8 to 256 steps against delays; buffers from 4,000 to 300,000 steps; online with the state
    zeroed at each segment; 1, 2 and 4 asynchronous workers. report: draws the report of all rows in --out, and trains
    nothing."""
    tasks: str = "all"
    """Which tasks, separated by commas (grid)."""
    quick: bool = False
    """Two tasks, eight arms, three seeds."""
    arms: str = "all"
    """Which arms to train, separated by commas: all, or out of a2c mlp, a2c mlp 2 frames, a2c mlp oracle, a2c gru,
    a2c lstm, q mlp, q lstm transitions, q lstm zero, q lstm zero burn in, q lstm stored, q lstm stored burn in, q
    lstm episodes, a2c lstm replay, q lstm online, a2c rtu, a2c rtu gradient, q rtu stored burn in, q rtu episodes;
    on recall 48 alone, with segments of 8 steps, a2c lstm 8, a2c rtu 8, a2c rtu gradient 8. The report shows all
    arms that have rows in --out."""
    seeds: int = 3
    """Runs of each arm on each task, from --first-seed on."""
    runs_dir: Path = Path("runs/online_vs_replay")
    """Folder of the run folders."""
    pdf: bool = False
    """Write the figures as PDF files, too."""
    html: bool = False
    """Write report.html too, one file that holds the report with its figures."""


def main() -> None:
    """Parse the command line, train, write the report."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: run(parse(Command, __doc__)))


def run(command: Command) -> None:
    """Train the missing runs of a part, and write the report of all parts that have rows.

    Raises:
        ValueError: an option cannot work; nothing was trained.
    """
    from experiments.lab.figures import pdf_too
    from experiments.lab.study import folder_of
    from experiments.online_vs_replay.plan import chosen, refuse_untuned, shortened
    from experiments.online_vs_replay.report.report import write_report
    from experiments.online_vs_replay.run_rows import TABLES, run_result

    out = folder_of(command.out, command.runs_dir)
    written = {name: getattr(command, name) for name in ("out", "runs_dir", "pdf", "html")}
    if command.part == "report" and command != Command(part="report", **written):
        raise ValueError("--part report: it is of all rows in --out, give nothing else with it")
    if command.first_seed <= TUNING_SEED < command.first_seed + command.seeds:
        raise ValueError(
            f"--first-seed {command.first_seed}: seed {TUNING_SEED} is the one that settings were "
            "tuned with, others are needed"
        )
    if command.quick:
        command = quick(command)
    if command.part != "report":
        planned = shortened(chosen(command.part, command.tasks, command.arms), command.env_steps)
        refuse_untuned(planned)
        folders = {"out": out / command.part, "runs_dir": command.runs_dir / command.part}
        study = replace(command, arms="all", env_steps=0, **folders)
        Study("online-vs-replay", planned, study, run_result, TABLES).complete()
    with pdf_too(command.pdf):
        write_report(out, command.html)


def quick(command: Command) -> Command:
    """Replace --quick by the options that it stands for.

    Raises:
        ValueError: the command sets one of them too.
    """
    default = Command()
    for name in ("part", "tasks", "arms"):
        if getattr(command, name) != getattr(default, name):
            raise ValueError(f"--{name} {getattr(command, name)}: --quick sets it, leave one of them out")
    return replace(command, tasks=QUICK_TASKS, arms=QUICK_ARMS)


if __name__ == "__main__":
    main()
