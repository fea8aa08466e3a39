"""Whole runs of a tiny agent, what their records say, and when two of them are the same."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

import envs
from rl.config_rules import option
from rl.loop import NO_OVERRIDES, Overrides
from rl.running.run import Run, new_run
from tests.support.configs import cartpole_config

ROOT = Path(__file__).parents[2]  # of the repository
TINY = {  # what the runs of all tests begin with
    "envs_per_worker": 4,
    "segment_length": 8,
    "hidden_size": 8,
    "torso_size": 8,
    "eval_episodes": 2,
    "wandb": "disabled",
}
SERIAL = {**TINY, "mode": "serial", "workers": 1}
SHORT = {  # 50 updates, a row of every fifth
    **SERIAL,
    "envs_per_worker": 2,
    "segment_length": 4,
    "total_env_steps": 400,
    "log_interval": 40,
}
TIMES = ("time/seconds", "time/cpu_seconds", "eval/cpu_seconds", "charts/SPS")


class Trained(NamedTuple):
    """A run that has ended without a fault."""

    run: Run
    summary: dict[str, Any]
    rows: list[dict[str, float]]  # without their times
    said: list[str]

    @property
    def learnt(self) -> Mapping[str, torch.Tensor]:
        """The vectors of its learner: parameters, and what Adam knows."""
        return self.run.setup.learner.vectors


def train(folder: Path, overrides: Overrides = NO_OVERRIDES, small: Mapping[str, Any] = SERIAL, **options) -> Trained:
    """Train in this process, with the workers of the mode, until the run is complete."""
    run = new_run(cartpole_config(**{**small, **options, "run_dir": str(folder)}), envs.make_vector, overrides)
    return finish(run)


def finish(run: Run, on_row: Callable[[dict[str, float]], None] = lambda _row: None) -> Trained:
    """Execute a run, new or resumed, that is to end with exit code 0."""
    said: list[str] = []
    summary = run.execute(said.append, on_row)
    assert summary["exit_code"] == 0, (summary["exit_reason"], said)
    return Trained(run, summary, untimed(run.setup.config.run_dir), said)


def read_rows(folder: str | Path) -> list[dict[str, float]]:
    """The record of a run, every line of which must be whole."""
    return [json.loads(line) for line in Path(folder, "metrics.jsonl").read_text().splitlines()]


def untimed(folder: str | Path) -> list[dict[str, float]]:
    """The record of a run without what tells the time."""
    return without_times(read_rows(folder))


def without_times(rows: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def words(options: Mapping[str, Any]) -> list[str]:
    """Options of a `cartpole_config` as the command line has them."""
    switches = {True: "--", False: "--no-"}
    return [
        "--preset=masked-cartpole",
        *(
            option(name).replace("--", switches[value]) if isinstance(value, bool) else f"{option(name)}={value}"
            for name, value in options.items()
        ),
    ]
