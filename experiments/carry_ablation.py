"""Carry the core state across segments, or zero it at each: how far does memory reach?

Question: what is lost when every training segment starts from a fresh state, and when does carrying not help either?
Command:  python -m experiments.carry_ablation
Time:     12 minutes on 2 busy cores (two serial runs at a time).
Output:   carry_ablation.png, carry_ablation.md (tables) and carry_ablation.csv (a row each run) in --out.

On RecallCue a cue must be named `delay` steps later. With state zeroed at every segment of N steps it can only be known
if cue and question fall into one segment; where the cue's phase in the segment is uniform, that is
max(0, 1 - delay/N) of the episodes, and the rest are guesses worth 0 on average: the dotted line of the figure.
Carried state reaches any delay in acting, but its gradient stops at the segment's start, so learning fails where the
delay is much longer than N. The score is the mean return of the last fifth of training, sampled actions.
Complete runs are not trained again, so an interrupted study goes on where it stopped.
"""

import csv
from dataclasses import dataclass, field, replace
from pathlib import Path

from experiments.lab.study import train_missing
from rl.config import Config

DEFAULT = Config(mode="serial", workers=1, envs_per_worker=64, log_interval=5_000, checkpoint_interval=10_000_000)
LAST_SHARE = 0.2


def zeroed_score(delay: int, segment_length: int) -> float:
    """Expected RecallCue return of a perfect agent whose state is zeroed at every segment: max(0, 1 − d/N)."""
    return max(0.0, 1.0 - delay / segment_length)


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    delays: str = "2,4,8"
    """Delays of RecallCue, in steps."""
    segment_lengths: str = "2,3,4,6,8,16"
    """Segment lengths on RecallCue."""
    cartpole_segment_lengths: str = "2,4,8,16,32"
    """Segment lengths on MaskedVelocityCartPole."""
    seeds: int = 3
    """Runs of each cell, from --seed on."""
    recall_env_steps: int = 300_000
    """Env steps of a run on RecallCue."""
    cartpole_env_steps: int = 300_000
    """Env steps of a run on MaskedVelocityCartPole."""
    recall_entropy_coefficient: float = 0.01
    """Entropy bonus on RecallCue, without which the policy commits itself before it has learnt to recall."""
    processes: int = 2
    """Runs at a time."""
    runs_dir: Path = Path("runs/carry_ablation")
    """Folder of the run folders."""
    out: Path = Path("experiments/results/carry_ablation")
    """Folder of tables and figure."""
    config: Config = field(default=DEFAULT)

    def cells(self) -> list[tuple[str, int, int]]:
        """(task, delay, segment length) of every cell; the delay is 0 on CartPole.

        Raises:
            ValueError: a list is empty or holds something else than whole numbers above 0.
        """
        from experiments.lab.command_line import counts

        delays, lengths = counts("--delays", self.delays), counts("--segment-lengths", self.segment_lengths)
        cartpole = counts("--cartpole-segment-lengths", self.cartpole_segment_lengths)
        recall = [("RecallCue-v0", delay, length) for delay in delays for length in lengths]
        return recall + [("MaskedVelocityCartPole-v1", 0, length) for length in cartpole]

    def configs(self) -> list[Config]:
        """The config of every run."""
        from experiments.lab.command_line import refuse

        refuse(
            self.config,
            DEFAULT,
            (
                "env",
                "env_arg",
                "segment_length",
                "total_env_steps",
                "carry_state",
                "run_dir",
                "entropy_coefficient",
                "mode",
                "workers",
                "stop_when_solved",
            ),
        )
        for name, value in (("--seeds", self.seeds), ("--processes", self.processes)):
            if value < 1:
                raise ValueError(f"{name} {value}: a whole number of at least 1 is needed")
        seeds = range(self.config.seed, self.config.seed + self.seeds)
        return [
            self.run_config(task, delay, length, carry, seed)
            for seed in seeds
            for task, delay, length in self.cells()
            for carry in (True, False)
        ]

    def run_config(self, task: str, delay: int, segment_length: int, carry: bool, seed: int) -> Config:
        """The config of one run."""
        recall = task == "RecallCue-v0"
        name = f"d{delay}" if recall else "cartpole"
        return replace(
            self.config,
            env=task,
            env_arg=(f"delay={delay}",) if recall else (),
            segment_length=segment_length,
            carry_state=carry,
            total_env_steps=self.recall_env_steps if recall else self.cartpole_env_steps,
            entropy_coefficient=self.recall_entropy_coefficient if recall else 0.0,
            seed=seed,
            run_dir=str(self.runs_dir / f"{name}-n{segment_length}-{'carried' if carry else 'zeroed'}-s{seed}"),
        )


def final_score(run_dir: Path) -> float:
    """Mean return of the episodes that ended in the last fifth of a run's env steps.

    Raises:
        ValueError: none did.
    """
    from experiments.lab.records import read_run

    run = read_run(run_dir)
    start = (1 - LAST_SHARE) * run.config["total_env_steps"]
    late = [row for row in run.rows if row["global_step"] > start and row["charts/episodes"]]
    episodes = sum(row["charts/episodes"] for row in late)
    if not episodes:
        raise ValueError(f"{run_dir}: no episode ended in the last fifth of the run")
    return sum(row["charts/episodic_return"] * row["charts/episodes"] for row in late) / episodes


def result_row(config: Config) -> dict:
    """One run as a row of the CSV file."""
    delay = int(config.env_args.get("delay", 0))
    return {
        "task": config.env,
        "delay": delay,
        "segment_length": config.segment_length,
        "core": config.core,
        "carry_state": config.carry_state,
        "seed": config.seed,
        "env_steps": config.total_env_steps,
        "final_return": final_score(Path(config.run_dir)),
        "zeroed_expected": zeroed_score(delay, config.segment_length) if delay else "",
    }


def write_tables(rows: list[dict], file: Path) -> None:
    """A Markdown table for each task and delay: mean and range over seeds for both arms."""
    import numpy as np

    lines = []
    for task, delay in dict.fromkeys((row["task"], row["delay"]) for row in rows):
        mine = [row for row in rows if (row["task"], row["delay"]) == (task, delay)]
        lines += [f"**{task}{f', delay {delay}' if delay else ''}**", ""]
        expects = " max(0, 1 - delay/N) |" if delay else ""
        lines += [f"| segment length N | carried | zeroed |{expects}", "|---:|---:|---:|" + ("---:|" if delay else "")]
        for length in sorted({row["segment_length"] for row in mine}):
            cells = []
            for carry in (True, False):
                scores = [r["final_return"] for r in mine if (r["segment_length"], r["carry_state"]) == (length, carry)]
                cells.append(f"{np.mean(scores):.2f} ({min(scores):.2f} to {max(scores):.2f})")
            expected = f" {zeroed_score(delay, length):.2f} |" if delay else ""
            lines.append(f"| {length} | {cells[0]} | {cells[1]} |{expected}")
        lines.append("")
    seeds = len({row["seed"] for row in rows})
    lines.append(f"Mean (smallest to largest) over seeds ({seeds}) of the mean return in the last fifth of training.")
    file.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Parse the command line, train what is missing, draw."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        command = parse(Command, __doc__)
        configs = command.configs()
        train_missing(configs, command.processes)
        from experiments.lab.figures import carry_figure

        rows = [result_row(config) for config in configs]
        command.out.mkdir(parents=True, exist_ok=True)
        with open(command.out / "carry_ablation.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        write_tables(rows, command.out / "carry_ablation.md")
        carry_figure(rows, zeroed_score, command.out / "carry_ablation.png")
        print((command.out / "carry_ablation.md").read_text())
        print(f"Written to {command.out}: carry_ablation.md, carry_ablation.csv, carry_ablation.png.")

    experiment(run)


if __name__ == "__main__":
    main()
