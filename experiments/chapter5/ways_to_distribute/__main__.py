"""Three ways to distribute actor-critic learning: asynchronous workers, synchronous workers, one process.

Question: which way gets there soonest with 8 environments, when their steps are cheap and when they are expensive?
Command:  python -m experiments.chapter5.ways_to_distribute
Time:     4 minutes on 2 CPUs, which should do nothing else; 27 with --arms all --seeds 10 --repetitions 3.
Output:   ways_to_distribute.md and .png (tables, figure), runs.csv, curves.csv and speed.csv in --out; run folders.

W workers of 8 / W environments each, the chapter's network and loss, CartPole with -10 for a fall, N = 10.

    async W workers   each worker's gradient is applied as it comes, to shared parameters and one shared Adam
    sync W workers    gradients are summed over workers each segment, then one update
    one process       all 8 environments stepped together, no worker processes

Per env step sync learns as one process does, to rounding. Async makes W times as many updates, each from 1 / W of the
environments and from parameters that other workers have changed in between. One more arm, one process with 8 times the
learning rate, shows how much of async's lead is only its larger number of updates.

The experiment has three parts: learning with the cheap environment, and with steps that compute for 1 ms for up to
three of the arms; speed and the age of gradients at each cost of a step, in separate short runs; and the seconds to a
mean episode length, projected from both. --arms quick: one process, async and sync with 2 and 8 workers; all: with 1,
2, 4 and 8.
"""

from dataclasses import replace

from experiments.chapter5.length_results import curves_of, length_result
from experiments.chapter5.ways_to_distribute.command import Command
from experiments.chapter5.ways_to_distribute.speed import median_of, speeds
from experiments.chapter5.ways_to_distribute.ways import (
    ENVIRONMENTS,
    EXPENSIVE,
    EXPENSIVE_MS,
    LONG_STEPS,
    WAYS,
    expensive_name,
)
from experiments.lab.figures import pdf_too
from experiments.lab.study import Arm, Study
from experiments.lab.tables import publish
from rl.presets import PRESETS


def arms(command: Command) -> dict[str, Arm]:
    """Every arm of the command, by name: the cheap ones, then those with the expensive environment."""
    ways = command.ways()
    cheap = {way.name: Arm(way.config(total_env_steps=command.env_steps)) for way in ways}
    # An evaluation of 100 episodes would cost more than the run; the study evaluates with the cheap environment.
    options = {"total_env_steps": command.expensive_env_steps, "eval_episodes": 1}
    expensive = {
        expensive_name(way.name): Arm(way.config(EXPENSIVE_MS, **options)) for way in ways if way.name in EXPENSIVE
    }
    # Async with W workers takes W steps of Adam where one process takes one; this arm's step is as long as 8 of them.
    rate = ENVIRONMENTS * PRESETS["chapter5-batched"]["learning_rate"]
    alone = WAYS["one process"]
    if alone in ways:
        cheap[LONG_STEPS] = Arm(alone.config(total_env_steps=command.env_steps, learning_rate=rate))
    return cheap | (expensive if command.learn_expensive else {})


def studies(command: Command) -> list[Study]:
    """A study of the cheap arms, and one of the expensive arms, which have fewer seeds."""
    every = arms(command)
    dear = [name for name, arm in every.items() if arm.config.env_arg]
    cheap, expensive = ({name: arm for name, arm in every.items() if (name in dear) == wanted} for wanted in (0, 1))
    seeds = command.seeds, min(command.seeds, command.expensive_seeds)
    return [
        Study(
            "chapter5-ways-to-distribute", group, replace(command, arms="all", env_steps=0, seeds=most), length_result
        )
        for group, most in zip((cheap, expensive), seeds, strict=True)
        if group
    ]


def main() -> None:
    """Parse the command line, train and measure what is missing, tabulate and draw."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        command = parse(Command, __doc__)
        command.costs()  # a wrong option is found before anything is trained
        planned = studies(command)
        rows = [row for study in planned for row in study.complete()]
        speed_rows = speeds(command)
        from experiments.chapter5.ways_to_distribute.figure import ways_figure
        from experiments.chapter5.ways_to_distribute.page import page

        out = planned[0].out
        curves = {arm: runs for study in planned for arm, runs in curves_of(study).items()}
        drawn = {(way.kind, way.workers): curves[way.name] for way in command.ways()}
        speed_of = {
            (WAYS[arm].kind, WAYS[arm].workers, cost): sps for (arm, cost), sps in median_of(speed_rows, "sps").items()
        }
        with pdf_too(command.pdf):
            ways_figure(drawn, speed_of, out / "ways_to_distribute.png", command.length)
        publish(out, "ways_to_distribute", page(command, rows, curves, speed_rows))

    experiment(run)


if __name__ == "__main__":
    main()
