"""The arms: each environment of POPGym with each core, all with one setting."""

from typing import Any, NamedTuple

from envs.popgym.table import POPGYM, fast_id
from experiments.lab.study import Arm
from rl.config import Config

BETWEEN = " / "  # an arm is "environment / core"
IDS = tuple(name for name, *_ in POPGYM)
EASY = tuple(name for name in IDS if name.endswith("Easy"))
QUICK = ("RepeatFirstEasy", "RepeatPreviousEasy", "HigherLowerEasy", "PositionOnlyCartPoleEasy")
EPOCH = 65_536  # env steps of the paper's epochs, over each of which a mean return is taken
ENV_STEPS = 15_000_000


class Core(NamedTuple):
    """What an arm has of its own."""

    title: str
    options: dict[str, Any]
    everywhere: bool  # on all environments; else on the Easy ones


# A gradient that is carried needs no long segments; the others learn nothing that lies further back than one.
CARRIED = {"carry_gradient": True, "torso_layers": 0, "hidden_size": 128, "segment_length": 16}
CUT = {"torso_layers": 1, "torso_size": 64, "hidden_size": 128, "segment_length": 64}
CORES = {
    "mlp": Core("mlp", {"core": "mlp", **CUT}, everywhere=False),
    "gru": Core("gru", {"core": "gru", **CUT}, everywhere=True),
    "lstm": Core("lstm", {"core": "lstm", **CUT}, everywhere=False),
    "rtu": Core("rtu, gradient carried", {"core": "rtu", **CARRIED}, everywhere=True),
    "mingru": Core("minGRU, gradient carried", {"core": "mingru", **CARRIED}, everywhere=False),
}
# One setting for all environments and cores. What the paper's agents see is here too, but for its flag of an episode's
# first step: there the core's state is zero, and so is the previous action.
SETTING: dict[str, Any] = {
    "algorithm": "a2c",
    "mode": "serial",
    "workers": 1,
    "envs_per_worker": 64,
    "previous_action": True,
    "discount": 0.99,
    "learning_rate": 2e-3,
    "entropy_coefficient": 0.01,
    "longest_memory": 64,
    "eval_episodes": 1,
}


def config_of(name: str, core: str, env_steps: int = ENV_STEPS, **options: Any) -> Config:
    """The config of an arm's runs."""
    return Config(
        **{
            "env": fast_id(name),
            "total_env_steps": env_steps,
            "log_interval": EPOCH,
            "checkpoint_interval": env_steps,
            **SETTING,
            **CORES[core].options,
            **options,
        }
    )


def arms(ids: tuple[str, ...], cores: tuple[str, ...], env_steps: int = ENV_STEPS) -> dict[str, Arm]:
    """These environments with these cores, without what an arm leaves out; all Easy environments come first."""
    return {
        f"{name}{BETWEEN}{core}": Arm(config_of(name, core, env_steps))
        for name in sorted(ids, key=lambda name: (name not in EASY, IDS.index(name)))
        for core in cores
        if CORES[core].everywhere or name in EASY
    }
