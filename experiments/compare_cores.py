"""Train MLP, GRU and LSTM agents on CartPole without velocities, several seeds each, and compare them.

Question: what does carried memory buy where one observation is not enough?
Command:  python -m experiments.compare_cores (or: make demo)
Time:     one minute on 2 CPUs for 4 arms x 3 seeds.
Output:   comparison.md, comparison.csv, comparison.png (table and learning curves) in --out; run folders in --runs-dir.

Complete runs are not trained again, so an interrupted comparison continues where it stopped.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from experiments.lab.figures import pdf_too
from experiments.lab.options import at_least, listed, refuse
from experiments.lab.runs import train_missing
from rl.config import Config
from rl.presets import MASKED_CARTPOLE

ARMS = {
    "mlp": {"core": "mlp"},
    "mlp-2-frames": {"core": "mlp", "frame_stack": 2},
    "gru": {"core": "gru"},
    "lstm": {"core": "lstm"},
}
DEFAULT = Config(**MASKED_CARTPOLE, stop_when_solved=True)


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    arms: str = ",".join(ARMS)
    """Agents to compare; mlp-2-frames sees the last two observations, and this task needs no more memory than that."""
    seeds: int = 3
    """Runs of each arm, from --seed on."""
    mlp_env_steps: int = 500_000
    """Most env steps of an arm without a recurrent core; the others have --total-env-steps."""
    runs_dir: Path = Path("runs/compare_cores")
    """Folder of the run folders."""
    out: Path | None = None
    """Folder of table and figure. None: --runs-dir."""
    pdf: bool = False
    """Write the figure as a PDF file, too."""
    config: Config = field(default=DEFAULT)

    def configs(self) -> list[Config]:
        """The config of every run, seed after seed.

        Raises:
            ValueError: an arm is unknown, there are no seeds, or the arms decide an option.
        """
        refuse(self.config, DEFAULT, ("core", "frame_stack", "run_dir"))
        at_least(1, seeds=self.seeds)
        arms = listed("--arms", self.arms, lambda name: (name, ARMS[name]), f"a list out of {','.join(ARMS)}")
        seeds = range(self.config.seed, self.config.seed + self.seeds)
        return [self.run_config(name, options, seed) for seed in seeds for name, options in arms]

    def run_config(self, name: str, options: dict, seed: int) -> Config:
        """The config of one arm's run."""
        env_steps = self.config.total_env_steps
        if options["core"] == "mlp":
            env_steps = min(env_steps, self.mlp_env_steps)
        run_dir = str(self.runs_dir / f"{name}-s{seed}")
        return replace(self.config, **options, seed=seed, total_env_steps=env_steps, run_dir=run_dir)


def main() -> None:
    """Parse the command line, train what is missing, compare."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        from experiments.compare_runs import compare
        from experiments.lab.study import folder_of

        command = parse(Command, __doc__)
        folders = train_missing(command.configs())
        with pdf_too(command.pdf):
            compare(folders, folder_of(command.out, command.runs_dir))

    experiment(run)


if __name__ == "__main__":
    main()
