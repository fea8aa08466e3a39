"""What each repair buys: from the chapter's listing of N-step DA2C to ours, one change at a time.

Question: which faults of the printed code cost anything, and how much?
Command:  python -m experiments.chapter5.repairs
Time:     5 minutes on 2 CPUs for 7 arms x 2 seeds; 21 with --seeds 10.
Output:   repairs.md and .png (table, learning curves), runs.csv and curves.csv in --out; run folders.

Each arm keeps the repairs of those before it. All have 7 asynchronous workers, N = 10, the chapter's network, CartPole,
discount and learning rate, and the same env steps.

    as printed          every fault of experiments/chapter5/printed.py
    bootstrap           a return ends with V of the state after its last step, not of the last state acted in
    plain returns       they are not divided by their norm; rewards are weighted by 0.05, which keeps them within tanh
    time limit          it truncates: no -10, and the value of what would have followed
    shared Adam         all workers share one step count and one set of moments
    nothing after end   the bootstrap is 0 where the episode ended
    more environments   a worker has 4, and each continues with its next episode within a segment
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from experiments.chapter5.length_results import final_lengths
from experiments.chapter5.length_study import LengthCommand, run_study
from experiments.lab.rows import Row
from experiments.lab.statistics import compared, with_interval
from experiments.lab.study import Arm
from rl.config import Config
from rl.presets import PRESETS


def arms() -> dict[str, Arm]:
    """Every arm, by name. The faults are imported here, since they import torch, which --help does not wait for."""
    from experiments.chapter5.printed import PRINTED_ENV, listed

    ours = Config(**PRESETS["chapter5"])
    printed = replace(ours, env=PRINTED_ENV, reward_scale=1.0)
    return {
        "as printed": Arm(printed, listed(True, True, True, True)),
        "bootstrap": Arm(printed, listed(False, True, True, True)),
        "plain returns": Arm(replace(printed, reward_scale=ours.reward_scale), listed(False, True, False, True)),
        "time limit": Arm(ours, listed(False, True, False, True)),
        "shared Adam": Arm(ours, listed(False, True, False, False)),
        "nothing after end": Arm(ours),
        "more environments": Arm(replace(ours, envs_per_worker=4, stop_at_episode_end=False)),
    }


@dataclass(frozen=True)
class Command(LengthCommand):
    """What the command line says."""

    seeds: int = 2
    """Runs of each arm, from --first-seed on."""
    runs_dir: Path = Path("runs/chapter5/repairs")
    """Folder of the run folders."""


def gains(rows: list[Row]) -> str:
    """A Markdown table of what each repair changed of the length at the end, compared with the arm before it."""
    lines = ["", "", "| repair | change of the length at the end | P(longer than before) |", "|---|---:|---:|"]
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    for before, arm in pairwise(arms):
        pair = final_lengths(rows, arm), final_lengths(rows, before)
        means = [with_interval(values)[0] for values in pair]
        lines.append(f"| {arm} | {means[0] - means[1]:+.1f} | {compared(*pair)[0]} |")
    if {"as printed", "nothing after end"} <= set(arms):
        pair = final_lengths(rows, "nothing after end"), final_lengths(rows, "as printed")
        means = [with_interval(values)[0] for values in pair]
        lines.append(f"| these but the last, against as printed | {means[0] - means[1]:+.1f} | {compared(*pair)[0]} |")
    return (
        "\n".join(lines)
        + "\n\nAn interval of P above one half is evidence for that one comparison, of the several that are made here."
    )


def main() -> None:
    """Parse the command line, train what is missing, tabulate and draw."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        command = parse(Command, __doc__)  # before the arms, which are slow to make
        run_study("repairs", arms(), command, more=gains, seconds=True)

    experiment(run)


if __name__ == "__main__":
    main()
