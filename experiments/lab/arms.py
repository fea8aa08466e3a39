"""Groups runs into arms: what is compared with what."""

import json
import re
from collections.abc import Iterable

from experiments.lab.records import Record
from rl.names import CORES

# These arms keep their colour in every figure. It is Okabe and Ito's palette without its yellow, which colour-blind
# readers can tell apart.
COLOURS = {
    "mlp": "#D55E00",
    "rnn": "#56B4E9",
    "gru": "#009E73",
    "lstm": "#0072B2",
    "mlp 2 frames": "#E69F00",
    "gru zeroed": "#000000",
    "lstm zeroed": "#CC79A7",
}
SPARE_COLOURS = ("#56B4E9", "#8C6D46", "#7F7F7F")

# Options in which runs of one arm may differ: the grouping itself tells those of the first line apart, and the others
# choose what is recorded, not what is learnt.
NOT_AN_ARM = {
    *("seed", "env", "env_arg", "core", "frame_stack", "carry_state", "algorithm", "replay_way"),
    *("log_interval", "log_info", "checkpoint_interval", "eval_episodes", "run_dir"),
    *("wandb", "wandb_project", "wandb_name", "wandb_group"),
    "resumed_at_env_steps",
}

Arms = dict[tuple[str, str], list[Record]]  # (environment with its arguments, name of the arm) -> its runs


def arms_of(runs: Iterable[Record]) -> Arms:
    """Groups runs by environment and arm, whose name is the core's and what differs.

    The class names a core of `module:Class`. `mlp 2 frames` stacks frames, `lstm zeroed` does not carry its state, and
    `lstm q_replay stored` learns by another algorithm than a2c, with its way of replay. Where runs of one name differ
    in any other option, the name gets that option, so different experiments are never averaged. Arms are in the order
    of cores and of numbers: 8 before 16.

    Raises:
        ValueError: one arm has a seed twice, which would make its interval too short.
    """
    by_name: Arms = {}
    for run in sorted(runs, key=_order):
        by_name.setdefault((_task(run.config), _base_name(run.config)), []).append(run)
    arms: Arms = {}
    for (env, name), group in by_name.items():
        for options, run in _with_differing_options(group):
            arms.setdefault((env, ", ".join([name, *options])), []).append(run)
    for (_, name), group in arms.items():
        _refuse_twins(name, group)
    return arms


def _task(config: dict) -> str:
    name = config["env"].rpartition(":")[2]  # the module of `module:Id-v0` only registers it
    return " ".join([name, *config.get("env_arg", ())])


def _base_name(config: dict) -> str:
    frames = config.get("frame_stack", 1)
    zeroed = config.get("carry_state") is False and config["core"] != "mlp"  # an MLP has no state to zero
    algorithm, way = config.get("algorithm", "a2c"), config.get("replay_way", "").replace("_", " ")
    return " ".join(
        [
            config["core"].rpartition(":")[2],
            *([f"{frames} frames"] if frames > 1 else []),
            *(["zeroed"] if zeroed else []),
            *([algorithm] if algorithm != "a2c" else []),
            *([way] if algorithm.endswith("_replay") else []),
        ]
    )


def _order(run: Record) -> tuple:
    """Seeds are sorted too, so an interval does not depend on the order in which runs are given."""
    core = run.config["core"]
    place = list(CORES).index(core) if core in CORES else len(CORES)
    return by_number(_task(run.config)), place, by_number(_base_name(run.config)), run.config["seed"]


def by_number(text: str) -> list[str | float]:
    """A key that sorts texts by the numbers in them: `delay=8` before `delay=16`, 0.0003 before 0.01."""
    pieces = re.split(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)", text)  # every second one is a number
    return [float(piece) if place % 2 else piece for place, piece in enumerate(pieces)]


def _with_differing_options(group: list[Record]) -> list[tuple[list[str], Record]]:
    """Each run with `option value` for every option in which the runs of the group differ, sorted by them."""
    keys = sorted({key for run in group for key in run.config} - NOT_AN_ARM)
    differing = [key for key in keys if any(run.config.get(key) != group[0].config.get(key) for run in group)]
    named = [([f"{key} {json.dumps(run.config.get(key))}" for key in differing], run) for run in group]
    return sorted(named, key=lambda pair: [by_number(option) for option in pair[0]])


def _refuse_twins(name: str, group: list[Record]) -> None:
    by_seed: dict[int, Record] = {}
    for run in group:
        twin = by_seed.setdefault(run.config["seed"], run)
        if twin is not run:
            raise ValueError(f"{run.path} and {twin.path} are both {name}, seed {run.config['seed']}: give one of them")


def colours_of(names: list[str]) -> dict[str, str]:
    """The fixed colour of each known arm; the other arms share what is left, in their order."""
    taken = {COLOURS[name] for name in names if name in COLOURS}
    free = [colour for colour in dict.fromkeys((*SPARE_COLOURS, *COLOURS.values())) if colour not in taken]
    unknown = [name for name in names if name not in COLOURS]
    return {name: COLOURS[name] if name in COLOURS else free[unknown.index(name) % len(free)] for name in names}
