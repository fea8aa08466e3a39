"""The settings that were tried before one was chosen for all environments."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.lab.rows import Row
from experiments.lab.study import Arm
from experiments.popgym.arms import BETWEEN, config_of

FIRST_SEED = 101  # no reported run has it
IDS = ("RepeatPreviousMedium", "AutoencodeEasy", "CountRecallEasy")
ENV_STEPS = 3_000_000
CORES = ("gru", "rtu")
TRIALS: tuple[dict[str, Any], ...] = (
    {},
    {"learning_rate": 1e-3},
    {"learning_rate": 5e-3},
    {"entropy_coefficient": 0.03},
    {"envs_per_worker": 32},
    {"segment_length": 32},
)


def trial_arms() -> dict[str, Arm]:
    """Every trial on every environment, with the two cores that are trained everywhere."""
    return {
        f"{name}{BETWEEN}{core}{BETWEEN}{words(trial)}": Arm(config_of(name, core, ENV_STEPS, **trial))
        for name in IDS
        for core in CORES
        for trial in TRIALS
    }


def words(trial: dict[str, Any]) -> str:
    """What a trial changes."""
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in trial.items()) or "the setting"


def trials_page(rows: Sequence[Row]) -> str:
    """A Markdown table: the sampled return of each trial on each environment."""
    lines = ["| core | trial | " + " | ".join(IDS) + " | mean |", "|---|---|" + "---:|" * (len(IDS) + 1)]
    found = {tuple(row["arm"].split(BETWEEN)): float(row["sampled"]) for row in rows}
    for core in CORES:
        for trial in map(words, TRIALS):
            values = [found[name, core, trial] for name in IDS]
            cells = " | ".join(f"{value:.3f}" for value in (*values, np.mean(values)))
            lines.append(f"| {core} | {trial} | {cells} |")
    lines += ["", f"Sampled return after {ENV_STEPS:,} env steps, seed {FIRST_SEED}, 200 episodes of the package."]
    return "\n".join(lines)
