"""What a sweep is to do, and what became of its trials."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from experiments.lab.records import read_record
from experiments.sweep.space import Space, in_words
from rl.config import Config


class Plan(NamedTuple):
    """What a sweep is to do."""

    config: Config  # of all runs, before trial and seed
    space: Space
    seeds: Sequence[int]
    trials: int
    measure: str
    prune: bool
    processes: int  # trials side by side
    out: Path

    def run_config(self, settings: dict[str, Any], name: str, seed: int) -> Config:
        """The config of one run."""
        own = {"seed": seed, "run_dir": str(self.out / f"{name}-s{seed}"), "wandb_name": f"{name}-s{seed}"}
        group = self.config.wandb_group or f"sweep-{self.out.name}"
        return replace(self.config, **settings, **own, wandb_group=group)

    def identity(self) -> str:
        """All that decides what a trial is worth."""
        config = {
            name: value for name, value in asdict(self.config).items() if not name.startswith(("wandb", "run_dir"))
        }
        space = list(map(str, self.space))
        return json.dumps({"config": config, "space": space, "seeds": list(self.seeds), "measure": self.measure})


class Trial(NamedTuple):
    """What became of a trial."""

    number: int
    settings: dict[str, Any]
    scores: list[float]  # by seed, of those that were trained
    state: str  # complete, pruned, failed, repeated
    why: str = ""  # it failed

    @property
    def value(self) -> float:
        """The mean over seeds."""
        return sum(self.scores) / len(self.scores)


def score_of(config: Config, measure: str) -> float:
    """What a finished run is worth.

    Raises:
        ValueError: it has not what is measured.
    """
    record = read_record(config.run_dir)
    if measure == "curve":
        rows = [row for row in record.rows if row.get("charts/episodes")]
        episodes = sum(row["charts/episodes"] for row in rows)
        value = sum(row["charts/episodic_return"] * row["charts/episodes"] for row in rows) / episodes if rows else None
    else:
        value = record.summary.get(f"eval_{measure}")
    if value is None:
        raise ValueError(f"it has no {measure} returns")
    return float(value)


def line_of(trial: Trial) -> str:
    """What became of a trial, in one line."""
    what = f"{trial.value:.2f}" if trial.scores else "-"
    if trial.state == "pruned":
        what += f", pruned after {len(trial.scores)} seeds"
    if trial.state == "failed":
        what = f"failed: {trial.why}"
    return f"trial {trial.number} ({in_words(trial.settings)}): {what}"


def differing(known: dict[str, Any], asked: dict[str, Any]) -> str:
    """What differs between two identities, in words."""
    what = [name for name in ("space", "seeds", "measure") if known[name] != asked[name]]
    options = {*known["config"], *asked["config"]}
    what += [name for name in sorted(options) if known["config"].get(name) != asked["config"].get(name)]
    return ", ".join(what) or "options"


def side_by_side(config: Config) -> int:
    """How many runs the CPUs hold."""
    return max(1, len(os.sched_getaffinity(0)) // (config.workers if config.mode != "serial" else 1))
