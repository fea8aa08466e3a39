"""Which options of a run may change when it is resumed, and how a run is completed.

What may change decides how long and how fast a run learns, what is logged, and what a fault does. What may not change
decides what is learnt: another environment, network, algorithm or division of the work is another run.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rl.config import Config
from rl.config_rules import option

_LENGTH = "total_env_steps max_seconds max_cpu_seconds stop_when_solved reward_threshold"
_OPTIMISER = "learning_rate anneal_learning_rate anneal_from adam_beta1 adam_beta2 adam_epsilon max_gradient_norm"
_LOSS = (
    "discount returns gae_lambda reward_scale clip_rewards normalise_advantages loss_reduction "
    "value_coefficient entropy_coefficient epsilon_first epsilon_last epochs clip_range target_kl unroll"
)
_REPLAY = "replay_warm_up replay_ratio target_steps target_interval double_q importance_exponent"
_RECORD = (
    "log_interval checkpoint_interval eval_interval interval_episodes eval_episodes eval_max_steps keep_best wandb "
    "wandb_project wandb_group wandb_name"
)
_FAULTS = "worker_timeout restart_workers"
MAY_CHANGE = frozenset(" ".join((_LENGTH, _OPTIMISER, _LOSS, _REPLAY, _RECORD, _FAULTS)).split())


def changed(config: Config, changes: Mapping[str, Any]) -> tuple[Config, dict[str, list[Any]]]:
    """The config of the next part of a run, and what differs in it, as [before, after] by name.

    Raises:
        ValueError: an option cannot change, or the new config cannot work.
    """
    differing = {name: [getattr(config, name), value] for name, value in changes.items()}
    differing = {name: values for name, values in differing.items() if values[0] != values[1]}
    for name, (before, after) in differing.items():
        if name not in MAY_CHANGE:
            raise ValueError(f"{option(name)} {shown(after)}: a run keeps it, {shown(before)} here; start a new run")
    return replace(config, **{name: after for name, (_, after) in differing.items()}), differing


def in_words(differing: Mapping[str, list[Any]]) -> str:
    """What differs, as on the command line."""
    return ", ".join(
        f"{option(name)} {shown(after)} (was {shown(before)})" for name, (before, after) in differing.items()
    )


def shown(value: Any) -> str:
    """A value as in a sentence."""
    return repr(value) if value in ("", ()) else str(value)


def annealing(was: Config, config: Config, env_steps: int) -> str:
    """What becomes of the learning rate where a part of a run goes on; empty where it goes on as before."""
    before, now = was.learning_rate_at(env_steps), config.learning_rate_at(env_steps)
    ends = ["total_env_steps", "anneal_from", "anneal_learning_rate", "learning_rate"]
    if all(getattr(was, name) == getattr(config, name) for name in ends):
        return ""
    goes = f"falls to 0 at {config.total_env_steps} env steps" if config.anneal_learning_rate else "stays there"
    return f"the learning rate was {before:.3g}; it goes on at {now:.3g} and {goes}"


def ended_by(config: Config, state: Mapping[str, Any]) -> str:
    """What a run has trained for long enough, with the option that trains it for longer; empty where it has not."""
    [cpu_seconds] = state["ledger"]["arrays"].get("cpu_seconds", [0.0])  # older checkpoints have none
    if state["ledger"].get("pending"):
        return ""
    if config.stop_when_solved and state["ledger"]["solved"]:
        return (
            "it stopped because it was solved; --no-stop-when-solved trains it on, "
            f"to --total-env-steps {config.total_env_steps}"
        )
    if state["env_steps"] >= config.total_env_steps:
        return "a larger --total-env-steps trains it for longer"
    for name, spent in (("max_seconds", state["ledger"]["seconds"]), ("max_cpu_seconds", cpu_seconds)):
        if 0 < getattr(config, name) <= spent:
            return f"a larger {option(name)} trains it for longer"
    return ""
