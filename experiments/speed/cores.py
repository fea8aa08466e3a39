"""Measure what each core costs, and what it costs to carry the gradient, by hidden and feature sizes.

Question: how much faster is a recurrence without a product of the state, and what do sensitivities cost?
Command:  python -m experiments.speed.cores
Time:     8 minutes on a CPU that does nothing else.
Output:   cores.json and cores.md in --out.

Each run trains CartPole without velocities by advantage actor-critic: one process, 32 environments, segments of 32
steps. Runs take turns, so a machine that drifts does so for all of them. Acting is what a run spends in env steps and
in stepping the network; the rest of its time is learning and the update.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.lab.options import at_least
from experiments.lab.tables import publish
from rl.config import Config
from rl.names import DIAGONAL

CORES: dict[str, Mapping[str, Any]] = {
    **{core: {"core": core} for core in ("mlp", "rnn", "gru", "lstm", *DIAGONAL)},
    **{f"{core}, gradient carried": {"core": core, "carry_gradient": True} for core in DIAGONAL},
}
SIZES = ((64, 64), (128, 64), (128, 128), (256, 128))  # hidden, feature; the first is that of the defaults
SHARED = {
    **{"env": "MaskedVelocityCartPole-v1", "algorithm": "a2c", "mode": "serial", "workers": 1, "wandb": "disabled"},
    **{"envs_per_worker": 32, "segment_length": 32, "normalise_observations": False, "normalise_returns": False},
}


@dataclass(frozen=True)
class Command:
    """The options of the command."""

    rounds: int = 3
    """How often each core is measured."""
    segments: int = 60
    """Segments of a measurement, after a sixth as many to warm up."""
    out: Path = Path("runs/cores")
    """Folder of the numbers and the page."""


def main() -> None:
    """Parse the command line, measure, write."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: run(parse(Command, __doc__)))


def run(command: Command) -> None:
    """Measure, then write numbers and page.

    Raises:
        ValueError: an option cannot work.
    """
    from experiments.speed.machine import describe

    at_least(1, rounds=command.rounds, segments=command.segments)
    rows = []
    for hidden, feature in SIZES:
        sizes = {"hidden_size": hidden, "torso_size": feature}
        named = {name: Config(**SHARED, **options, **sizes) for name, options in CORES.items()}
        found: dict[str, list[dict[str, float]]] = {name: [] for name in named}
        for _ in range(command.rounds):
            for name, config in named.items():
                found[name].append(measured(config, command.segments))
        for name, config in named.items():
            middle = {key: float(np.median([one[key] for one in found[name]])) for key in found[name][0]}
            size = {"core": name, "hidden": hidden, "feature": feature, "bytes": sensitivity_bytes(config)}
            rows.append(size | middle)
    command.out.mkdir(parents=True, exist_ok=True)
    numbers = {"machine": describe(), "rounds": command.rounds, "rows": rows}
    (command.out / "cores.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    publish(command.out, "cores", page(rows))


def measured(config: Config, segments: int) -> dict[str, float]:
    """Measure env steps a second over all of a worker's work, and over acting alone, in this process."""
    from experiments.speed.in_process import built_worker
    from rl.acting.denormals import denormals_as_zeros
    from rl.acting.threads import one_thread

    with one_thread(), denormals_as_zeros():
        learner, collector, experience = built_worker(config)
        acting = 0.0
        for k in range(-(segments // 6), segments):
            if k == 0:
                began, acting = time.perf_counter(), 0.0
            learner.pull(experience.flat)
            before = time.perf_counter()
            segment = collector.collect()
            acting += time.perf_counter() - before
            experience.add(segment)
            learner.push(experience.flat.gradient, segment.env_steps, experience.differentiate(), [], None)
        seconds = time.perf_counter() - began
    collector.environments.close()
    steps = segments * segment.env_steps
    return {"sps": steps / seconds, "acting_sps": steps / acting}


def sensitivity_bytes(config: Config) -> int:
    """Count the bytes that an environment's sensitivities take."""
    from envs.vector.make_vector import make_vector
    from rl.agent.build import agent_for

    environments = make_vector(config.env, 1)
    core = agent_for(config, environments).core
    environments.close()
    if not config.carry_gradient:
        return 0
    core.carries_gradient = True
    return core.initial_state(1)[1].nbytes


def page(rows: list[dict[str, Any]]) -> str:
    """Tabulate the rows."""
    lines = ["| hidden, feature | core | env steps/s | beside lstm | acting alone | bytes an environment |"]
    lines += ["|---|---|---:|---:|---:|---:|"]
    for row in rows:
        size = row["hidden"], row["feature"]
        lstm = next(one for one in rows if one["core"] == "lstm" and (one["hidden"], one["feature"]) == size)
        carried = f"{row['bytes']:,}" if row["bytes"] else ""
        speeds = f"{row['sps']:,.0f} | {row['sps'] / lstm['sps']:.2f} | {row['acting_sps']:,.0f}"
        lines.append(f"| {size[0]}, {size[1]} | {row['core']} | {speeds} | {carried} |")
    lines += ["", "Trained env steps a second of one process, medians over rounds. Acting alone: without learning."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
