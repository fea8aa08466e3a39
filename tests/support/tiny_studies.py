"""Studies of two tiny arms, and rows as studies leave them."""

import torch

from experiments.chapter5.length_results import length_result
from experiments.lab.study import Arm, Study, StudyCommand
from tests.support.configs import cartpole_config

TINY = {
    "env": "CartPole-v1",
    "core": "mlp",
    "hidden_size": 4,
    "torso_size": 4,
    "mode": "serial",
    "workers": 1,
    "envs_per_worker": 2,
    "segment_length": 4,
    "total_env_steps": 200,
    "log_interval": 40,
    "eval_episodes": 1,
}


ARMS = {"plain": Arm(cartpole_config(**TINY)), "N = 2": Arm(cartpole_config(**{**TINY, "segment_length": 2}))}


EVERY_RUN = [("plain", "1"), ("N = 2", "1"), ("plain", "2"), ("N = 2", "2")]  # in the order of training


FILES = ("runs.csv", "curves.csv")


def tiny_study(folder, systems=ARMS, **options):
    own = {"seeds": 2, "processes": 1, "runs_dir": folder / "runs", "out": folder / "out", "wandb": "disabled"}
    return Study("tiny", systems, StudyCommand(**{**own, **options}), length_result)


def contents(folder):
    return {name: (folder / "out" / name).read_bytes() for name in FILES}


def keys(rows):
    return [(row["arm"], row["seed"]) for row in rows]


def one_hundred(segment, _values, _config):
    """Targets of 100, whatever was earned."""
    return torch.full_like(segment.rewards, 100.0)


def row_of(arm, seed, final, **options):
    row = {"arm": arm, "seed": str(seed), "env_steps": "70000", "updates": "7001", "seconds": "1.25"}
    return {**row, "final_length": str(final), "greedy_length": "500.0", "sampled_length": "12.34", **options}
