"""A script that uses W&B itself and trains runs beside its own W&B run: python -m tests.support.wandb_runs FOLDER

With a second word, offline, it trains one offline run, stops it and resumes it."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import wandb

import envs
from experiments.replay_to_wandb import Command, replay
from rl.running.run import new_run, resumed_run
from tests.support.configs import cartpole_config
from tests.support.runs import SHORT

OPTIONS = {**SHORT, "wandb": "online", "checkpoint_interval": 160}  # ten rows of 40 env steps


def main(folder: Path) -> None:
    """Train, and print what there is to know of it as JSON."""
    known: dict[str, Any] = {"said": []}
    say = known["said"].append
    mine = wandb.init(mode="offline", project="theirs", name="mine", dir=folder)
    before = dict(os.environ), settings()

    def train(name: str, **options: Any) -> None:
        config = cartpole_config(**{**OPTIONS, "run_dir": str(folder / name), **options})
        new_run(config, envs.make_vector).execute(say)

    train("whole", wandb_group="of three")
    train("second", seed=2)
    stopped_and_resumed(folder / "stopped", say)
    replay(Command(folder / "whole", wandb="online", wandb_project="replayed"))
    known["same"] = (dict(os.environ), settings()) == before
    known["mine"] = wandb.run is mine
    mine.log({"x": 1})
    mine.finish()
    print(json.dumps(known))


def stopped_and_resumed(folder: Path, say: Any, **options: Any) -> None:
    """A run whose checkpoint is of 160 env steps where its record has come to 240, and its resumption."""
    run = new_run(cartpole_config(**{**OPTIONS, "run_dir": str(folder), **options}), envs.make_vector)

    def kill(row: dict[str, float]) -> None:
        if row["global_step"] == 200:
            shutil.copy(folder / "checkpoint.pt", folder.with_suffix(".pt"))
        if row["global_step"] == 240:
            run.outcome.note_signal(signal.SIGTERM)

    run.execute(say, kill)
    shutil.copy(folder.with_suffix(".pt"), folder / "checkpoint.pt")
    resumed_run(folder, envs.make_vector).execute(say)


def settings() -> dict[str, str]:
    """W&B's settings of this process."""
    return {name: repr(value) for name, value in dict(wandb.setup().settings).items()}


if __name__ == "__main__":
    if sys.argv[2:] == ["offline"]:
        stopped_and_resumed(Path(sys.argv[1]), print, wandb="offline")
    else:
        main(Path(sys.argv[1]))
