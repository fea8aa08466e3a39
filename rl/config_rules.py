"""What a config must keep: each value in its range, and no two that contradict each other.

Each error is one line that names the option as the command line spells it, its value, and what would be right.
"""

import ast
import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

from rl.names import CORES, DIAGONAL, TORSOS, check_name

Config = Any  # rl.config.Config, which imports this module


def option(field: str) -> str:
    """The command-line spelling of a field: `run_dir` is `--run-dir`."""
    return "--" + field.replace("_", "-")


_MANY = 2**62
_RANGES: dict[str, tuple[float, float, str]] = {}  # least value, greatest value, in words
for _names, *_range in (
    (
        "frame_stack hidden_size core_layers longest_memory torso_size workers envs_per_worker total_env_steps "
        "log_interval checkpoint_interval eval_episodes interval_episodes eval_max_steps replay_capacity replay_batch "
        "sequence_length target_steps target_interval epochs minibatches",
        *(1, _MANY, "a whole number of at least 1"),
    ),
    (
        "torso_layers value_hidden_size segment_length seed burn_in replay_warm_up eval_interval restart_workers "
        "anneal_from",
        *(0, _MANY, "a whole number of at least 0"),
    ),
    ("discount gae_lambda priority_exponent importance_exponent", 0.0, 1.0, "a number from 0 to 1"),
    ("adam_beta1 adam_beta2", 0.0, 1.0 - 1e-12, "a number from 0 to below 1"),
    ("epsilon_first epsilon_last", 1e-9, 1.0, "a number above 0, up to 1"),
    ("action_std_init", 1e-6, 1e6, "a number from 1e-06 to 1000000"),
    (
        "value_coefficient entropy_coefficient target_kl max_seconds max_cpu_seconds",
        *(0.0, 1e12, "a number of at least 0"),
    ),
    ("reward_scale learning_rate adam_epsilon max_gradient_norm clip_range", 1e-300, 1e12, "a number above 0"),
    ("worker_timeout", 1.0, 1e12, "a number of at least 1"),
    ("replay_ratio", 1e-300, 1_000.0, "a number above 0, up to 1000"),
):
    _RANGES |= dict.fromkeys(_names.split(), tuple(_range))


def check(config: Config) -> None:
    """Reject a config that cannot work.

    Raises:
        ValueError: one line about the first option found wrong.
    """
    for field in dataclasses.fields(config):
        _check_value(field, getattr(config, field.name))
    check_name("--core", config.core, CORES)
    check_name("--torso", config.torso, TORSOS)
    if found := [letter for letter in "/\\#?%:" if letter in config.wandb_project]:
        raise ValueError(f"--wandb-project {config.wandb_project!r}: a name without {' '.join(found)} is needed")
    for name in ("log_info", "observe"):
        names = tuple(getattr(config, name).split(",")) if getattr(config, name) else ()
        if len(set(names)) < len(names) or not all(one.strip() == one != "" for one in names):
            raise ValueError(
                f"{option(name)} {getattr(config, name)!r}: names separated by commas, each once, are needed"
            )
    _check_processes(config)
    _check_loss(config)
    if config.carry_gradient:
        _check_carried_gradient(config)
    if config.replays:
        _check_replay(config)
    if "minibatches" in config.algorithm_record.options:
        _check_minibatches(config)
    config.env_args  # noqa: B018  parse now, so that a bad --env-arg is found before any process starts


def _check_value(field: dataclasses.Field, value: Any) -> None:
    """Reject a value of another type than its field's, or out of its range."""
    name = option(field.name)
    if field.type is str and not isinstance(value, str):
        raise ValueError(f"{name} {value!r}: text is needed")
    if field.name == "env_arg" and not (isinstance(value, tuple) and all(isinstance(one, str) for one in value)):
        raise ValueError(f"{name} {value!r}: a tuple of texts is needed")
    if field.type is bool and not isinstance(value, bool):
        raise ValueError(f"{name} {value!r}: True or False is needed")
    if field.type is int and (not isinstance(value, int) or isinstance(value, bool)):
        raise ValueError(f"{name} {value!r}: a whole number is needed")
    if field.type is float and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise ValueError(f"{name} {value!r}: a number is needed")
    if field.name == "reward_threshold" and value is not None and not _is_finite_number(value):
        raise ValueError(f"{name} {value!r}: a finite number is needed")
    choices = get_args(field.type) if get_origin(field.type) is Literal else ()
    if choices and value not in choices:
        raise ValueError(f"{name} {value!r}: one of {', '.join(choices)} is needed")
    low, high, meaning = _RANGES.get(field.name, (None, None, ""))
    if low is not None and not low <= value <= high:  # also refuses nan
        raise ValueError(f"{name} {value}: {meaning} is needed")


def _is_finite_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _check_processes(config: Config) -> None:
    """Reject contradictions between workers, environments, segments and the record."""
    if config.mode == "serial" and config.workers != 1:
        raise ValueError(f"--workers {config.workers}: --mode serial has no worker processes, it needs --workers 1")
    if config.restart_workers and config.mode != "async":
        raise ValueError(f"--restart-workers {config.restart_workers}: only async replaces workers, 0 is needed")
    if config.total_env_steps // config.log_interval > 1_000_000:
        needed = config.total_env_steps // 1_000_000 + 1
        raise ValueError(
            f"--log-interval {config.log_interval}: the record would exceed a million rows, at least {needed} is needed"
        )
    if config.stops_at_episode_end and config.envs_per_worker != 1:
        cause = "--stop-at-episode-end True" if config.stop_at_episode_end else "--segment-length 0"
        raise ValueError(
            f"--envs-per-worker {config.envs_per_worker}: {cause} ends segments with one environment's "
            "episode, 1 is needed"
        )
    if config.keep_best and not config.eval_interval:
        raise ValueError("--keep-best True: the best is found by evaluations in training, --eval-interval is needed")
    if 0 < config.eval_interval < config.log_interval:
        raise ValueError(
            f"--eval-interval {config.eval_interval}: evaluations stand in the rows of --log-interval, "
            f"at least {config.log_interval} is needed"
        )


def _check_loss(config: Config) -> None:
    """Reject contradictions between the algorithm, its targets and its critic."""
    updating = config.workers if config.mode == "sync" else 1  # workers of one update
    steps = (
        config.replay_batch * config.trained_rows if config.replays else config.segment_length * config.envs_per_worker
    )
    if config.normalise_advantages and not config.has_q_values and steps * updating == 1:
        raise ValueError(
            "--normalise-advantages True: an update of a single step has nothing to compare its "
            "advantage with, --no-normalise-advantages is needed"
        )
    if not config.bootstrap and config.returns != "n_step":
        raise ValueError(f"--returns {config.returns}: --no-bootstrap has no values to weigh, n_step is needed")
    if config.baseline == "none" and "baseline" not in config.algorithm_record.options:
        raise ValueError(f"--baseline none: it is an option of a2c, --algorithm {config.algorithm} needs value")
    if config.has_q_values:
        for name in ("separate_critic", "detach_critic", "bounded_values"):
            if getattr(config, name):
                raise ValueError(
                    f"{option(name)} True: --algorithm {config.algorithm} has no critic apart from its "
                    "action values, False is needed"
                )
    if config.bounded_values and config.normalise_returns:
        raise ValueError(
            "--normalise-returns True: --bounded-values keeps values within -1 and 1, which returns of deviation 1 "
            "are not, --no-normalise-returns is needed"
        )
    if config.separate_critic and config.detach_critic:
        raise ValueError("--detach-critic True: with --separate-critic nothing is shared, False is needed")


def _check_carried_gradient(config: Config) -> None:
    """Reject what the gradient cannot be carried through."""
    needed = ""
    if config.core not in DIAGONAL:
        needed = f"--core {config.core} mixes its units in every step, --core {' or '.join(DIAGONAL)} is needed"
    elif config.core_layers > 1:
        needed = f"--core-layers {config.core_layers} puts a core above a core, 1 is needed"
    elif config.separate_critic:
        needed = "--separate-critic has two cores, False is needed"
    elif config.replays:
        needed = f"--algorithm {config.algorithm} learns from old segments, one without a buffer is needed"
    elif not config.carry_state:
        needed = "--no-carry-state throws away what it is the gradient of; leave it out"
    if needed:
        raise ValueError(f"--carry-gradient True: {needed}")


def _check_minibatches(config: Config) -> None:
    """Reject segments that do not divide into minibatches."""
    if config.stops_at_episode_end:
        name, value = (
            ("--stop-at-episode-end True", "False") if config.segment_length else ("--segment-length 0", "at least 1")
        )
        raise ValueError(f"{name}: --algorithm {config.algorithm} learns from segments of N steps, {value} is needed")
    if config.envs_per_worker % config.minibatches:
        raise ValueError(
            f"--minibatches {config.minibatches}: a minibatch is whole columns of a segment, a number that divides "
            f"--envs-per-worker {config.envs_per_worker} is needed"
        )


def _check_replay(config: Config) -> None:
    """Reject what a replay buffer cannot do."""
    if config.stops_at_episode_end:
        name, value = (
            ("--stop-at-episode-end", "False") if config.segment_length else ("--segment-length", "at least 1")
        )
        given = True if config.segment_length else 0
        raise ValueError(f"{name} {given}: a replay buffer takes segments of N steps, {value} is needed")
    if not config.carry_state:
        raise ValueError("--no-carry-state: what a replayed sequence starts from is --replay-way; zero is near it")
    if not config.bootstrap:
        raise ValueError("--no-bootstrap: a replayed sequence ends anywhere, and goes on with a value; leave it out")
    if config.replay_way == "episodes" and config.priority_exponent:
        raise ValueError(
            f"--priority-exponent {config.priority_exponent}: whole episodes are drawn all alike, 0 is needed"
        )
    if config.importance_exponent and (not config.priority_exponent or not config.has_q_values):
        cause = "without --priority-exponent all weigh the same" if not config.priority_exponent else "V-trace has none"
        raise ValueError(f"--importance-exponent {config.importance_exponent}: {cause}, 0 is needed")
    if not config.has_q_values and config.replay_way == "transitions":
        raise ValueError("--replay-way transitions: V-trace corrects over sequences, one of the others is needed")
    if config.replay_rows < config.sequence_span:
        needed = -(-config.sequence_span // config.segment_length) * config.segment_length * config.total_environments
        raise ValueError(
            f"--replay-capacity {config.replay_capacity}: sequences of every environment take {needed} "
            "env steps, at least that is needed"
        )
    if not config.replay_warm_up <= config.replay_capacity:
        raise ValueError(
            f"--replay-warm-up {config.replay_warm_up}: at most --replay-capacity, {config.replay_capacity}, is needed"
        )


def parsed_arguments(entries: Sequence[str]) -> dict[str, Any]:
    """Keyword arguments of entries such as delay=8: Python literals, and anything else as a string.

    Raises:
        ValueError: an entry is not name=value, or names what another one named.
    """
    arguments: dict[str, Any] = {}
    for entry in entries:
        name, equals, text = entry.partition("=")
        if not equals or not name.isidentifier():
            raise ValueError(f"--env-arg {entry!r}: name=value is needed, as in --env-arg delay=8")
        if name in arguments:
            raise ValueError(f"--env-arg {entry!r}: {name} is given twice, one value is needed")
        try:
            arguments[name] = ast.literal_eval(text)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            arguments[name] = text
    return arguments
