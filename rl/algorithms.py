"""Algorithms: what each logs, its defaults, and the options that only some of them read."""

from typing import Any

_ACTOR_CRITIC = ("policy_loss", "value_loss", "entropy", "explained_variance")
_Q_LEARNING = ("td_loss", "q_values", "explained_variance")
LOSSES = {  # what each algorithm logs of a loss
    "a2c": _ACTOR_CRITIC,
    "a2c_replay": (*_ACTOR_CRITIC, "state_age"),
    "q_online": _Q_LEARNING,
    "q_replay": (*_Q_LEARNING, "state_age"),
}


# What holds where the command line says nothing beside --algorithm: near the settings, tuned in one process, that
# reach 475 on the masked CartPole within 500,000 env steps and may fall back (experiments/online_vs_replay).
_REPLAY = {"envs_per_worker": 16, "segment_length": 8, "total_env_steps": 500_000}
ALGORITHMS: dict[str, dict[str, Any]] = {
    "a2c": {},
    "a2c_replay": {**_REPLAY, "learning_rate": 1e-3, "replay_capacity": 10_000, "replay_ratio": 1.0},
    "q_online": {
        "envs_per_worker": 8,
        "segment_length": 8,
        "total_env_steps": 500_000,
        "learning_rate": 1e-3,
        "gae_lambda": 0.9,
        "reward_scale": 0.1,
        "epsilon_first": 0.5,
    },
    "q_replay": {**_REPLAY, "learning_rate": 1e-3, "reward_scale": 0.1, "max_gradient_norm": 10.0},
}
# Options that only some algorithms read.
READ_BY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("normalise_advantages", "value_coefficient", "entropy_coefficient"), ("a2c", "a2c_replay")),
    **dict.fromkeys(("epsilon_first", "epsilon_last"), ("q_online", "q_replay")),
    **dict.fromkeys(("returns", "gae_lambda"), ("a2c", "a2c_replay", "q_online")),
    **dict.fromkeys(("target_steps", "target_interval", "double_q"), ("q_replay",)),
    **dict.fromkeys(
        (
            "replay_capacity",
            "replay_warm_up",
            "replay_way",
            "replay_batch",
            "replay_ratio",
            "sequence_length",
            "burn_in",
            "priority_exponent",
            "importance_exponent",
        ),
        ("a2c_replay", "q_replay"),
    ),
}
