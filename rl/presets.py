"""Presets: named sets of fields of a Config, which take the place of its defaults."""

from typing import Any

# Advantage actor-critic tuned on CartPole without velocities; the presets for speed, and the book chapter's systems,
# begin with it.
MASKED_CARTPOLE: dict[str, Any] = {
    "algorithm": "a2c",
    "core": "lstm",
    "hidden_size": 64,
    "torso_size": 64,
    "workers": 2,
    "envs_per_worker": 32,
    "segment_length": 32,
    "total_env_steps": 1_500_000,
    "discount": 0.99,
    "gae_lambda": 0.95,
    "reward_scale": 0.05,
    "normalise_returns": False,
    "normalise_observations": False,
    "normalise_advantages": True,
    "value_coefficient": 0.5,
    "entropy_coefficient": 0.0,
    "learning_rate": 3e-3,
    "anneal_learning_rate": True,
    "adam_beta1": 0.9,
    "adam_beta2": 0.99,
    "adam_epsilon": 1e-5,
    "max_gradient_norm": 1.0,
}
SPEED: dict[str, dict[str, Any]] = {
    # Soonest to solved. Asynchrony is a momentum of its own (Mitliagkas et al. 2016), so little more is added to it.
    "fast": {**MASKED_CARTPOLE, "learning_rate": 4e-3, "adam_beta1": 0.3},
    # Most env steps a second: products large enough to outweigh what each call costs.
    "throughput": {
        **MASKED_CARTPOLE,
        "envs_per_worker": 256,
        "learning_rate": 4e-3,
        "adam_beta1": 0.3,
        "total_env_steps": 4_000_000,
    },
    # Fewest env steps to solved: many small updates, none of them from old parameters.
    "frugal": {**MASKED_CARTPOLE, "mode": "sync", "envs_per_worker": 8, "learning_rate": 2e-3, "adam_beta1": 0.8},
}

# The systems of Zai & Brown 2020, chapter 5: its network, environment and loss, as its text has them and not with the
# faults of its listings, which experiments/chapter5/printed.py has. Values pass through tanh, so returns must lie
# within ±1: where the listings divide them by their norm, rewards are weighted by 1 − γ here.
_CHAPTER = {
    **MASKED_CARTPOLE,
    "env": "FallPenaltyCartPole-v1",
    "observation_scale": "l2",
    "core": "mlp",
    "torso_size": 25,
    "hidden_size": 50,
    "activation": "relu",
    "initialisation": "torch",
    "value_hidden_size": 25,
    "bounded_values": True,
    "detach_critic": True,
    "mode": "async",
    "workers": 7,
    "envs_per_worker": 1,
    "segment_length": 10,
    "stop_at_episode_end": True,
    "total_env_steps": 70_000,
    "discount": 0.95,
    "returns": "n_step",
    "reward_scale": 0.05,
    "normalise_advantages": False,
    "loss_reduction": "sum",
    "value_coefficient": 0.1,
    "learning_rate": 1e-4,
    "anneal_learning_rate": False,
    "adam_beta2": 0.999,
    "adam_epsilon": 1e-8,
    "max_gradient_norm": 1e12,
    "log_interval": 1_000,
}
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
# One picture at a time, so that only the core can tell where the ball goes. The torso is conv, by the size of 42.
ATARI: dict[str, dict[str, Any]] = {
    "pong": {
        "algorithm": "ppo",
        "env": "ALE/Pong-v5",
        "env_arg": ("size=42", "repeat_action_probability=0.0", "noops=30"),
        "core": "lstm",
        "hidden_size": 128,
        "torso_size": 256,
        "activation": "relu",
        "mode": "sync",
        "workers": 2,
        "envs_per_worker": 8,
        "segment_length": 128,
        "total_env_steps": 2_500_000,
        "discount": 0.99,
        "gae_lambda": 0.95,
        "clip_rewards": True,
        "normalise_returns": False,
        "normalise_observations": False,
        "normalise_advantages": True,
        "epochs": 3,
        "minibatches": 4,
        "clip_range": 0.1,
        "value_coefficient": 0.5,
        "entropy_coefficient": 0.01,
        "learning_rate": 1e-3,
        "anneal_learning_rate": True,
        "max_gradient_norm": 0.5,
        "eval_episodes": 20,
    }
}
PRESETS = {"masked-cartpole": MASKED_CARTPOLE, **SPEED, **CHAPTER, **ATARI}
