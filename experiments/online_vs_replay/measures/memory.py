"""What a memory holds and how much of it is used: a linear probe of the velocities, and play with a short memory.

The probe is a ridge regression from what the network carries to the two velocities that a masked CartPole hides, on
episodes of a fixed controller, the same for every network and moment: R² on other episodes than it was fitted to. A
short memory is a core state unrolled over the last k observations only (Kapturowski et al. 2019, §5, figure 5).
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rl.acting.randomness import environment_seeds, evaluation_key
from rl.agent.agent import Agent
from rl.config import Config

MASKED = "MaskedVelocityCartPole-v1"
EPISODES, STEPS = 64, 200
RIDGE = 1e-5  # of the features' variance
LENGTHS = (1, 2, 4, 8, 16)
EPISODES_OF_PLAY = 20
MOST_STEPS = 500


class Movement(NamedTuple):
    """Episodes of CartPole by a fixed controller."""

    observations: Tensor  # [time, episode, 2] position and angle by their scale
    is_first: Tensor  # [time, episode]
    velocities: np.ndarray  # [time, episode, 2] m/s, rad/s


@cache
def movement() -> Movement:
    """64 episodes side by side, 200 steps: a linear controller that keeps the pole up, a third of its actions random.

    Episodes that end within are followed by others, so `is_first` has more than its first row.
    """
    import envs
    from envs.cartpole.cartpole import CARTPOLE_POSITION_SCALE

    environments = envs.make_vector("CartPole-v1", EPISODES)
    generator = np.random.default_rng(0)
    observation, _ = environments.reset(seed=list(range(1000, 1000 + EPISODES)))
    rows, opens, first = [], [], np.ones(EPISODES, dtype=bool)
    for _ in range(STEPS):
        rows.append(observation)
        opens.append(first)
        lean = observation @ np.array([0.1, 0.3, 1.0, 0.4])
        actions = np.where(generator.random(EPISODES) < 1 / 3, generator.integers(2, size=EPISODES), lean > 0)
        observation, _, terminated, truncated, _ = environments.step(actions.astype(np.int64))
        first = terminated | truncated
    environments.close()
    states = np.stack(rows)
    seen = torch.from_numpy(states[..., ::2] / np.array(CARTPOLE_POSITION_SCALE, dtype=np.float32))
    return Movement(seen, torch.from_numpy(np.stack(opens)), states[..., 1::2].astype(np.float64))


def r_squared(features: np.ndarray, velocities: np.ndarray) -> tuple[float, float]:
    """R² of both velocities, each predicted linearly, fitted to the first half of the episodes and tested on the rest.

    w = argmin Σ (y − w x − b)² + λ ‖w‖²,   R² = 1 − Σ (y − ŷ)² / Σ (y − ȳ)².

    Args:
        features: [time, episode, feature].
        velocities: [time, episode, 2].
    """
    half = features.shape[1] // 2
    fit, test = (features[:, part].reshape(-1, features.shape[-1]) for part in (slice(half), slice(half, None)))
    y, y_test = (velocities[:, part].reshape(-1, 2) for part in (slice(half), slice(half, None)))
    mean, spread = fit.mean(0), fit.std(0) + 1e-6
    x = (fit - mean) / spread
    weights = np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ (y - y.mean(0)))
    errors = y_test - (test - mean) / spread @ weights - y.mean(0)
    r2 = 1.0 - np.square(errors).sum(0) / np.square(y_test - y_test.mean(0)).sum(0)
    return float(r2[0]), float(r2[1])


def controls() -> dict[str, tuple[float, float]]:
    """R² of what needs no network: one observation, and two of them."""
    seen, is_first, velocities = movement()
    now = seen.double().numpy()
    before = np.concatenate([now[:1], now[:-1]])
    before = np.where(is_first.numpy()[..., None], now, before)
    return {
        "observation": r_squared(now, velocities),
        "two observations": r_squared(np.concatenate([now, before], -1), velocities),
    }


@torch.no_grad()
def r_squared_of_agent(agent: Agent) -> tuple[float, float]:
    """R² from the core state; from the core's output where it has no state."""
    seen, is_first, velocities = movement()
    state, rows = agent.initial_state(EPISODES), []
    for observation, first in zip(seen.to(agent.policy_head.weight.dtype), is_first, strict=True):
        output, state = agent.core.step(agent.torso(observation), state, first)
        rows.append(torch.cat([part[-1] for part in state], -1) if state else output)
    return r_squared(torch.stack(rows).double().numpy(), velocities)


@torch.no_grad()
def return_with_memory_of(agent: Agent, config: Config, length: int) -> float:
    """Mean return of 20 greedy episodes in which the agent sees the last `length` observations, from a fresh state."""
    import envs

    environments = envs.make_vector(config.env, EPISODES_OF_PLAY, **config.environment_options)
    first_episode = 2**25  # a number that no other evaluation has
    seeds = environment_seeds(config.seed, evaluation_key(), range(first_episode, first_episode + EPISODES_OF_PLAY))
    observation, _ = environments.reset(seed=seeds)
    dtype = agent.policy_head.weight.dtype
    rows: list[tuple[Tensor, Tensor]] = []
    first, running = (np.ones(EPISODES_OF_PLAY, bool) for _ in range(2))
    returns = np.zeros(EPISODES_OF_PLAY)
    for _ in range(MOST_STEPS):
        rows = [*rows, (torch.tensor(observation, dtype=dtype), torch.from_numpy(first.copy()))][-length:]
        state = agent.initial_state(EPISODES_OF_PLAY)
        for seen, opens in rows:
            output, state = agent.step(seen, state, opens)
        actions = output.logits.argmax(-1).numpy()
        observation, rewards, terminated, truncated, _ = environments.step(actions)
        returns += rewards * running
        first = terminated | truncated
        running &= ~first
        if not running.any():
            break
    environments.close()
    return float(returns.mean())


def memory_measures(agent: Agent, config: Config, last: bool) -> dict[str, float]:
    """R² of the velocities on the masked CartPole, and at the last moment the returns with short memories."""
    found: dict[str, float] = {}
    if config.env == MASKED and config.frame_stack == 1:
        found["r2_cart"], found["r2_pole"] = r_squared_of_agent(agent)
    if last and agent.initial_state(1):
        found |= {f"memory_{length}": return_with_memory_of(agent, config, length) for length in LENGTHS}
    return found
