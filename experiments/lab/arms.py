"""Groups runs into arms: what is compared with what."""

import json
from collections.abc import Iterable

from experiments.lab.records import Run

CORES = ("mlp", "rnn", "gru", "lstm")  # the order in tables and figures

# Options in which runs of one arm may differ: those of the first line are told apart by the grouping itself, the others
# choose what is recorded, not what is learnt.
NOT_AN_ARM = {
    *("seed", "env", "env_arg", "core", "frame_stack", "carry_state", "algorithm", "replay_way"),
    *("log_interval", "checkpoint_interval", "eval_episodes", "run_dir", "wandb", "wandb_project", "wandb_group"),
    "resumed_at_env_steps",
}

Arms = dict[tuple[str, str], list[Run]]  # (environment with its arguments, name of the arm) -> its runs


def arms_of(runs: Iterable[Run]) -> Arms:
    """Groups runs by environment and arm: the core's name, plus what differs.

    `mlp 2 frames` stacks frames, `lstm zeroed` does not carry its state, `lstm q_replay stored` is of another algorithm
    than a2c, with its way of replay; any other option of the configuration in which
    runs would otherwise share a name is added to it, so that different experiments are never averaged.
    Raises ValueError when one arm has a seed twice, which would make its interval too short.
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
    name = config["env"].rpartition(":")[2]  # `module:Id-v0` only says who registers it
    return " ".join([name, *config.get("env_arg", ())])


def _base_name(config: dict) -> str:
    frames = config.get("frame_stack", 1)
    zeroed = config.get("carry_state") is False and config["core"] != "mlp"  # an MLP has no state to zero
    algorithm, way = config.get("algorithm", "a2c"), config.get("replay_way", "").replace("_", " ")
    return " ".join(
        [
            config["core"],
            *([f"{frames} frames"] if frames > 1 else []),
            *(["zeroed"] if zeroed else []),
            *([algorithm] if algorithm != "a2c" else []),
            *([way] if algorithm.endswith("_replay") else []),
        ]
    )


def _order(run: Run) -> tuple:
    """Seeds are sorted too, so that an interval does not depend on the order in which runs are given."""
    core = run.config["core"]
    place = CORES.index(core) if core in CORES else len(CORES)
    return _task(run.config), place, _base_name(run.config), run.config["seed"]


def _with_differing_options(group: list[Run]) -> list[tuple[list[str], Run]]:
    """Each run with `option value` for every option in which the group is not of one mind, sorted by them."""
    keys = sorted({key for run in group for key in run.config} - NOT_AN_ARM)
    differing = [key for key in keys if any(run.config.get(key) != group[0].config.get(key) for run in group)]
    named = [([f"{key} {json.dumps(run.config.get(key))}" for key in differing], run) for run in group]
    return sorted(named, key=lambda pair: [option.rjust(80) for option in pair[0]])  # so that 8 comes before 16


def _refuse_twins(name: str, group: list[Run]) -> None:
    by_seed: dict[int, Run] = {}
    for run in group:
        twin = by_seed.setdefault(run.config["seed"], run)
        if twin is not run:
            raise ValueError(f"{run.path} and {twin.path} are both {name}, seed {run.config['seed']}: give one of them")
