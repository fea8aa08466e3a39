"""Hand-made players of CartPole: what memory is worth on it, without learning anything."""

from collections.abc import Callable, Sequence

import numpy as np
from gymnasium.vector import VectorEnv

from envs.cartpole.cartpole import CartPoleVectorEnv

# Position (m), velocity (m/s), angle (rad), angular velocity (rad/s): pushes right where the sum is above 0.
GAINS = np.array([0.033, 0.097, 0.764, 0.426])


def balancing_actions(vector: CartPoleVectorEnv, seeds: Sequence[int], steps: int) -> np.ndarray:
    """Actions [time, batch] under which no pole falls, by a player who sees the true state."""
    vector.reset(seed=list(seeds))
    actions = []
    for _ in range(steps):
        actions.append((vector._rows[[0, 2, 1, 3]].T @ GAINS > 0).astype(np.int64))
        vector.step(actions[-1])
    return np.array(actions)


def mean_steps(vector: VectorEnv, act: Callable[[np.ndarray, np.ndarray | None], np.ndarray]) -> float:
    """Mean length, at most 500, of each column's first episode; `act` is of observations and the last actions."""
    observations, _ = vector.reset(seed=0)
    lengths, actions = np.full(vector.num_envs, 500), None
    for step in range(500):
        actions = act(observations, actions).astype(np.int64)
        observations, _, terminated, _, _ = vector.step(actions)
        lengths[terminated] = np.minimum(lengths[terminated], step + 1)
    return lengths.mean()


# Where the pole stands and nothing moves, s' = MOVE s + PUSH for a push to the right, - PUSH to the left: the equations
# of `envs.cartpole` with sin θ = θ, cos θ = 1, θ'² = 0.
_MASS, _HALF_INERTIA = 1.1, 0.5 * (4 / 3 - 0.1 / 1.1)
_TURN = np.array([9.8, -10 / _MASS]) / _HALF_INERTIA  # θ'' by the angle and by the push
_SHIFT = np.array([0, 10 / _MASS]) - 0.05 / _MASS * _TURN  # x'' likewise
MOVE = np.eye(4) + 0.02 * np.array([[0, 1, 0, 0], [0, 0, _SHIFT[0], 0], [0, 0, 0, 1], [0, 0, _TURN[0], 0]])
PUSH = 0.02 * np.array([0, _SHIFT[1], 0, _TURN[1]])


def predicted(states: np.ndarray, actions: np.ndarray | None) -> np.ndarray:
    """The states [batch, 4] one step later; at first, where there are no actions, the states as they are."""
    return states if actions is None else states @ MOVE.T + (2 * actions[:, None] - 1) * PUSH


def kalman_gain(deviations: Sequence[float]) -> np.ndarray:
    """[4, 2]: how much of an error in position and angle, seen with these standard deviations, corrects the state."""
    seen = np.eye(4)[[0, 2]]
    covariance = 0.001 * np.eye(4)
    for _ in range(2000):  # to the fixed point, where 3 % of a push is allowed for what linear equations leave out
        gain = covariance @ seen.T @ np.linalg.inv(seen @ covariance @ seen.T + np.diag(np.square(deviations)))
        covariance = MOVE @ (np.eye(4) - gain @ seen) @ covariance @ MOVE.T + 0.001 * np.outer(PUSH, PUSH)
        covariance += 1e-9 * np.eye(4)
    return gain
