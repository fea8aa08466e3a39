"""Rebuild a W&B run from the record in its folder.

Question: how does a run get into W&B that was logged without it, or whose W&B run was cut off?
Command:  python -m experiments.replay_to_wandb runs/lstm-MaskedVelocityCartPole-v1-s1
Time:     about 5 seconds.
Output:   a new W&B run with the same config, name, group and history, or the rest of the run's own with --missing;
          offline runs are in --out or the run folder.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, with config.json; also of a run that was killed or resumed."""
    wandb: Literal["auto", "online", "offline"] = "auto"
    """W&B mode of the new run. auto: as in experiments.train."""
    wandb_project: str = ""
    """W&B project; empty: the project of the run."""
    missing: bool = False
    """Go on in the W&B run of the run itself, with the rows that it lacks; else a new W&B run gets all of them."""
    out: Path | None = None
    """Folder in which wandb/ is written; None: the run folder."""


def main() -> None:
    """Parse the command line and send the record."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: replay(parse(Command, __doc__)))


def replay(command: Command) -> None:
    """Send every row of a record, and how the run ended, to a new W&B run.

    Raises:
        ValueError: the folder is not a run, or W&B failed.
    """
    import os

    from experiments.lab.records import read_record
    from rl.config import Config
    from rl.record.keys import STEP
    from rl.record.wandb_mirror import IDENTITY, WandbMirror

    found = read_record(command.run)
    if not (command.run / "config.json").is_file():
        raise ValueError(f"{command.run}: it is a W&B run already; a run folder with config.json is needed")
    if command.wandb == "auto" and os.environ.get("WANDB_MODE") == "disabled":
        raise ValueError("WANDB_MODE 'disabled': nothing would be sent, --wandb online or offline is needed")
    named = ("env", "core", "seed", "mode", "log_interval", "wandb_project", "wandb_name", "wandb_group")
    options = {name: found.config[name] for name in named if name in found.config}
    options |= {"wandb": command.wandb, "workers": 1}
    options |= {"wandb_project": command.wandb_project} if command.wandb_project else {}
    folder = command.out or Path(os.environ.get("WANDB_DIR") or command.run)
    rows = {row[STEP]: row for row in found.rows if STEP in row}
    folder.mkdir(parents=True, exist_ok=True)
    messages: list[str] = []
    description = {"config": found.config}
    if command.missing:
        if not (command.run / IDENTITY).is_file():
            raise ValueError(f"{command.run}: its W&B run is not known, it has no {IDENTITY}; leave --missing out")
        description |= {"resumed_at_env_steps": 0}  # the mirror asks W&B how far it has come
    mirror = WandbMirror(command.run, Config(**options), description, messages.append, folder=folder, replay=True)
    for row in rows.values():
        mirror.put(row)
    mirror.close({"exit_code": 1} | found.summary)
    if any("stopped" in line or "left behind" in line or "not installed" in line for line in messages):
        raise ValueError(f"{command.run}: {' '.join(messages)}")
    print("\n".join([*messages, f"{len(rows)} rows of {command.run} are in {folder / 'wandb'}"]))


if __name__ == "__main__":
    main()
