"""The arms: which learners are compared, and the eight trials that tune each.

The name of an arm says its algorithm, its core and what else sets it apart. `gradient` carries the gradient over
segments beside the state. `8` has segments of 8 steps in the place of 32, in four times as many environments.
"""

from dataclasses import replace
from typing import NamedTuple

from experiments.online_vs_replay.tasks import Options, Task
from rl.config import Config
from rl.presets import MASKED_CARTPOLE

SHARED: Options = {
    "mode": "serial",
    "workers": 1,
    "envs_per_worker": 32,
    "adam_beta2": 0.99,
    "eval_episodes": 100,
    "max_cpu_seconds": 60.0,
}
# Segments and sequences have 32 steps, and the gradient of most arms reaches no further back.
A2C: Options = {"algorithm": "a2c", "segment_length": 32}
Q_ONLINE: Options = {"algorithm": "q_online", "segment_length": 32}
Q_REPLAY: Options = {"algorithm": "q_replay", "segment_length": 8, "max_gradient_norm": 10.0}
A2C_REPLAY: Options = {"algorithm": "a2c_replay", "segment_length": 8}
SHORT: Options = {"segment_length": 8, "envs_per_worker": 128}  # an update of as many steps
WAYS = ("transitions", "zero", "zero_burn_in", "stored", "stored_burn_in", "episodes")


class Arm(NamedTuple):
    """A learner: its options, and the trials that tune it."""

    options: Options
    trials: tuple[Options, ...]
    memory: bool = True
    sees_all: bool = False  # whether it learns on the task's full environment, as the oracle does
    only: tuple[str, ...] = ()  # tasks that it is trained on; () means all

    @property
    def replays(self) -> bool:
        """Whether it learns from a buffer."""
        return self.options["algorithm"].endswith("_replay")


# Each arm has eight trials, and all arms of a family have the same. Fewer environments and smaller batches make more
# updates.
ACTOR_CRITIC_TRIALS: tuple[Options, ...] = (
    {"learning_rate": 3e-3},
    {"learning_rate": 1e-3},
    {"learning_rate": 3e-3, "entropy_coefficient": 0.01},
    {"learning_rate": 3e-3, "gae_lambda": 1.0},
    {"learning_rate": 3e-3, "envs_per_worker": 16},
    {"learning_rate": 1e-3, "envs_per_worker": 16, "entropy_coefficient": 0.01},
    {"learning_rate": 2e-3, "envs_per_worker": 8},
    {"learning_rate": 1e-3, "envs_per_worker": 8, "entropy_coefficient": 0.003},
)
SHORT_TRIALS = tuple(
    trial | ({"envs_per_worker": 4 * trial["envs_per_worker"]} if "envs_per_worker" in trial else {})
    for trial in ACTOR_CRITIC_TRIALS
)
REPLAYED_ACTOR_CRITIC_TRIALS: tuple[Options, ...] = (
    {"learning_rate": 1e-3, "replay_capacity": 10_000, "replay_ratio": 1.0},
    {"learning_rate": 1e-3, "replay_capacity": 10_000},
    {"learning_rate": 5e-4, "replay_capacity": 10_000, "entropy_coefficient": 0.003},
    {"learning_rate": 2e-4, "replay_capacity": 10_000, "entropy_coefficient": 0.003},
    {"learning_rate": 5e-4, "replay_capacity": 10_000, "entropy_coefficient": 0.003, "replay_batch": 16},
    {"learning_rate": 2e-4, "replay_capacity": 10_000, "entropy_coefficient": 0.003, "replay_ratio": 4.0},
    {"learning_rate": 5e-4, "replay_capacity": 30_000, "entropy_coefficient": 0.01},
    {"learning_rate": 5e-4, "replay_capacity": 5_000, "replay_warm_up": 4_000, "entropy_coefficient": 0.003},
)
_SMALL: Options = {"envs_per_worker": 8}  # four times as many updates
Q_ONLINE_TRIALS: tuple[Options, ...] = (
    {"learning_rate": 2e-3, "gae_lambda": 0.5, **_SMALL},
    {"learning_rate": 1e-3, "gae_lambda": 0.9, "segment_length": 8, "envs_per_worker": 16, "epsilon_first": 0.5},
    {"learning_rate": 2e-3, "gae_lambda": 0.65, "segment_length": 16, "envs_per_worker": 16},
    {"learning_rate": 3e-3, "gae_lambda": 0.3, **_SMALL},
    {"learning_rate": 1e-3, "gae_lambda": 0.5, **_SMALL},
    {"learning_rate": 2e-3, "gae_lambda": 0.5, "envs_per_worker": 16},
    {"learning_rate": 2e-3, "gae_lambda": 0.8, **_SMALL},
    {"learning_rate": 2e-3, "gae_lambda": 0.5, "epsilon_first": 0.5, **_SMALL},
)
Q_REPLAY_TRIALS: tuple[Options, ...] = (
    {"learning_rate": 1e-3},
    {"learning_rate": 2e-3},
    {"learning_rate": 5e-4, "replay_ratio": 4.0},
    {"learning_rate": 1e-3, "target_interval": 300},
    {"learning_rate": 1e-3, "target_interval": 30},
    {"learning_rate": 1e-3, "replay_batch": 16},
    {"learning_rate": 1e-3, "replay_capacity": 250_000, "epsilon_first": 0.1},
    {"learning_rate": 1e-3, "replay_batch": 16, "priority_exponent": 0.6, "importance_exponent": 0.4},
)
# Whole episodes are drawn without priorities, so their last trial has a smaller batch instead.
EPISODE_TRIALS: tuple[Options, ...] = (*Q_REPLAY_TRIALS[:-1], {"learning_rate": 5e-4, "replay_batch": 8})
LSTM: Options = {"core": "lstm"}
RTU: Options = {"core": "rtu"}
GRADIENT: Options = {"carry_gradient": True}
PAST_THE_HORIZON = ("recall 48",)  # its cue lies beyond the segments of all arms
ARMS = {
    "a2c mlp": Arm(A2C | {"core": "mlp"}, ACTOR_CRITIC_TRIALS, memory=False),
    "a2c mlp 2 frames": Arm(A2C | {"core": "mlp", "frame_stack": 2}, ACTOR_CRITIC_TRIALS, memory=False),
    "a2c mlp oracle": Arm(A2C | {"core": "mlp"}, ACTOR_CRITIC_TRIALS, False, True, ("masked", "flickering", "noisy")),
    "a2c gru": Arm(A2C | {"core": "gru"}, ACTOR_CRITIC_TRIALS),
    "a2c lstm": Arm(A2C | LSTM, ACTOR_CRITIC_TRIALS),
    "q mlp": Arm(Q_REPLAY | {"core": "mlp", "replay_way": "transitions"}, Q_REPLAY_TRIALS, memory=False),
    **{
        f"q lstm {way.replace('_', ' ')}": Arm(
            Q_REPLAY | LSTM | {"replay_way": way}, EPISODE_TRIALS if way == "episodes" else Q_REPLAY_TRIALS
        )
        for way in WAYS
    },
    "a2c lstm replay": Arm(A2C_REPLAY | LSTM, REPLAYED_ACTOR_CRITIC_TRIALS),
    "q lstm online": Arm(Q_ONLINE | LSTM, Q_ONLINE_TRIALS),
    "a2c rtu": Arm(A2C | RTU, ACTOR_CRITIC_TRIALS),
    "a2c rtu gradient": Arm(A2C | RTU | GRADIENT, ACTOR_CRITIC_TRIALS),
    "q rtu stored burn in": Arm(Q_REPLAY | RTU | {"replay_way": "stored_burn_in"}, Q_REPLAY_TRIALS),
    "q rtu episodes": Arm(Q_REPLAY | RTU | {"replay_way": "episodes"}, EPISODE_TRIALS),
    **{
        f"a2c {name} 8": Arm(A2C | core | SHORT, SHORT_TRIALS, only=PAST_THE_HORIZON)
        for name, core in (("lstm", LSTM), ("rtu", RTU), ("rtu gradient", RTU | GRADIENT))
    },
}


def config_of(task: Task, arm: Arm, settings: Options) -> Config:
    """Make the config of an arm on a task; its caller sets the seed and the folder.

    A batch has eight times as many transitions as sequences, since a transition is one step.
    """
    options = SHARED | task.options | arm.options
    q = options["algorithm"].startswith("q_")
    options["reward_scale"] = task.reward_scale * (0.5 if task.reward_scale < 1 and not q else 1.0)
    if arm.sees_all and task.full:
        options["env"] = task.full
    options |= settings
    if options.get("replay_way") == "transitions":
        options["replay_batch"] = 8 * options.get("replay_batch", Config.replay_batch)
    return evaluated(Config(**MASKED_CARTPOLE | options), options["total_env_steps"])


def evaluated(config: Config, env_steps: int) -> Config:
    """Set the env steps of a run, and intervals that give it 25 evaluations."""
    intervals = {"eval_interval": env_steps // 25, "log_interval": env_steps // 50, "checkpoint_interval": env_steps}
    return replace(config, total_env_steps=env_steps, **intervals)


def chosen_arms(text: str) -> list[str]:
    """List the arms that --arms names.

    Raises:
        ValueError: no arm has that name.
    """
    from experiments.lab.options import listed

    names = ",".join(ARMS)
    return listed(
        "--arms",
        names if text == "all" else text,
        lambda name: (name, ARMS[name])[0],
        f"all, or a list out of {names},",
    )
