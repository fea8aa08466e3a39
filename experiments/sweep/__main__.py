"""Try settings of a run and keep the best, with what its lead is worth.

Question: which settings of these options do best here, and is the best one really better?
Command:  python -m experiments.sweep --seeds 3 --trials 20 'learning_rate=log(1e-4,1e-2)'
Time:     trials times seeds runs, as many side by side as the CPUs hold.
Output:   sweep.md and sweep.png (table, figure), trials.csv and sweep.db in --out; a run folder a trial and seed.

A range is option=log(low,high), option=uniform(low,high) or option=choice(a,b,...), for any option of a run. Optuna's
TPE chooses; the first trial has the options as they are given. After each seed a trial that lies below the median of
the earlier ones ends (pruning). An interrupted sweep goes on with the same command, and nothing is trained twice.
The best of many trials looks better than it is. So at the end it is trained again on fresh seeds, beside the first
trial. What is needed: pip install -e .[sweep]
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from experiments.lab.options import at_least, refuse
from rl.config import Config

SET_HERE = ("run_dir", "wandb_name")  # options of a run that the sweep decides


OWN = {"mode": "serial", "workers": 1, "checkpoint_interval": 50_000}  # defaults of a sweep


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    ranges: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """What is tried, as 'learning_rate=log(1e-4,1e-2)'; one for each option."""
    trials: int = 20
    """Settings that are tried."""
    seeds: int = 3
    """Runs of each trial, from --seed on."""
    measure: Literal["greedy", "sampled", "curve"] = "greedy"
    """What a run is worth: its greedy or sampled evaluation at the end, or its mean return over all of training."""
    prune: bool = True
    """End a trial after a seed where it lies below the median of earlier trials."""
    fresh_seeds: int = -1
    """Seeds on which the best and the first trial are trained again, behind all others; 0: none, -1: as --seeds, and at
    least 4."""
    processes: int = 0
    """Runs side by side; 0: as many as the CPUs hold."""
    out: Path = Path("runs/sweep")
    """Folder of storage, runs, table and figure."""
    pdf: bool = False
    """Write the figure as a PDF file, too."""
    wandb_sweep: Path | None = None
    """Write the same ranges as a sweep of W&B to this file, and train nothing."""
    config: Config = field(default_factory=lambda: Config(**OWN))


def main() -> None:
    """Parse the command line, train, print table and command."""
    from experiments.lab.command_line import experiment, parse
    from experiments.lab.defaults import given_defaults

    def parsed() -> Command:
        return parse(Command, __doc__, Command(config=Config(**{**given_defaults({}), **OWN})))

    experiment(lambda: run(parsed()))


def run(command: Command) -> None:
    """Train the trials that are missing, and publish what they came to.

    Raises:
        ValueError: an option cannot work; nothing was trained.
        RunFailed: a run was ended by a signal.
    """
    from experiments.lab.figures import pdf_too
    from experiments.lab.runs import held, ids_of_their_own
    from experiments.lab.statistics import FEWEST
    from experiments.sweep.page import command_of, options_of, publish_sweep
    from experiments.sweep.plan import Plan, side_by_side
    from experiments.sweep.space import space_of
    from experiments.sweep.trials import Sweep, optuna_of
    from experiments.sweep.wandb_file import sweep_file, write

    at_least(1, trials=command.trials, seeds=command.seeds)
    at_least(0, processes=command.processes)
    at_least(-1, fresh_seeds=command.fresh_seeds)
    config = command.config
    refuse(config, Config(), SET_HERE)
    space = space_of(command.ranges, config)
    seeds = range(config.seed, config.seed + command.seeds)
    if command.wandb_sweep:
        write(command.wandb_sweep, sweep_file(space, options_of(config), list(seeds), command.trials))
        print(f"{command.wandb_sweep}: begin with `wandb sweep {command.wandb_sweep}`")
        return
    optuna_of()
    require_runs(replace(config, run_dir=str(command.out / "probe")))
    plan = Plan(
        config,
        space,
        seeds,
        command.trials,
        command.measure,
        command.prune,
        command.processes or side_by_side(config),
        command.out,
    )
    fresh = max(command.seeds, FEWEST) if command.fresh_seeds < 0 else command.fresh_seeds
    runs = command.trials * command.seeds + 2 * fresh
    with held(command.out), pdf_too(command.pdf), ids_of_their_own(runs, print):
        sweep = Sweep(plan)
        trials = sweep.complete()
        publish_sweep(plan, trials, sweep.confirm(range(seeds.stop, seeds.stop + fresh)), sweep.importances())
    best = max((one for one in trials if one.state == "complete"), key=lambda one: one.value, default=None)
    if best:
        print(f"The best: {command_of(config, best.settings)}")


def require_runs(config: Config) -> None:
    """Check that the common options make a run.

    Raises:
        ValueError: they do not; nothing was written.
    """
    import envs
    from rl.running.run import new_run

    new_run(config, envs.make_vector)


if __name__ == "__main__":
    main()
