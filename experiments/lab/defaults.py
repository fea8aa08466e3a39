"""The values of options that nobody gives: those of the algorithm, on the environment's kind of actions."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.lab.command_line import given
from rl.algorithms import ALGORITHMS
from rl.config import Config
from rl.config_rules import parsed_arguments


def defaults_of(algorithm: str = "", env: str = "", env_arg: Sequence[str] = ()) -> dict[str, Any]:
    """The options in which an algorithm's defaults differ from those of a Config.

    Args:
        algorithm: its name, "" for that of a Config; a wrong one has none.
        env: an environment, which is made to see whether its actions are numbers; "" for that of a Config.
        env_arg: its keyword arguments, as on the command line.
    """
    record = ALGORITHMS.get(algorithm or Config.algorithm)
    if record is None:
        return {}
    box = record.box_defaults and env and acts_by_numbers(env, env_arg)
    return record.defaults | (record.box_defaults if box else {})


def given_defaults(presets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The same for what the command line names: --algorithm, --env, --env-arg, and one of the presets by --preset.

    Raises:
        ValueError: it names an algorithm or a preset more than once.
    """
    for name, known in (("--algorithm", ALGORITHMS), ("--preset", ("none", *presets))):
        if len(names := given(name)) > 1:
            needed = f"one of {', '.join(known)} is needed"
            raise ValueError(f"{name} {' '.join(map(repr, names))}: given {len(names)} times, {needed}")
    algorithm, preset, env = ((given(name) or [None])[-1] or "" for name in ("--algorithm", "--preset", "--env"))
    if preset not in presets:  # an unknown name is refused when it is parsed
        return defaults_of(algorithm, env, [word or "" for word in given("--env-arg")])
    options = defaults_of(algorithm) | presets[preset]
    if given("--env-arg"):
        options.pop("env_arg", None)  # it is repeatable: given values would be added to it
    return options


def acts_by_numbers(env: str, env_arg: Sequence[str] = ()) -> bool:
    """Whether the actions of an environment are numbers (Box). False where it cannot be made; the run says why."""
    from gymnasium.spaces import Box

    import envs
    from rl.acting.started_processes import started_processes_ended

    with contextlib.suppress(Exception), started_processes_ended():
        vector = envs.make_vector(env, 1, env_args=parsed_arguments(tuple(env_arg)))
        vector.close()
        return isinstance(vector.single_action_space, Box)
    return False
