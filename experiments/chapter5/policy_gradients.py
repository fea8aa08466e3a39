"""Policy gradients, step by step: from REINFORCE to distributed advantage actor-critic, one idea at a time.

Question: what does each step buy: a learnt baseline, a bootstrapped critic, several workers, N steps at a time?
Command:  python -m experiments.chapter5.policy_gradients
Time:     4 minutes on 2 CPUs for 5 systems x 3 seeds; 11 with --seeds 10.
Output:   policy_gradients.md and .png (table, learning curves), runs.csv and curves.csv in --out; run folders.

The systems are presets of `experiments.train`: reinforce, reinforce-baseline, online, monte-carlo and chapter5. All
have the chapter's network, its CartPole (-10 for a fall), its discount, learning rate and weights. The first three
learn in one process with one environment, the last two in 7 asynchronous workers with one environment each.
"""

from dataclasses import dataclass
from pathlib import Path

from experiments.chapter5.length_study import LengthCommand, run_study
from experiments.lab.study import Arm
from rl.config import Config
from rl.presets import PRESETS

SYSTEMS = ("reinforce", "reinforce-baseline", "online", "monte-carlo", "chapter5")
ARMS = {name: Arm(Config(**PRESETS[name])) for name in SYSTEMS}


@dataclass(frozen=True)
class Command(LengthCommand):
    """What the command line says."""

    env_steps: int = 40_000
    """Env steps of each run; 0: the 70,000 of the presets."""
    runs_dir: Path = Path("runs/chapter5/policy_gradients")
    """Folder of the run folders."""


def main() -> None:
    """Parse the command line, train what is missing, tabulate and draw."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: run_study("policy_gradients", ARMS, parse(Command, __doc__), seconds=True))


if __name__ == "__main__":
    main()
