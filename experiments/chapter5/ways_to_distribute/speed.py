"""Measures the speed of each way at each cost of a step."""

import json
from pathlib import Path
from statistics import median

from experiments.chapter5.ways_to_distribute.command import Command
from experiments.chapter5.ways_to_distribute.ways import WAYS
from experiments.lab.digest import digest
from experiments.lab.records import mean_staleness
from experiments.lab.rows import FinishedRuns, Row, append_csv
from experiments.lab.runs import held
from experiments.lab.study import Arm, file_name, folder_of, train_arms, unfinished
from rl.config import Config

# Options of a run that measures speed. Its evaluation is short, since its environment may be expensive.
SPEED = {
    "total_env_steps": 100_000_000,
    "log_interval": 100_000,
    "checkpoint_interval": 100_000_000,
    "eval_episodes": 1,
    "wandb": "disabled",
}


def speed_configs(command: Command) -> dict[tuple[str, float, int], Config]:
    """A config for each measurement, by (arm, milliseconds, repetition); repetitions are interleaved: A B A B."""
    ways, costs = command.ways(), command.costs()
    limits = {"max_seconds": command.seconds, **SPEED}
    found = {}
    for repetition in range(1, command.repetitions + 1):
        for cost in costs:
            for way in ways:
                folder = command.runs_dir / "speed" / f"{file_name(way.name)}-{cost:g}ms-{repetition}"
                own = {"seed": command.first_seed + repetition - 1, "run_dir": str(folder)}
                found[way.name, cost, repetition] = way.config(cost, **limits, **own)
    return found


def speeds(command: Command) -> list[Row]:
    """Measure what has no row in speed.csv yet, and write each measurement's row as it ends.

    Returns:
        The command's own rows: arm, workers, compute_ms, repetition, digest, env_steps, seconds, sps (env steps a
        second), staleness (mean, in updates), startup_seconds.

    Raises:
        ValueError: speed.csv has a row of other options; nothing was measured.
        RunFailed: a run ended by a fault or a signal.
    """
    out = folder_of(command.out, command.runs_dir)
    done = FinishedRuns(out / "speed.csv", key_of, "arm, compute_ms and repetition (numbers) and digest")
    planned = {key: Arm(config) for key, config in speed_configs(command).items()}
    options = {key: {"digest": digest(*arm)} for key, arm in planned.items()}
    with held(out):
        missing = unfinished(done, planned, options.get, lambda key: f"{key[0]} at {key[1]:g} ms")
        train_arms(missing, 1, lambda key: append_csv(done.file, [speed_row(key, planned[key])]), out)
        rows = done.read()
    return [rows[key][-1] for key in planned]


def speed_row(key: tuple[str, float, int], arm: Arm) -> Row:
    """A finished measurement as a row of speed.csv."""
    name, cost, repetition = key
    summary = json.loads((Path(arm.config.run_dir) / "summary.json").read_text(encoding="utf-8"))
    return {
        "arm": name,
        "workers": arm.config.workers,
        "compute_ms": f"{cost:g}",
        "repetition": repetition,
        "digest": digest(*arm),
        "env_steps": summary["env_steps"],
        "seconds": round(summary["seconds"], 3),
        "sps": round(summary["sps"], 2),
        "staleness": round(mean_staleness(summary["staleness"]), 3),
        "startup_seconds": round(summary["startup_seconds"], 2),
    }


def key_of(row: Row) -> tuple[str, float, int]:
    """The arm, milliseconds and repetition of a row of speed.csv."""
    return row["arm"], float(row["compute_ms"]), int(row["repetition"])


def median_of(rows: list[Row], key: str) -> dict[tuple[str, float], float]:
    """The median over repetitions of a number of speed.csv, by (arm, milliseconds)."""
    found: dict[tuple[str, float], list[float]] = {}
    for row in rows:
        found.setdefault((row["arm"], float(row["compute_ms"])), []).append(float(row[key]))
    return {key: median(values) for key, values in found.items()}


def speed_table(rows: list[Row]) -> str:
    """A Markdown table of env steps a second, and of the mean age of gradients in updates, at each cost of a step."""
    sps, staleness = median_of(rows, "sps"), median_of(rows, "staleness")
    ways, costs = list(dict.fromkeys(arm for arm, _ in sps)), sorted({cost for _, cost in sps})
    titles = [f"env steps a second, {cost:g} ms" for cost in costs] + [f"staleness, {cost:g} ms" for cost in costs]
    lines = ["| | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]
    for arm in ways:
        ages = [f"{staleness[arm, cost]:.2f} ({staleness[arm, cost] / WAYS[arm].workers:.2f})" for cost in costs]
        ages = ages if WAYS[arm].mode == "async" else ["0"] * len(costs)
        lines.append(f"| {arm} | " + " | ".join([*(number(sps[arm, cost]) for cost in costs), *ages]) + " |")
    return "\n".join(lines)


def number(value: float) -> str:
    """A number with three digits or more: 0.0123, 1.23, 12.3, 1,234."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
