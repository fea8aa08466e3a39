"""Algorithms: one record each, the only place that knows an algorithm by its name.

Importing this module imports no torch. A record names classes as `module:Class`; `rl.names.load` imports them.
"""

from typing import Any, NamedTuple


class Algorithm(NamedTuple):
    """What sets an algorithm apart from the others."""

    experience: str  # the class that turns segments into gradients
    policy: str  # the class that reads the heads while acting
    losses: tuple[str, ...]  # the numbers that are logged of an update
    options: frozenset[str] = frozenset()  # the options that it reads, of those that not every algorithm reads
    defaults: dict[str, Any] = {}  # noqa: RUF012  values that differ from a Config's own defaults
    box_defaults: dict[str, Any] = {}  # noqa: RUF012  and those that differ where actions are numbers
    has_q_values: bool = False  # the heads are read as action values
    replays: bool = False  # it learns from a buffer
    several_updates: bool = False  # a segment may make more than one update, or none


_SOFTMAX, _EPSILON_GREEDY = "rl.acting.policies:Softmax", "rl.acting.policies:EpsilonGreedy"
_ACTOR_CRITIC_LOSSES = ("policy_loss", "value_loss", "entropy", "explained_variance")
_PPO_LOSSES = (*_ACTOR_CRITIC_LOSSES, "approx_kl", "clip_fraction", "stale_state_kl")
_Q_LOSSES = ("td_loss", "q_values", "explained_variance")
_ACTOR_CRITIC = frozenset({"normalise_advantages", "value_coefficient", "entropy_coefficient"})
_MINIBATCHES = frozenset({"epochs", "minibatches", "clip_range", "target_kl"})
_EPSILON = frozenset({"epsilon_first", "epsilon_last"})
_RETURNS = frozenset({"returns", "gae_lambda"})
_TARGET = frozenset({"target_steps", "target_interval", "double_q"})
_DRAWN = {"replay_way", "replay_batch", "replay_ratio", "sequence_length", "burn_in"}
_BUFFER = frozenset({"replay_capacity", "replay_warm_up", "priority_exponent", "importance_exponent", *_DRAWN})
# The defaults of Config are those of ppo, for any task. Those of algorithms with a buffer or Q-values are near the
# settings, tuned in one process, with which each reaches 475 on the masked CartPole within 500,000 env steps; some fall
# back later (experiments/online_vs_replay).
_MASKED_CARTPOLE = {
    "reward_scale": 0.05,
    "normalise_returns": False,
    "normalise_observations": False,
    "segment_length": 8,
    "total_env_steps": 500_000,
}
ALGORITHMS: dict[str, Algorithm] = {
    "a2c": Algorithm(
        "rl.learning.actor_critic:ActorCritic",
        _SOFTMAX,
        _ACTOR_CRITIC_LOSSES,
        _ACTOR_CRITIC | _RETURNS | {"baseline"},
        {"envs_per_worker": 32, "segment_length": 32, "entropy_coefficient": 0.03},
    ),
    "a2c_replay": Algorithm(
        "rl.learning.replay.actor_critic:ReplayActorCritic",
        _SOFTMAX,
        (*_ACTOR_CRITIC_LOSSES, "state_age"),
        _ACTOR_CRITIC | _RETURNS | _BUFFER,
        {**_MASKED_CARTPOLE, "entropy_coefficient": 0.0, "replay_capacity": 10_000, "replay_ratio": 1.0},
        replays=True,
        several_updates=True,
    ),
    "ppo": Algorithm(
        "rl.learning.ppo:PPO",
        _SOFTMAX,
        _PPO_LOSSES,
        _ACTOR_CRITIC | _RETURNS | _MINIBATCHES,
        box_defaults={
            **{"entropy_coefficient": 0.0, "learning_rate": 5e-4},
            **{"segment_length": 256, "minibatches": 8},  # over 64 steps the critic learns too little of long returns
        },
        several_updates=True,
    ),
    "q_online": Algorithm(
        "rl.learning.q_learning:QLearning",
        _EPSILON_GREEDY,
        _Q_LOSSES,
        _EPSILON | _RETURNS,
        {**_MASKED_CARTPOLE, "envs_per_worker": 8, "gae_lambda": 0.9, "reward_scale": 0.1, "epsilon_first": 0.5},
        has_q_values=True,
    ),
    "q_replay": Algorithm(
        "rl.learning.replay.q_learning:ReplayQLearning",
        _EPSILON_GREEDY,
        (*_Q_LOSSES, "state_age"),
        _EPSILON | _TARGET | _BUFFER,
        {**_MASKED_CARTPOLE, "reward_scale": 0.1, "max_gradient_norm": 10.0},
        has_q_values=True,
        replays=True,
        several_updates=True,
    ),
}


def read_by(option: str) -> list[str]:
    """Names of the algorithms that read an option: all of them, where none claims it."""
    claiming = [name for name, algorithm in ALGORITHMS.items() if option in algorithm.options]
    return claiming or list(ALGORITHMS)
