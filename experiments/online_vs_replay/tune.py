"""Choose every arm's settings: the same number of trials for each.

Question: with which of eight settings does each learner do best, so that none is compared at its worst?
Command:  python -m experiments.online_vs_replay.tune --out experiments/results/online_vs_replay/tuning
Time:     50 minutes on 2 busy cores for 14 arms x 8 trials with seed 901, on one or two tasks each.
Output:   runs.csv and curves.csv in --out, a row a run; `experiments.online_vs_replay` takes each arm's best trial.

Arms with memory are tuned on the masked CartPole and on RecallCue with delay 24, arms without on CartPole, the one with
two frames on the masked. The score is the mean normalised return of greedy evaluations in the second half of training,
over tasks and seeds, so that falling back after having solved it costs.
"""

from dataclasses import dataclass
from pathlib import Path

from experiments.lab.learning_study import Arm, Study, StudyCommand

TUNING_SEED = 901


@dataclass(frozen=True)
class Command(StudyCommand):
    """What the command line says."""

    arms: str = "all"
    """Which arms of the comparison, separated by commas."""
    seeds: int = 1
    """Runs of each trial, from --first-seed on."""
    first_seed: int = TUNING_SEED
    """Seed of each trial's first run; none of them is used in the comparison."""
    runs_dir: Path = Path("runs/online_vs_replay_tuning")
    """Folder of the run folders."""


def trials(names: list[str]) -> dict[str, Arm]:
    """Every run of these arms but for its seed, by `task / arm / trial`."""
    from dataclasses import replace

    from experiments.online_vs_replay.arms import ARMS, TASKS, config_of, tuning_tasks

    planned = {}
    for number in range(8):  # a trial of every arm, then the next: stopped early, it is even
        for name in names:
            arm = ARMS[name]
            for task in tuning_tasks(name, arm):
                config = config_of(TASKS[task], arm, arm.trials[number])
                planned[f"{task} / {name} / {number}"] = Arm(replace(config, wandb_group=f"tuning {name}"))
    return planned


def main() -> None:
    """Parse the command line, train, say which trial was best."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: run(parse(Command, __doc__)))


def run(command: Command) -> None:
    """Train what is missing, and print the choice.

    Raises:
        ValueError: an option cannot work; nothing was trained.
    """
    from dataclasses import replace

    from experiments.online_vs_replay.arms import ARMS, chosen_arms, tuned
    from experiments.online_vs_replay.measures.measured import TABLES, run_result

    names = chosen_arms(command.arms)
    study = Study("online-vs-replay-tuning", trials(names), replace(command, arms="all"), run_result, TABLES)
    rows = study.complete()
    for name in names:
        number = tuned(name, rows)
        print(f"{name}: trial {number}, {ARMS[name].trials[number]}")


if __name__ == "__main__":
    main()
