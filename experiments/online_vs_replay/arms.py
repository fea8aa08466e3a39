"""What is compared with what: tasks, arms, and the settings that tuning chose for each arm."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rl.config import Config

RESULTS = Path(__file__).parents[1] / "results" / "online_vs_replay"
Options = dict[str, Any]


class Task(NamedTuple):
    """An environment, how long it is trained on, and the returns that count as nothing and as all."""

    options: Options
    random: float  # return of random actions
    best: float
    reward_scale: float = 1.0  # Q-learning's; actor-critics on CartPole have half of it, see `config_of`
    full: str = ""  # the same environment with nothing hidden


CARTPOLE = {"total_env_steps": 500_000}
RECALL = {"total_env_steps": 300_000}
TASKS = {
    "CartPole": Task({"env": "CartPole-v1", **CARTPOLE}, 22.0, 500.0, 0.1),
    "masked": Task({"env": "MaskedVelocityCartPole-v1", **CARTPOLE}, 22.0, 500.0, 0.1, "CartPole-v1"),
    "flickering": Task({"env": "FlickeringCartPole-v1", **CARTPOLE}, 22.0, 500.0, 0.1, "CartPole-v1"),
    **{
        f"recall {delay}": Task({"env": "RecallCue-v0", "env_arg": (f"delay={delay}",), **RECALL}, 0.0, 1.0)
        for delay in (4, 24, 48)
    },
}
MORE_TASKS = {
    "noisy": Task({"env": "NoisyPositionCartPole-v1", **CARTPOLE}, 22.0, 500.0, 0.1, "CartPole-v1"),
    **{
        f"repeat {delay}": Task({"env": "RepeatPrevious-v0", "env_arg": (f"delay={delay}",), **RECALL}, 0.0, 1.0)
        for delay in (4, 24, 48)
    },
}

SHARED: Options = {
    "mode": "serial",
    "workers": 1,
    "envs_per_worker": 32,
    "adam_beta2": 0.99,
    "eval_episodes": 100,
    "max_cpu_seconds": 60.0,
}
# The gradient reaches 32 steps back in all of them: segments of 32, or sequences of 32.
A2C: Options = {"algorithm": "a2c", "segment_length": 32}
Q_ONLINE: Options = {"algorithm": "q_online", "segment_length": 32}
Q_REPLAY: Options = {"algorithm": "q_replay", "segment_length": 8, "max_gradient_norm": 10.0}
A2C_REPLAY: Options = {"algorithm": "a2c_replay", "segment_length": 8}
WAYS = ("transitions", "zero", "zero_burn_in", "stored", "stored_burn_in", "episodes")


class Arm(NamedTuple):
    """A learner: its options, and which trials tune it."""

    options: Options
    trials: tuple[Options, ...]
    memory: bool = True
    sees_all: bool = False  # learns on the task's full environment, as the oracle
    only: tuple[str, ...] = ()  # tasks; () is all


# Eight settings each, the same for all arms of a family. Fewer environments, or smaller batches, are more updates.
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
# Whole episodes are drawn all alike: another small batch in the place of priorities.
EPISODE_TRIALS: tuple[Options, ...] = (*Q_REPLAY_TRIALS[:-1], {"learning_rate": 5e-4, "replay_batch": 8})
LSTM: Options = {"core": "lstm"}
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
}


def config_of(task: Task, arm: Arm, settings: Options) -> Config:
    """The config of an arm on a task, but for seed and folder.

    Twenty-five evaluations of 20 episodes. Transitions come in batches of eight times as many as sequences, since each
    is one step.
    """
    options = SHARED | task.options | arm.options
    q = options["algorithm"].startswith("q_")
    options["reward_scale"] = task.reward_scale * (0.5 if task.reward_scale < 1 and not q else 1.0)
    if arm.sees_all and task.full:
        options["env"] = task.full
    options |= settings
    if options.get("replay_way") == "transitions":
        options["replay_batch"] = 8 * options.get("replay_batch", Config.replay_batch)
    return evaluated(Config(**options), options["total_env_steps"])


def evaluated(config: Config, env_steps: int) -> Config:
    """A run of so many env steps, with 25 evaluations."""
    intervals = {"eval_interval": env_steps // 25, "log_interval": env_steps // 50, "checkpoint_interval": env_steps}
    return replace(config, total_env_steps=env_steps, **intervals)


def normalised(task: Task, returns: float) -> float:
    """0 for random actions, 1 for the best."""
    return (returns - task.random) / (task.best - task.random)


TUNING_TASKS = ("masked", "recall 24")
SIGHTED = ("CartPole",)  # of arms without memory and of the oracle: nothing else can be learnt without


def tuning_tasks(name: str, arm: Arm) -> tuple[str, ...]:
    """The tasks that an arm is tuned on."""
    if arm.memory:
        return TUNING_TASKS
    return ("masked",) if "frames" in name else SIGHTED


def chosen_arms(text: str) -> list[str]:
    """The arms that --arms names.

    Raises:
        ValueError: there is none of that name.
    """
    from experiments.lab.command_line import listed

    names = ",".join(ARMS)
    return listed(
        "--arms",
        names if text == "all" else text,
        lambda name: (name, ARMS[name])[0],
        f"all, or a list out of {names},",
    )


def tuned(name: str, rows: Iterable[dict[str, Any]]) -> int:
    """Number of the trial with the best mean normalised return in the second half of training; 0 without any row."""
    scores: dict[int, list[float]] = {}
    for row in rows:
        task, of, trial = row["arm"].split(" / ")
        if of == name:
            scores.setdefault(int(trial), []).append(normalised(TASKS[task], float(row["late_greedy"])))
    whole = max((len(found) for found in scores.values()), default=0)
    means = {trial: sum(found) / len(found) for trial, found in scores.items() if len(found) == whole}
    return max(means, key=lambda trial: (means[trial], -trial)) if means else 0


def settings_of(name: str, results: Path = RESULTS) -> Options:
    """What tuning chose for an arm."""
    from experiments.lab.learning_study import read_csv

    return ARMS[name].trials[tuned(name, read_csv(results / "tuning" / "runs.csv"))]
