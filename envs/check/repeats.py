"""Does an environment repeat itself under the same seed and actions, and does its vector form equal its single form?"""

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv

from envs.check.actions import RandomActions, vector_actions

STEPS = 200
SEEDS = (3, 4)


def difference(make: Callable[[], gymnasium.Env], name: str) -> str:
    """Say in words where two plays under one seed differ, in two environments or in one; "" where they do not.

    The global random generators are seeded if they differ.
    """
    first, second = make(), make()
    try:
        one = _played(first)
        other, again = _played(second), _played(first)
        place, kept = _first_difference(one, other), _first_difference(one, again)
        if place is None and kept is None:
            return ""
        if place is None:
            return f"{name}: an environment that has played before gives another {kept} under the same seed"
        seeded = []
        for env in (first, second):
            random.seed(0)
            np.random.seed(0)
            seeded.append(_played(env))
        cause = "" if _first_difference(*seeded) else ": it draws from random or np.random; self.np_random is seeded"
        return f"{name}: the same seed and actions give another {place}{cause}"
    finally:
        for env in (first, second):
            with contextlib.suppress(Exception):
                env.close()


def vector_difference(vector: VectorEnv, singles: VectorEnv, name: str) -> str:
    """Say in words where a vector form differs from single environments of the same seeds; "" where it does not."""
    observations = [one.reset(seed=list(SEEDS))[0] for one in (vector, singles)]
    if not np.array_equal(*observations):
        return f"{name}: the vector form differs from the single form in the first observation"
    singles.action_space.seed(0), singles.single_action_space.seed(0)
    seen = observations[1]
    for step in range(STEPS):
        actions = vector_actions(singles, seen)
        rows = [one.step(actions) for one in (vector, singles)]
        seen = rows[1][0]
        for what, number in (("observation", 0), ("reward", 1), ("terminated", 2), ("truncated", 3)):
            if not np.array_equal(rows[0][number], rows[1][number]):
                return f"{name}: the vector form differs from the single form in the {what} of step {step + 1}"
    return ""


@contextlib.contextmanager
def global_state_kept() -> Iterator[None]:
    """Leave the global random generators as they are."""
    states = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _played(env: gymnasium.Env) -> list[tuple[Any, ...]]:
    env.action_space.seed(0)
    actions, given = RandomActions(env, "the environment"), env.reset(seed=SEEDS[0])
    rows = [(_copy(given[0]), 0.0, False, False)]
    for _ in range(STEPS):
        actions.see(*given, "step")
        observation, reward, terminated, truncated, info = env.step(actions.draw())
        rows.append((_copy(observation), reward, terminated, truncated))
        given = observation, info
        if terminated or truncated:
            given = env.reset()
            rows.append((_copy(given[0]), 0.0, False, False))
    return rows


def _copy(observation: Any) -> Any:
    return np.array(observation) if isinstance(observation, np.ndarray) else repr(observation)


def _first_difference(one: list[tuple[Any, ...]], other: list[tuple[Any, ...]]) -> str | None:
    for step, rows in enumerate(zip(one, other, strict=False)):
        for what, left, right in zip(("observation", "reward", "terminated", "truncated"), *rows, strict=True):
            if not np.array_equal(left, right):
                return f"{what} at step {step}"
    return None
