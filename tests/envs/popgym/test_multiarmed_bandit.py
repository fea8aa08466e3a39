"""POPGym's MultiarmedBandit: what a bandit pays, how good the best one is, and the oddities of the package."""

import copy

import numpy as np
import pytest

import envs
from envs.popgym.multiarmed_bandit import MultiarmedBanditVectorEnv
from envs.popgym.table import fast_id
from tests.support.popgym import assert_equals_official


def put_payouts(official, ours, column):
    """What the package will draw in the steps of this episode is drawn from a copy of its generator."""
    ours._probabilities[column] = official.bandits
    ours._uniforms[:, column] = [copy_.random() for copy_ in [copy.deepcopy(official.np_random)] for _ in ours._uniforms]


def best(official):
    return int(official.bandits.argmax())


@pytest.mark.parametrize("name", ["MultiarmedBanditEasy", "MultiarmedBanditMedium", "MultiarmedBanditHard"])
def test_with_the_packages_probabilities_and_payouts_and_other_seeds_the_best_bandit_pays_the_same(name):
    """Of 10 episodes the best bandits earn 2p - 1 in the mean, to 4 standard errors of at most 1 / √(10 L)."""
    seen = []

    def act(singles):
        seen.extend(one.bandits.max() for one in singles)
        return [best(one) for one in singles]

    returns = assert_equals_official(name, 10, put=put_payouts, act=act)
    length = envs.make_vector(fast_id(name), 1)._length
    assert returns.mean() == pytest.approx(2 * np.mean(seen) - 1, abs=4 / np.sqrt(10 * length))


@pytest.mark.parametrize(
    ("name", "bandits", "steps"),
    [("MultiarmedBanditEasy", 10, 200), ("MultiarmedBanditMedium", 20, 400), ("MultiarmedBanditHard", 30, 600)],
)
def test_it_is_truncated_after_its_steps_and_pays_or_costs_one_over_their_number(name, bandits, steps):
    vector = envs.make_vector(fast_id(name), 2)
    assert vector.single_action_space.n == bandits
    observations = vector.reset(seed=0)[0]
    assert observations.tolist() == [[1, 0]] * 2
    for step in range(1, 2 * steps + 1):
        observations, rewards, terminated, truncated, infos = vector.step(np.array([0, bandits - 1]))
        shown = (infos["final_obs"] if infos else observations)[:, 1]
        assert not terminated.any() and truncated.tolist() == [step % steps == 0] * 2
        assert rewards.tolist() == np.where(shown == 1, 1 / steps, -1 / steps).tolist()
    assert observations.tolist() == [[1, 0]] * 2


def test_a_bandit_pays_as_often_as_its_probability_says():
    """In 2000 columns and 50 steps (payouts - p) has a standard deviation of at most 1/2: 4 standard errors."""
    vector = MultiarmedBanditVectorEnv(2000)
    vector.reset(seed=0)
    p = vector._probabilities[:, 3].astype(np.float64)
    paid = np.mean([vector.step(np.full(2000, 3))[0][:, 1] for _ in range(50)], axis=0)
    assert np.mean(paid - p) == pytest.approx(0, abs=4 * 0.5 / np.sqrt(100_000))
    assert np.cov(paid, p)[0, 1] == pytest.approx(1 / 12, abs=0.01)  # the variance of a uniform number
    assert np.var(paid - p) == pytest.approx(1 / 6 / 50, rel=0.15)  # the mean of p (1 - p) is 1 / 6


def test_probabilities_are_uniform_and_the_best_of_10_earns_9_11ths_in_the_mean():
    """10 × 4000 probabilities; Kolmogorov's bound at 1 of 1000 is 1.95 / √n. The best one's 2p - 1 has a standard
    deviation of 0.17."""
    vector = MultiarmedBanditVectorEnv(4000)
    vector.reset(seed=0)
    p = np.sort(vector._probabilities.ravel().astype(np.float64))
    assert abs(p - (np.arange(40_000) + 0.5) / 40_000).max() < 1.95 / 200
    assert 2 * vector._probabilities.max(axis=1).mean() - 1 == pytest.approx(9 / 11, abs=4 * 0.17 / np.sqrt(4000))


def test_oddity_a_bandit_that_does_not_pay_costs_one_over_the_steps_although_the_package_says_0():
    module = pytest.importorskip("popgym.envs.multiarmed_bandit")
    assert "otherwise return zero reward" in module.__doc__
    official = module.MultiarmedBandit()
    official.reset(seed=0)
    official.bandits[:] = 0.0
    vector = MultiarmedBanditVectorEnv(1)
    vector.reset(seed=0)
    vector._probabilities[:] = 0.0
    assert official.step(3)[1] == vector.step(np.array([3]))[1][0] == -1 / 200


def test_oddity_the_infos_of_the_package_tell_the_probabilities_and_ours_do_not():
    official = pytest.importorskip("popgym.envs.multiarmed_bandit").MultiarmedBandit()
    assert (official.reset(seed=0)[1]["bandits"] == official.bandits).all()
    assert (official.step(0)[4]["bandits"] == official.bandits).all()
    assert MultiarmedBanditVectorEnv(1).reset(seed=0)[1] == {}


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.0.0", reason="NumPy 1 compares as float64")
def test_oddity_the_random_number_03_is_less_than_float32_03_but_does_not_make_it_pay():
    assert 0.3 < float(np.float32(0.3))
    official = pytest.importorskip("popgym.envs.multiarmed_bandit").MultiarmedBandit()
    official.reset(seed=0)

    class Numbers:
        random = staticmethod(lambda: 0.3)

    vector = MultiarmedBanditVectorEnv(1)
    vector.reset(seed=0)
    official._np_random, official.bandits[:2] = Numbers, (0.3, 0.300001)
    vector._uniforms[:2], vector._probabilities[0, :2] = 0.3, (0.3, 0.300001)
    for bandit, paid in ((0, 0), (1, 1)):
        assert official.step(bandit)[0] == vector.step(np.array([bandit]))[0][0, 1] == paid


@pytest.mark.parametrize("name", ["num_bandits", "episode_length"])
def test_a_wrong_argument_is_refused_in_one_line_that_names_it(name):
    with pytest.raises(ValueError) as error:
        envs.make_vector(fast_id("MultiarmedBanditEasy"), 2, env_args={name: 0})
    assert str(error.value).endswith(f": {name} must be an integer of at least 1, got 0")
