"""A linear probe: how well the hidden velocities of a masked CartPole can be read from what a network carries.

The probe is a ridge regression. Every network is probed on the same episodes of a fixed controller, and R² belongs to
other episodes than those that the probe was fitted to.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rl.agent.agent import Agent

MASKED = "MaskedVelocityCartPole-v1"
EPISODES, STEPS = 64, 200
RIDGE = 1e-5  # times the features' variance


class Movement(NamedTuple):
    """Episodes of CartPole by a fixed controller."""

    observations: Tensor  # [time, episode, 2] position and angle, divided by their scales
    is_first: Tensor  # [time, episode]
    velocities: np.ndarray  # [time, episode, 2] m/s, rad/s


@cache
def movement() -> Movement:
    """Play 64 environments for 200 steps by a linear controller that balances the pole, a third of its actions random.

    An episode that ends is followed by another, so `is_first` is true in more rows than the first.
    """
    import envs
    from envs.cartpole.cartpole import CARTPOLE_POSITION_SCALE

    environments = envs.make_vector("CartPole-v1", EPISODES)
    generator = np.random.default_rng(0)
    observation, _ = environments.reset(seed=list(range(1000, 1000 + EPISODES)))
    rows, is_first, first = [], [], np.ones(EPISODES, dtype=bool)
    for _ in range(STEPS):
        rows.append(observation)
        is_first.append(first)
        lean = observation @ np.array([0.1, 0.3, 1.0, 0.4])
        actions = np.where(generator.random(EPISODES) < 1 / 3, generator.integers(2, size=EPISODES), lean > 0)
        observation, _, terminated, truncated, _ = environments.step(actions.astype(np.int64))
        first = terminated | truncated
    environments.close()
    states = np.stack(rows)
    seen = torch.from_numpy(states[..., ::2] / np.array(CARTPOLE_POSITION_SCALE, dtype=np.float32))
    return Movement(seen, torch.from_numpy(np.stack(is_first)), states[..., 1::2].astype(np.float64))


def r_squared(features: np.ndarray, velocities: np.ndarray) -> tuple[float, float]:
    """Return R² of both velocities, predicted linearly: fitted to half of the episodes and tested on the others.

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
    """Return R² from features that need no network: one observation, and two."""
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
    """Return R² from the core state, or from the core's output if it has no state."""
    seen, is_first, velocities = movement()
    state, rows = agent.initial_state(EPISODES), []
    for observation, first in zip(seen, is_first, strict=True):
        output, state = agent.core.step(agent.features(observation), state, first)
        rows.append(torch.cat([part[-1] for part in state], -1) if state else output)
    return r_squared(torch.stack(rows).double().numpy(), velocities)
