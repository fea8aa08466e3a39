"""Train one agent and keep its record.

Question: does this network, trained by these workers, learn this environment?
Command:  python -m experiments.train --env MaskedVelocityCartPole-v1 --core lstm --seed 1 --stop-when-solved
Time:     about 15 seconds on 2 cores with the defaults.
Output:   a run folder (config.json, metrics.jsonl, summary.json, checkpoint.pt, wandb/) and its summary on screen.
"""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from rl.config import Config, option
from rl.presets import ALGORITHMS, PRESETS, READ_BY


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    config: Config = field(default_factory=Config)
    preset: Literal["none", *PRESETS] = "none"
    """Defaults for a purpose; every other option that is given overrides them, and --help beside it shows them.
    fast: soonest to solved, in seconds; throughput: most env steps a second; frugal: fewest env steps to solved.
    Systems of the book chapter, on its network, CartPole and settings: reinforce: one update an episode;
    reinforce-baseline: the same with a learnt baseline; online: one-step actor-critic; monte-carlo: 7 workers, whole
    episodes; chapter5: 7 asynchronous workers, N = 10, bootstrapped; chapter5-sync: their gradients added up;
    chapter5-batched: one process with 7 environments; chapter5-two-networks: actor and critic share nothing;
    chapter5-lstm: with an LSTM in the place of the second layer."""
    resume: str = ""
    """Go on with this run folder, with the run's own config, from its checkpoint; no other option goes with it."""


def defaults() -> Command:
    """What holds where the command line says nothing: the values of its algorithm and its preset, wherever they stand.

    Raises:
        ValueError: there is more than one of them.
    """
    from experiments.command_line import given

    options = {}
    for name, values in (("--algorithm", ALGORITHMS), ("--preset", {"none": {}, **PRESETS})):
        names = given(name)
        if len(names) > 1:
            needed = f"one of {', '.join(values)} is needed"
            raise ValueError(f"{name} {' '.join(map(repr, names))}: given {len(names)} times, {needed}")
        if names:
            options |= values.get(names[0], {})  # an unknown name is refused when it is parsed
    if given("--env-arg"):
        options.pop("env_arg", None)  # repeatable: what is given would be added to it
    return Command(config=Config(**options))


def refuse_unread(config: Config, default: Config) -> None:
    """Refuse an option that the algorithm would not read.

    Raises:
        ValueError: the first one given.
    """
    for name, algorithms in READ_BY.items():
        if config.algorithm not in algorithms and getattr(config, name) != getattr(default, name):
            raise ValueError(f"{option(name)} {getattr(config, name)}: --algorithm {config.algorithm} does not read "
                             f"it, {' or '.join(algorithms)} is needed, or leave it out")  # fmt: skip


def in_group(command: Command, workers: int) -> Command:
    """The command of a worker that torchrun started: --workers is theirs, and after a restart the run goes on.

    Raises:
        ValueError: the options do not go with a group.
    """
    config = command.config
    if config.mode != "sync":
        raise ValueError(f"--mode {config.mode}: under torchrun workers update together, sync is needed")
    if not config.run_dir and not command.resume and int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", 0)):
        raise ValueError("--run-dir '': where torchrun restarts a group, a folder to go on from is needed")
    restarted = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0
    if restarted and (Path(config.run_dir) / "checkpoint.pt").exists():
        return replace(command, resume=config.run_dir)
    return replace(command, config=replace(config, workers=workers))


def main() -> None:
    """Parse the command line, train, print the summary, and exit with its exit code."""
    from experiments.command_line import parse
    from experiments.display import TrainingDisplay, command_line, show_summary, training_progress

    with command_line():
        default = defaults()
        command = parse(Command, __doc__, default)
        if command.resume and command != Command(resume=command.resume):
            raise ValueError(f"--resume {command.resume}: a resumed run keeps its own config; give no other option")
        refuse_unread(command.config, default.config)

        import envs
        from rl.tracking import leave

        if workers := int(os.environ.get("WORLD_SIZE", 0)) if "TORCHELASTIC_RUN_ID" in os.environ else 0:
            command = in_group(command, workers)
            if os.environ["RANK"] != "0":
                from rl.group import run_member

                run_member(command.config, envs.make_vector)
                leave(0)
        from rl.train import new_run, resumed_run

        resumed, group = command.resume, workers > 0
        if resumed:
            run = resumed_run(resumed, envs.make_vector, in_group=group)
        else:
            run = new_run(command.config, envs.make_vector, in_group=group)
        with training_progress() as progress:
            display = TrainingDisplay(progress, run.config.total_env_steps, f"{run.config.core} on {run.config.env}")
            summary = run.execute(display.notify, display.row)
        show_summary(run.run_dir, summary)
    leave(summary["exit_code"])


if __name__ == "__main__":
    main()
