"""Configs of tests: the settings of CartPole without velocities, which general defaults do not change."""

from rl.config import Config
from rl.presets import MASKED_CARTPOLE


def cartpole_config(**options) -> Config:
    """A Config with these options, and otherwise those of --preset masked-cartpole."""
    return Config(**(MASKED_CARTPOLE | options))
