"""Train one agent and keep its record.

Question: does this network, trained by these workers, learn this environment?
Command:  python -m experiments.train --env MaskedVelocityCartPole-v1 --core lstm --seed 1 --stop-when-solved
Time:     about half a minute on 2 CPUs with the defaults, 15 seconds with --preset masked-cartpole.
Output:   a run folder (config.json, metrics.jsonl, summary.json, checkpoint.pt, wandb/) and its summary on screen.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from experiments.lab.defaults import given_defaults
from rl.algorithms import read_by
from rl.config import Config
from rl.config_rules import option
from rl.loop import NO_OVERRIDES
from rl.presets import PRESETS
from rl.record.paths import require_makeable

if TYPE_CHECKING:
    from rl.running.run import Run

MOST_ORDERED = 8  # workers up to which a group adds up in order by default
OTHERS_SECONDS = 10.0  # within which torchrun ends the other processes


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    config: Config = field(default_factory=Config)
    preset: Literal["none", *PRESETS] = "none"
    """Defaults for a purpose. Options that are given override them, and --help with a preset shows them.
    masked-cartpole: a2c tuned on CartPole without velocities, and on top of it: fast: soonest to solved, in seconds;
    throughput: most env steps a second; frugal: fewest env steps to solved.
    pong: ppo for Atari's Pong, one small picture at a time, by an LSTM.
    Systems of the book chapter, on its network, CartPole and settings: reinforce: one update an episode;
    reinforce-baseline: the same with a learnt baseline; online: one-step actor-critic; monte-carlo: 7 workers, whole
    episodes; chapter5: 7 asynchronous workers, N = 10, bootstrapped; chapter5-sync: their gradients added up;
    chapter5-batched: one process with 7 environments; chapter5-two-networks: actor and critic share nothing;
    chapter5-lstm: with an LSTM in the place of the second layer."""
    resume: str = ""
    """Continue the run in this folder from its checkpoint, with its own options. Those that are given begin a new part
    of the run: a larger --total-env-steps trains a complete run for longer; one that stopped when solved needs
    --no-stop-when-solved too. rl/running/changes.py has those that may change."""
    warm_restart: bool = False
    """With --resume: raise the learning rate to its first value, and anneal it from here to the end (a warm restart).
    Without it the rate goes on where its line to the new end says."""


def defaults() -> Command:
    """The values of options that are not given: those of algorithm, environment and preset on the command line.

    Raises:
        ValueError: it names an algorithm or a preset more than once.
    """
    from experiments.lab.command_line import given

    if folders := given("--resume"):
        if not folders[-1]:
            raise ValueError("--resume '': the folder of a run is needed")
        return Command(config=resumed_config(folders[-1]), resume=folders[-1])
    return Command(config=Config(**given_defaults(PRESETS)))


def keeps_its_options(folder: str) -> bool:
    """Whether the command line resumes a run and gives no other option."""
    return sys.argv[1:] in (["--resume", folder], [f"--resume={folder}"])


def resumed_config(folder: str) -> Config:
    """The options of a run that is to be resumed; the defaults where the command line has no others to compare.

    Raises:
        ValueError: there is no readable checkpoint, or --preset is given.
    """
    from experiments.lab.command_line import given

    if given("--preset"):
        raise ValueError(f"--preset {given('--preset')[0]}: a resumed run keeps its own options, leave it out")
    if keeps_its_options(folder):
        return Config()
    from rl.running.resume import config_of

    return config_of(folder)


def refuse_unread(config: Config, default: Config) -> None:
    """Refuse an option that the algorithm would not read.

    Raises:
        ValueError: names the first one that is given.
    """
    for name, value in vars(config).items():
        algorithms = read_by(name)
        if config.algorithm not in algorithms and value != getattr(default, name):
            raise ValueError(
                f"{option(name)} {value}: --algorithm {config.algorithm} does not read "
                f"it, {' or '.join(algorithms)} is needed, or leave it out"
            )


def group_size() -> int:
    """The number of workers that torchrun started; 0 where it did not start this process."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 0


def restarts() -> bool:
    """Whether torchrun may restart the group. How often it did is unknown: it does not count a host that joins anew."""
    return os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0"


def in_group(command: Command, workers: int) -> Command:
    """The command as one of the workers reads it that torchrun started.

    Raises:
        ValueError: the options do not go with a group.
    """
    from experiments.lab.command_line import given

    config = command.config
    if command.resume:
        return command
    if config.mode != "sync":
        raise ValueError(f"--mode {config.mode}: under torchrun workers update together, sync is needed")
    if given("--workers") and config.workers != workers:
        raise ValueError(f"--workers {config.workers}: torchrun started {workers}, leave it out")
    if restarts() and not config.run_dir:
        raise ValueError("--run-dir '': where torchrun restarts a group, a folder to go on from is needed")
    reduce = config.reduce
    if reduce == "auto":
        reduce = "ordered" if workers <= MOST_ORDERED else "all_reduce"
    return replace(command, config=replace(config, workers=workers, reduce=reduce))


@contextlib.contextmanager
def one_speaks() -> Iterator[None]:
    """Where all processes of a host find an option wrong, let the first one say so; torchrun then ends the others."""
    try:
        yield
    except ValueError:
        time.sleep(OTHERS_SECONDS if int(os.environ.get("LOCAL_RANK", 0)) > 0 else 0)
        raise


def command() -> Command:
    """The command that the command line gives.

    Raises:
        ValueError: an option is wrong.
    """
    from experiments.lab.command_line import given, parse

    default, workers = defaults(), group_size()
    command = parse(Command, __doc__, default)
    if command.warm_restart and not command.resume:
        raise ValueError("--warm-restart True: it is read with --resume, leave it out")
    if not command.resume and command.config.run_dir:
        require_makeable("--run-dir", command.config.run_dir)
    refuse_unread(command.config, default.config)
    if given("--reduce") and not workers:
        raise ValueError(f"--reduce {command.config.reduce}: it is read under torchrun, leave it out")
    return in_group(command, workers) if workers else command


def changes(command: Command) -> dict[str, Any]:
    """The options that a run is resumed with; those that do not differ from its own change nothing."""
    from experiments.lab.command_line import given

    return vars(command.config) if given("--resume") and not keeps_its_options(command.resume) else {}


def run_of(command: Command, workers: int) -> "Run":
    """The run that a command begins or continues.

    Args:
        command: names a new run, or the folder of one to continue.
        workers: the size of the group; 0: there is no group.

    Raises:
        ValueError: the command cannot work.
    """
    import envs
    from rl.group.rank_0 import WORKERS_OF_GROUP
    from rl.running.run import new_run, resumed_run
    from rl.running.worker import OWN_WORKERS

    folder, config, come_from = command.resume, command.config, WORKERS_OF_GROUP if workers else OWN_WORKERS
    began = restarts() and (Path(config.run_dir) / "checkpoint.pt").exists()
    if not folder and not began:
        return new_run(config, envs.make_vector, workers=come_from)
    new = changes(command) if folder else {}
    run = resumed_run(folder or config.run_dir, envs.make_vector, NO_OVERRIDES, come_from, new, command.warm_restart)
    if workers and run.is_trained:
        raise ValueError(f"--resume {folder or config.run_dir}: nothing but evaluations is missing, without torchrun")
    was = run.setup.config
    differing = [name for name, value in vars(was).items() if value != getattr(config, name) and name != "run_dir"]
    if differing and not folder:
        name = differing[0]
        raise ValueError(
            f"--run-dir {config.run_dir}: its run has {option(name)} {getattr(was, name)}, not "
            f"{getattr(config, name)}; name another folder"
        )
    if workers and (was.mode, was.workers) != ("sync", workers):
        raise ValueError(
            f"--resume {folder}: a run of {was.workers} workers in mode {was.mode}, torchrun started "
            f"{workers} for mode sync"
        )
    return run


def main() -> None:
    """Parse the command line, train, print the summary, and exit with its exit code."""
    from experiments.lab.command_line import errors_in_one_line
    from experiments.lab.display import TrainingDisplay, show_summary, training_progress
    from experiments.lab.progress_lines import progress_lines

    with errors_in_one_line():
        with one_speaks():
            chosen, workers = command(), group_size()
        if chosen.resume or chosen.config.mode != "serial":
            from rl.running.server import start_server

            start_server()  # it imports torch while this process does
        from rl.record.exit_process import exit_process

        if workers:
            import envs
            from rl.group.other_rank import end_with_torchrun, run_other_rank

            end_with_torchrun()
            if os.environ["RANK"] != "0":
                exit_process(run_other_rank(envs.make_vector))
        run = run_of(chosen, workers)
        with training_progress() as progress:
            config = run.setup.config
            display = TrainingDisplay(progress, config.total_env_steps, f"{config.core_name} on {config.env_id}")
            if workers > MOST_ORDERED and config.reduce == "all_reduce":
                display.notify(f"--reduce all_reduce: more than {MOST_ORDERED} workers, equal to rounding")
            display.watch(run.setup.ledger)
            with progress_lines(display.line, display.notify):
                summary = run.execute(display.notify, display.row, display.evaluation)
        show_summary(run.folder.path, summary)
    exit_process(summary["exit_code"])


if __name__ == "__main__":
    main()
