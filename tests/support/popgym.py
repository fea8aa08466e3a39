"""Environments of the package popgym beside those that `envs.popgym` has in their place."""

from collections.abc import Callable, Sequence

import gymnasium
import numpy as np
import pytest

import envs
from envs.popgym.forms import PopgymVectorEnv
from envs.popgym.table import fast_id, official_id
from tests.support.bits import assert_bit_equal

Put = Callable[[gymnasium.Env, PopgymVectorEnv, int], None]
Act = Callable[[list[gymnasium.Env]], Sequence[int] | np.ndarray]


def assert_equals_official(
    name: str, episodes: int, batch: int = 10, put: Put | None = None, act: Act | None = None
) -> np.ndarray:
    """Step both until so many episodes have ended; every bit must be equal, and the spaces. Return the returns.

    Rewards of Pendulums alone may differ, by 10⁻¹²; they are about 10⁻².

    Both have the same seeds, which makes their draws equal. With `put` the seeds differ, and it makes them equal.

    Args:
        name: a row of the table.
        episodes: at least so many.
        batch: the number of columns.
        put: is called as put(official, ours, column) when an episode begins. It writes what the official single
            environment has drawn into that column of our bare vector form.
        act: gives the actions [batch, ...] from the official single environments; random actions if it is None.
    """
    pytest.importorskip("popgym")
    ours, official = (envs.make_vector(make_id(name), batch) for make_id in (fast_id, official_id))
    bare, singles = ours.unwrapped, [one.unwrapped for one in official.unwrapped.envs]
    assert isinstance(bare, PopgymVectorEnv)
    assert ours.single_observation_space == official.single_observation_space
    assert ours.single_action_space == official.single_action_space
    assert ours.own_spaces == official.own_spaces
    seeds = list(range(100, 100 + batch))
    expected, began = official.reset(seed=seeds)[0], np.ones(batch, dtype=bool)
    found = ours.reset(seed=[seed + 1000 for seed in seeds] if put else seeds)[0]
    official.action_space.seed(0)
    earned, returns = np.zeros(batch), []
    while len(returns) < episodes:
        for column in began.nonzero()[0] if put else ():
            put(singles[column], bare, column)
        assert_bit_equal(bare._observe() if put else found, expected)
        actions = np.asarray(act(singles)) if act else official.action_space.sample()
        (expected, *theirs, infos), (found, *mine, own_infos) = official.step(actions), ours.step(actions)
        if "Pendulum" in name:  # rewards hold squares, which NumPy rounds in another way for numbers than for arrays
            assert mine[0].dtype == theirs[0].dtype
            assert mine[0] == pytest.approx(theirs[0], rel=0, abs=1e-12)
            mine[0] = theirs[0]
        assert_bit_equal(mine, theirs)
        rewards, terminated, truncated = theirs
        earned, began = earned + rewards, terminated | truncated
        assert own_infos.keys() == infos.keys() == ({"final_obs", "_final_obs"} if began.any() else set())
        if began.any():
            assert (own_infos["_final_obs"] == began).all()
            assert_bit_equal(own_infos["final_obs"][began], infos["final_obs"][began])
            returns += earned[began].tolist()
            earned[began] = 0.0
    return np.array(returns)
