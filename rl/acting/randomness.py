"""Random numbers, keyed by run seed and global environment index; only draws from replay buffers are keyed by worker.

So a run that is split over another number of workers sees the same episodes and the same noise. No two environments of
a run share a stream, in training or evaluation.
"""

import contextlib
import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    import gymnasium

    from rl.agent.actions.distribution import Actions

Purpose = Literal["environment", "action", "replay", "measure", "process", "minibatch"]
# process: what is shared by it
_PURPOSES = {"environment": 0, "action": 1, "replay": 2, "measure": 3, "process": 4, "minibatch": 5}
TRAINING = 0  # the first run; a resumed one draws under its own key, so that it does not see the same episodes again
_EVALUATION = 2**32 - 1  # never an env-step count modulo 2³², see `training_key`


def training_key(resumed_at_env_steps: int) -> int:
    """The key under which a run that starts at so many env steps draws."""
    return resumed_at_env_steps % _EVALUATION


def evaluation_key() -> int:
    """The key of all evaluation: disjoint from every training key."""
    return _EVALUATION


def sequence(seed: int, key: int, purpose: Purpose, number: int) -> np.random.SeedSequence:
    """The seed of one stream: (run seed, training or evaluation, purpose, a number: mostly a global index)."""
    return np.random.SeedSequence(seed, spawn_key=(key, _PURPOSES[purpose], number))


def generator(seed: int, key: int, purpose: Purpose, number: int) -> np.random.Generator:
    """A generator on that stream."""
    return np.random.Generator(np.random.PCG64(sequence(seed, key, purpose, number)))


def environment_seeds(seed: int, key: int, environments: range) -> list[int]:
    """A 63-bit seed for each global environment index."""
    return [int(sequence(seed, key, "environment", i).generate_state(1, np.uint64)[0] >> 1) for i in environments]


class ActionNoise:
    """The noise that actions are sampled with, one stream an environment, drawn a whole segment at a time."""

    def __init__(self, seed: int, key: int, environments: range) -> None:
        self.generators = [generator(seed, key, "action", i) for i in environments]

    def draw(self, steps: int, actions: "Actions") -> np.ndarray:
        """The next numbers [time, batch, ...], of the kind that the distribution over actions is sampled with."""
        return actions.draw(self.generators, steps)

    def state(self) -> list[dict[str, Any]]:
        """What each stream draws next, in plain Python."""
        return [generator.bit_generator.state for generator in self.generators]

    def load_state(self, state: list[dict[str, Any]]) -> None:
        """Continue from `state()`."""
        for generator, drawn in zip(self.generators, state, strict=True):
            generator.bit_generator.state = drawn


def reset_seeded(environments: "gymnasium.vector.VectorEnv", seeds: Sequence[int]) -> np.ndarray:
    """Reset environments with a seed each; returns their first observations.

    Environments that draw from their spaces, or whose reset forgets its seed, repeat too: Gymnasium would seed those
    generators from the clock of the machine.
    """
    for single, seed in zip(getattr(environments.unwrapped, "envs", ()), seeds, strict=False):
        with contextlib.suppress(Exception):  # a foreign space or environment may have no such thing
            own = single.unwrapped  # its spaces may be those of its class, which all environments share
            own.action_space, own.observation_space = copy.deepcopy((own.action_space, own.observation_space))
            for layer in {id(one): one for one in (single, own)}.values():
                layer.action_space.seed(seed)
                layer.observation_space.seed(seed)
            own.np_random = np.random.Generator(np.random.PCG64(seed))
    observations, _ = environments.reset(seed=list(seeds))
    return observations
