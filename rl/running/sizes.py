"""Whether a run fits into the machine, found out before anything is started.

What a run takes is estimated from below: vectors of parameters, segments and what acting keeps of them, replay buffers,
and the processes themselves.
"""

import math
import resource
from dataclasses import replace
from pathlib import Path

import gymnasium
import torch

from rl.agent.actions.make import make_actions
from rl.agent.build import make_torso
from rl.config import Config
from rl.config_rules import option
from rl.names import CORES, TORSOS

LARGE = [  # options that decide how much memory a run takes
    *("hidden_size", "torso_size", "value_hidden_size", "core_layers", "torso_layers", "replay_capacity"),
    *("segment_length", "envs_per_worker", "workers", "frame_stack"),
    *("replay_batch", "sequence_length", "burn_in", "target_steps"),
    *("eval_episodes", "interval_episodes"),
]
PROCESS = 60_000_000  # bytes of a worker that it shares with nobody, before it has an environment
STEP = 48  # bytes of a step beside its observations: action, reward, flags, value, noise
DESCRIPTORS = 8  # that the parent has open for each worker
GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def require_memory(config: Config, environments: gymnasium.vector.VectorEnv) -> None:
    """Check that the run fits into what is free of the machine's memory, and its workers into its limits.

    Raises:
        ValueError: it does not; the line names the option that takes most.
    """
    spaces = environments.single_observation_space, environments.single_action_space
    needed, available = bytes_needed(config, *spaces), available_bytes()
    if available is not None and needed > available:
        name = min(LARGE, key=lambda one: bytes_needed(at_default(config, one), *spaces))
        raise ValueError(
            f"{option(name)} {getattr(config, name)}: the run would take {needed:,} bytes of memory ({in_gb(needed)}), "
            f"and {in_gb(available)} are available"
        )
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if config.mode != "serial" and most != resource.RLIM_INFINITY and DESCRIPTORS * config.workers > most:
        raise ValueError(f"--workers {config.workers}: at most {most // DESCRIPTORS} is needed, `ulimit -n` is {most}")


def require_memory_of_frames(config: Config) -> None:
    """Check that one stack of observations fits, which is made to learn what the environment is.

    Raises:
        ValueError: not even its bounds would.
    """
    needed, available = 8 * config.frame_stack, available_bytes()
    if available is not None and needed > available:
        raise ValueError(
            f"--frame-stack {config.frame_stack}: one observation would take {needed:,} bytes of memory "
            f"({in_gb(needed)}) or more, and {in_gb(available)} are available"
        )


def at_default(config: Config, name: str) -> Config:
    """The config with one option at its default, if that goes with the others."""
    try:
        return replace(config, **{name: getattr(Config, name)})
    except ValueError:
        return config


def bytes_needed(config: Config, observations: gymnasium.spaces.Box, actions: gymnasium.Space) -> int:
    """What all processes of a run take together, at least."""
    number, workers = torch.finfo(getattr(torch, config.dtype)).bits // 8, config.workers
    processes = 0 if config.mode == "serial" else workers
    observation = math.prod(observations.shape) * observations.dtype.itemsize
    vectors = 7 + (0 if config.mode == "async" else workers) + 3 * (processes + 1)  # two pages of three, a candidate
    rows = (config.segment_length or 64) + 1
    kept = number * (config.torso_size * config.torso_layers + 6 * config.hidden_size * config.core_layers)
    total = vectors * number * parameters_of(config, observations, actions) + processes * PROCESS
    total += config.total_environments * rows * (observation + STEP + kept)
    total += STEP * max(config.eval_episodes, config.interval_episodes if config.eval_interval else 0)
    if config.replays:
        total += config.replay_capacity * (2 * observation + STEP)
        total += workers * config.replay_batch * config.sequence_span * (observation + STEP + kept)
    if "minibatches" in config.algorithm_record.options:  # one of them is unrolled again
        total += config.total_environments // config.minibatches * rows * (observation + STEP + kept)
    return total


def parameters_of(config: Config, observations: gymnasium.spaces.Box, actions: gymnasium.Space) -> int:
    """How many parameters the network has, without a torso or a core of a user, of which nothing is known.

    A torso is counted on torch's device without memory; the rest there would take seconds to import.
    """
    size, features = config.hidden_size, config.torso_size
    torso = core = 0
    if config.torso in TORSOS:
        with torch.device("meta"):
            made = make_torso(config, observations)
        torso, features = sum(parameter.numel() for parameter in made.parameters()), made.features
    if config.core in GATES:
        gates = GATES[config.core]
        rest = config.core_layers - 1
        core = gates * (cell(features, size) + rest * cell(size, size))
    elif config.core in CORES:  # without memory
        core = linear(features, size) + (config.core_layers - 1) * linear(size, size)
    hidden = config.value_hidden_size
    value = linear(size, hidden) + linear(hidden, 1) if hidden else linear(size, 1)
    copies, distribution = 2 if config.separate_critic else 1, make_actions(actions, config)
    head = linear(size, distribution.head_size - distribution.free) + distribution.free
    return copies * (torso + core) + head + value


def linear(inputs: int, outputs: int) -> int:
    """Parameters of a linear layer."""
    return (inputs + 1) * outputs


def cell(inputs: int, hidden: int) -> int:
    """Parameters of one gate of a recurrent layer, which has two biases."""
    return (inputs + hidden + 2) * hidden


def available_bytes() -> int | None:
    """Memory that is free for this process; None on a system that does not tell."""
    found = [free_of_machine(), *free_of_group("/sys/fs/cgroup"), *free_of_group("/sys/fs/cgroup/memory")]
    return min((free for free in found if free is not None), default=None)


def free_of_machine() -> int | None:
    """What the kernel calls available."""
    for line in text_of("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def free_of_group(folder: str) -> list[int]:
    """What control groups, as those of a container, leave of their limit."""
    free = []
    own = [line.rpartition(":")[2].strip("/") for line in text_of("/proc/self/cgroup").splitlines()]
    for group in {Path(folder), *(Path(folder) / one for one in own)}:
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            most, now = text_of(group / limit).strip(), text_of(group / used).strip()
            if most.isdigit() and now.isdigit():
                files = [
                    line.split()[1] for line in text_of(group / "memory.stat").splitlines() if "inactive_file" in line
                ]
                free.append(int(most) - int(now) + max(map(int, files), default=0))
    return free


def text_of(file: str | Path) -> str:
    """The text of a file of the system; empty if there is none."""
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def in_gb(count: int) -> str:
    """Bytes in words."""
    return f"{count / 1e9:,.1f} GB"
