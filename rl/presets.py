"""Presets: named sets of the fields of a Config that differ from the default, and what algorithms have as defaults."""

from typing import Any

# What holds where the command line says nothing beside --algorithm: near the settings, tuned in one process, that
# reach 475 on the masked CartPole within 500,000 env steps and may fall back (experiments/online_vs_replay).
_REPLAY = {"envs_per_worker": 16, "segment_length": 8, "total_env_steps": 500_000}
ALGORITHMS: dict[str, dict[str, Any]] = {
    "a2c": {},
    "a2c_replay": {**_REPLAY, "learning_rate": 1e-3, "replay_capacity": 10_000, "replay_ratio": 1.0},
    "q_online": {
        "envs_per_worker": 8, "segment_length": 8, "total_env_steps": 500_000, "learning_rate": 1e-3,
        "gae_lambda": 0.9, "reward_scale": 0.1, "epsilon_first": 0.5,
    },
    "q_replay": {**_REPLAY, "learning_rate": 1e-3, "reward_scale": 0.1, "max_gradient_norm": 10.0},
}  # fmt: skip
# Options that only some algorithms read.
READ_BY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("normalise_advantages", "value_coefficient", "entropy_coefficient"), ("a2c", "a2c_replay")),
    **dict.fromkeys(("epsilon_first", "epsilon_last"), ("q_online", "q_replay")),
    **dict.fromkeys(("returns", "gae_lambda"), ("a2c", "a2c_replay", "q_online")),
    **dict.fromkeys(("target_steps", "target_interval", "double_q"), ("q_replay",)),
    **dict.fromkeys(("replay_capacity", "replay_warm_up", "replay_way", "replay_batch", "replay_ratio",
                     "sequence_length", "burn_in", "priority_exponent", "importance_exponent"),
                    ("a2c_replay", "q_replay")),
}  # fmt: skip
SPEED: dict[str, dict[str, Any]] = {
    # Soonest to solved. Asynchrony is a momentum of its own (Mitliagkas et al. 2016), so little more is added to it.
    "fast": {"learning_rate": 4e-3, "adam_beta1": 0.3},
    # Most env steps a second: products large enough to outweigh what each call costs.
    "throughput": {"envs_per_worker": 256, "learning_rate": 4e-3, "adam_beta1": 0.3, "total_env_steps": 4_000_000},
    # Fewest env steps to solved: many small updates, none of them from old parameters.
    "frugal": {"mode": "sync", "envs_per_worker": 8, "learning_rate": 2e-3, "adam_beta1": 0.8},
}

# The systems of Zai & Brown 2020, chapter 5: its network, environment and loss, as its text has them and not with the
# faults of its listings (experiments/printed.py has those). Values pass through tanh, so returns must lie within ±1:
# where the listings divide them by their norm, rewards are weighted by 1 − γ here.
_CHAPTER = {
    "env": "FallPenaltyCartPole-v1", "observation_scale": "l2", "core": "mlp", "torso_size": 25, "hidden_size": 50,
    "activation": "relu", "initialisation": "torch", "value_hidden_size": 25, "bounded_values": True,
    "detach_critic": True, "mode": "async", "workers": 7, "envs_per_worker": 1, "segment_length": 10,
    "stop_at_episode_end": True, "total_env_steps": 70_000, "discount": 0.95, "returns": "n_step",
    "reward_scale": 0.05, "normalise_advantages": False, "loss_reduction": "sum", "value_coefficient": 0.1,
    "learning_rate": 1e-4, "anneal_learning_rate": False, "adam_beta2": 0.999, "adam_epsilon": 1e-8,
    "max_gradient_norm": 1e12, "log_interval": 1_000,
}  # fmt: skip
_ALONE = {"mode": "serial", "workers": 1}
_REINFORCE = {**_CHAPTER, **_ALONE, "segment_length": 0, "bootstrap": False}
CHAPTER: dict[str, dict[str, Any]] = {
    "reinforce": {**_REINFORCE, "baseline": "none", "value_coefficient": 0.0},
    "reinforce-baseline": _REINFORCE,
    "online": {**_CHAPTER, **_ALONE, "segment_length": 1},
    "monte-carlo": {**_CHAPTER, "segment_length": 0},
    "chapter5": _CHAPTER,
    "chapter5-sync": {**_CHAPTER, "mode": "sync"},
    "chapter5-batched": {**_CHAPTER, **_ALONE, "envs_per_worker": 7, "stop_at_episode_end": False},
    "chapter5-two-networks": {**_CHAPTER, "detach_critic": False, "separate_critic": True},
    "chapter5-lstm": {**_CHAPTER, "core": "lstm"},
}
PRESETS = SPEED | CHAPTER
