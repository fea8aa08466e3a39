"""The tasks and the arms: what is carried across segments, by which core, at which length of a segment."""

from typing import NamedTuple

from experiments.lab.study import Arm
from rl.config import Config
from rl.names import DIAGONAL

LENGTHS = (1, 2, 4, 8, 16, 32)
ZEROED, STATE, GRADIENT = "zeroed", "state", "state and gradient"
CARRIED = {ZEROED: {"carry_state": False}, STATE: {}, GRADIENT: {"carry_gradient": True}}
CORES = ("rtu", "mingru", "lstm", "gru")
SHORT, LONG = 4, 64  # longest memory at first: shorter than every delay that is asked for, or longer than most
BETWEEN = " / "  # an arm is "task / core / what is carried / N = length"


class Task(NamedTuple):
    """An environment, the env steps of a run, the seeds that it gets, and how long units remember at first."""

    env: str
    env_steps: int
    env_arg: tuple[str, ...] = ()
    longest_memory: int = SHORT
    most_seeds: int = 5


def recall(delay: int, longest_memory: int) -> Task:
    """RecallCue with a delay."""
    return Task("RecallCue-v0", 300_000, (f"delay={delay}",), longest_memory)


TASKS = {
    "RepeatPreviousEasy": Task("popgym:popgym-RepeatPreviousEasy-v0", 1_000_000),
    "RepeatPreviousMedium": Task("popgym:popgym-RepeatPreviousMedium-v0", 2_000_000, longest_memory=LONG),
    **{f"RecallCue {delay}": recall(delay, SHORT) for delay in (8, 24, 48)},
    **{f"RecallCue {delay} long memory": recall(delay, LONG) for delay in (8, 24, 48)},
    "TMaze": Task("TMaze-v0", 500_000),
    "HalfCheetah positions": Task("MaskedVelocityHalfCheetah-v5", 1_000_000, longest_memory=LONG, most_seeds=3),
}
SHARED = {
    "algorithm": "a2c",
    "mode": "serial",
    "workers": 1,
    "envs_per_worker": 16,
    "entropy_coefficient": 0.01,
    "learning_rate": 5e-3,
    "eval_episodes": 100,
}


def arms() -> dict[str, Arm]:
    """Every task with every core, and every way and length that the core has."""
    return {
        arm_name(task, core, carried, length): Arm(config_of(task, core, carried, length))
        for task in TASKS
        for length in LENGTHS
        for core in CORES
        for carried in CARRIED
        if carried != GRADIENT or core in DIAGONAL
    }


def arm_name(task: str, core: str, carried: str, length: int) -> str:
    """The name of an arm."""
    return BETWEEN.join([task, core, carried, f"N = {length}"])


def config_of(task: str, core: str, carried: str, length: int) -> Config:
    """The config of an arm's runs."""
    env, env_steps, env_arg, longest_memory, _ = TASKS[task]
    return Config(
        env=env,
        env_arg=env_arg,
        total_env_steps=env_steps,
        log_interval=env_steps // 50,
        checkpoint_interval=env_steps,
        core=core,
        segment_length=length,
        longest_memory=longest_memory,
        **SHARED,
        **CARRIED[carried],
    )
