"""Bias and variance of the N-step return, measured at frozen policies and critics.

Question: how wrong is an N-step return, by its critic (bias) and by the chance of its N steps (variance)?
Command:  python -m experiments.chapter5.n_step_error
Time:     2 minutes on 2 CPUs, 5 on busy ones, for 3 training stages x 3 seeds.
Output:   n_step_error.md and .png (tables, figure) and n_step_error.csv in --out; run folders.

The chapter's agent, in one process with one environment and N = 10, is trained for 7,000, 35,000 and 70,000 env steps.
Its learning rate is constant and serial runs repeat bit for bit, so the shorter runs are the beginning of the longer.

The trained policy plays --states episodes, and a state is drawn from each, every step being equally likely. All
--rollouts copies of the environment are reset with that episode's seed and take its actions up to that state, and the
agent sees the observations, for its core state. So all copies are in one state, and nothing had to be copied. From
there each copy samples its own actions until it falls, or for 200 steps, after which 0.95^200 = 3.5e-5 of the return is
left; this is Monte Carlo here. There is no time limit, except the 500 steps of the episode that a state is drawn from.
The environment must draw no random numbers after its reset, since its copies would draw the same ones.

There are many states and few rollouts, since states differ more: a tenth of the states, those closer to a fall, holds a
third of the squared bias at N = 1 after 7,000 env steps, and two thirds after 70,000. The variance is unbiased with few
rollouts.

A finished (seed, env steps) has its rows in n_step_error.csv and is neither trained nor measured again.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from experiments.chapter5.n_step_error.measured import LENGTHS, MEASURED
from experiments.lab.digest import digest
from experiments.lab.figures import pdf_too
from experiments.lab.options import at_least
from experiments.lab.rows import FinishedRuns, Row, append_csv, write_csv
from experiments.lab.runs import held
from experiments.lab.study import Arm, folder_of, train_arms, unfinished
from experiments.lab.tables import publish
from rl.config import Config
from rl.presets import PRESETS

CHAPTER = Config(**{**PRESETS["chapter5"], "mode": "serial", "workers": 1})
STAGES = (7_000, 35_000, 70_000)  # env steps


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    seeds: int = 3
    """Runs of each training stage, from --first-seed on."""
    first_seed: int = 1
    """Seed of each stage's first run."""
    states: int = 128
    """States that returns are measured from, each from its own episode."""
    rollouts: int = 32
    """Copies that continue from each state."""
    processes: int = 2
    """Runs at a time."""
    runs_dir: Path = Path("runs/chapter5/n_step_error")
    """Folder of the run folders."""
    out: Path | None = None
    """Folder of rows, tables and figure; a run that has its rows there is not measured again. None: --runs-dir."""
    pdf: bool = False
    """Write the figure as a PDF file, too."""
    wandb: Literal["auto", "online", "offline", "disabled"] = "offline"
    """W&B mirror of each run, in the group chapter5-n-step-error."""

    def configs(self) -> dict[tuple[int, int], Config]:
        """The config of every run by (seed, env steps).

        Raises:
            ValueError: an option cannot work.
        """
        at_least(1, seeds=self.seeds, states=self.states, processes=self.processes)
        at_least(0, first_seed=self.first_seed)
        at_least(2, rollouts=self.rollouts)
        return {
            (seed, steps): replace(
                CHAPTER,
                seed=seed,
                total_env_steps=steps,
                run_dir=str(self.runs_dir / f"{steps}-s{seed}"),
                wandb=self.wandb,
                wandb_group="chapter5-n-step-error",
            )
            for seed in range(self.first_seed, self.first_seed + self.seeds)
            for steps in STAGES
        }


def finished_runs(file: Path) -> FinishedRuns:
    """The file of measured runs, which are told apart by seed and training stage."""
    columns = "seed and env_steps (numbers) and digest"
    return FinishedRuns(file, lambda row: (int(row["seed"]), int(row["env_steps"])), columns, len(LENGTHS))


def complete(command: Command, out: Path) -> list[Row]:
    """Train and measure the runs that have no rows yet, and write the rows of each run as it ends.

    Returns:
        The rows of the command's own seeds and stages as numbers, in their order.

    Raises:
        ValueError: n_step_error.csv has rows of other options, or a folder holds another run; nothing was trained.
        RunFailed: a run ended by a fault or a signal.
    """
    planned = {key: Arm(config) for key, config in command.configs().items()}
    options = {
        key: {"states": command.states, "rollouts": command.rollouts, "digest": digest(*arm)}
        for key, arm in planned.items()
    }
    done = finished_runs(out / "n_step_error.csv")

    def write(key: tuple[int, int]) -> None:
        identity = dict(zip(("seed", "env_steps"), key, strict=True))
        append_csv(done.file, [identity | row | options[key] for row in measured(planned[key].config, command)])

    with held(out):
        missing = unfinished(done, planned, options.get, lambda key: f"seed {key[0]}, {key[1]} env steps,")
        write_csv(done.file, [row for rows in done.read().values() for row in rows])  # without what a kill cut off
        train_arms(missing, command.processes, write, out)
        found = done.read()
    return [
        {"seed": seed, "env_steps": steps, "N": row["N"]} | {name: float(row[name]) for name in MEASURED}
        for seed, steps in planned
        for row in found[seed, steps]
    ]


def measured(config: Config, command: Command) -> list[Row]:
    """The errors of a trained agent's returns, a row for each N."""
    import envs
    from experiments.chapter5.n_step_error.rollouts import measure
    from rl.record.saved_agent import load_agent

    agent, _, _ = load_agent(config.run_dir, envs.make_vector)
    return measure(agent, config, envs.make_vector, command.states, command.rollouts)


def page(rows: list[Row], command: Command) -> str:
    """The tables and what they mean."""
    from experiments.chapter5.n_step_error.example import worked_table
    from experiments.chapter5.n_step_error.tables import error_table, least_errors

    return f"""{error_table(rows)}

{least_errors(rows)}

Titles name the env steps of training. Bias: root of the mean squared bias over {command.states} states, corrected for
the noise of {command.rollouts} rollouts, 0 where the corrected mean is negative. Deviation: root of the mean variance.
Total: root of the sum of both squares. In units of the environment's reward, 1 a step and -10 for a fall. Mean over
seeds ({command.seeds}) and its 95 % bootstrap interval. MC: the whole episode, which has no bias by definition.

The chapter's example, from the end of the series down to index 1, discount 0.99:

{worked_table()}"""


def main() -> None:
    """Parse the command line, train and measure what is missing, tabulate and draw."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        command = parse(Command, __doc__)
        out = folder_of(command.out, command.runs_dir)
        rows = complete(command, out)
        from experiments.chapter5.n_step_error.figure import error_figure

        with pdf_too(command.pdf):
            error_figure(rows, out / "n_step_error.png")
        publish(out, "n_step_error", page(rows, command))

    experiment(run)


if __name__ == "__main__":
    main()
