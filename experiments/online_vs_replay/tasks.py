"""The tasks: environments, env steps to train on each, and the returns that count as 0 and as 1."""

from typing import Any, NamedTuple

Options = dict[str, Any]


class Task(NamedTuple):
    """An environment with its training length and its range of returns."""

    options: Options
    random: float  # return of random actions
    best: float
    reward_scale: float = 1.0  # for Q-learning; actor-critics on CartPole take half of it, see `config_of`
    full: str = ""  # id of the same environment with nothing hidden


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
ALL_TASKS = {**TASKS, **MORE_TASKS}


def normalised(task: Task, returns: float) -> float:
    """Scale a return so that random actions score 0 and the best policy scores 1."""
    return (returns - task.random) / (task.best - task.random)
