"""The configurations that the benchmark measures: a preset, what makes it faster, and values along each axis."""

from dataclasses import asdict, replace
from typing import Any

from rl.config import Config
from rl.config_rules import option
from rl.presets import MASKED_CARTPOLE, SPEED

NETWORK = {"env": "MaskedVelocityCartPole-v1", "core": "lstm", "hidden_size": 64, "torso_size": 64}
BASE_NAME = "masked-cartpole"
BASE = Config(**MASKED_CARTPOLE | NETWORK, mode="async", wandb="offline")
AXES = {
    "envs_per_worker": [8, 32, 64, 128, 256],
    "hidden_size": [64, 128, 256],
    "segment_length": [8, 32, 128],
    "mode": ["async", "sync"],
    "unroll": ["recorded", "again"],
}
ENDLESS = {"total_env_steps": 100_000_000, "stop_when_solved": False}  # the benchmark stops such runs


def configurations() -> dict[str, Config]:
    """Return the base and each preset for speed, by name."""
    return {BASE_NAME: BASE, **{name: replace(BASE, **options) for name, options in SPEED.items()}}


def scaled(axes: dict[str, list[Any]]) -> dict[str, Config]:
    """Return the base, and every config that differs from it in one value of one axis, by name."""
    return {name_on(axis, v): replace(BASE, **{axis: v}) for axis, values in axes.items() for v in values}


def name_on(axis: str, value: Any) -> str:
    """Name the config with this value on an axis; the base's value has the same name on all axes."""
    return BASE_NAME if value == getattr(BASE, axis) else f"{option(axis)} {value}"


def differing(config: Config) -> dict[str, Any]:
    """Return the options in which a config differs from the base."""
    return {name: value for name, value in asdict(config).items() if value != getattr(BASE, name)}
