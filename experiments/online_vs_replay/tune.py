"""Choose every arm's settings by the same number of trials.

Question: with which of eight settings does each learner do best, so that none is compared at its worst?
Command:  python -m experiments.online_vs_replay.tune
Time:     80 minutes on 2 busy CPUs for 21 arms x 8 trials with seed 901, on one or two tasks each.
Output:   runs.csv and curves.csv in --out, a row a run. `experiments.online_vs_replay` takes each arm's best trial from
          experiments/results/online_vs_replay/tuning, which this command writes with that --out.

Arms with memory are tuned on the masked CartPole and on RecallCue with delay 24. Arms without memory are tuned on
CartPole, and the one with two frames on the masked CartPole. The score is the mean normalised return of greedy
evaluations in the second half of training, over tasks and seeds. An arm that solves a task and falls back scores less.
"""

from dataclasses import dataclass
from pathlib import Path

from experiments.lab.study import Arm, Study, StudyCommand

TUNING_SEED = 901


@dataclass(frozen=True)
class Command(StudyCommand):
    """The options of the command."""

    arms: str = "all"
    """Which arms of the comparison, separated by commas."""
    seeds: int = 1
    """Runs of each trial, from --first-seed on."""
    first_seed: int = TUNING_SEED
    """Seed of each trial's first run; the comparison uses none of them."""
    runs_dir: Path = Path("runs/online_vs_replay_tuning")
    """Folder of the run folders."""


def trials(names: list[str]) -> dict[str, Arm]:
    """Plan the trials of these arms, by `task / arm / trial`, before seeds are added."""
    from dataclasses import replace

    from experiments.online_vs_replay.arms import ARMS, config_of
    from experiments.online_vs_replay.settings import tuning_tasks
    from experiments.online_vs_replay.tasks import TASKS

    planned = {}
    for number in range(8):  # all arms run a trial before the next one: an interrupted study has the same of each
        for name in names:
            arm = ARMS[name]
            for task in tuning_tasks(name, arm):
                config = config_of(TASKS[task], arm, arm.trials[number])
                planned[f"{task} / {name} / {number}"] = Arm(replace(config, wandb_group=f"tuning {name}"))
    return planned


def main() -> None:
    """Parse the command line, train, print which trial was best."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: run(parse(Command, __doc__)))


def run(command: Command) -> None:
    """Train the missing runs, and print the best trial of each arm.

    Raises:
        ValueError: an option cannot work; nothing was trained.
    """
    from dataclasses import replace

    from experiments.online_vs_replay.arms import ARMS, chosen_arms
    from experiments.online_vs_replay.run_rows import TABLES, run_result
    from experiments.online_vs_replay.settings import tuned

    names = chosen_arms(command.arms)
    study = Study("online-vs-replay-tuning", trials(names), replace(command, arms="all"), run_result, TABLES)
    rows = study.complete()
    for name in names:
        number = tuned(name, rows)
        print(f"{name}: trial {number}, {ARMS[name].trials[number]}")
    print(f"Written to {study.out}: runs.csv, curves.csv")


if __name__ == "__main__":
    main()
