"""N-step updates: after how many steps should a return trust the critic?

Question: how does N trade bias for variance in what is learnt? (n_step_error measures bias and variance themselves.)
Command:  python -m experiments.chapter5.n_steps
Time:     4 minutes on 2 CPUs for 7 values x 3 seeds; 12 with --seeds 10.
Output:   n_steps.md and .png (table, learning curves), runs.csv and curves.csv in --out; run folders.

One process with one environment, the chapter's network, CartPole and settings. Only N differs: 1, 2, 5, 10, 20, 50 and
Monte Carlo, which is the whole episode. A segment also ends where its episode ends.
"""

from dataclasses import dataclass
from pathlib import Path

from experiments.chapter5.length_study import COLUMNS, LengthCommand, run_study
from experiments.lab.study import Arm
from rl.config import Config
from rl.presets import PRESETS

ALONE = {**PRESETS["chapter5"], "mode": "serial", "workers": 1, "total_env_steps": 40_000}
LENGTHS = (1, 2, 5, 10, 20, 50)
ARMS = {f"N = {n}": Arm(Config(**{**ALONE, "segment_length": n})) for n in LENGTHS}
ARMS["Monte Carlo"] = Arm(Config(**{**ALONE, "segment_length": 0}))


@dataclass(frozen=True)
class Command(LengthCommand):
    """What the command line says."""

    runs_dir: Path = Path("runs/chapter5/n_steps")
    """Folder of the run folders."""


def main() -> None:
    """Parse the command line, train what is missing, tabulate and draw."""
    from experiments.lab.command_line import experiment, parse

    columns = [column for column in COLUMNS if column.key != "seconds"]
    experiment(lambda: run_study("n_steps", ARMS, parse(Command, __doc__), columns, seconds=False, ordered=True))


if __name__ == "__main__":
    main()
