"""RecallCue: the optimum is 1, no memory earns 0, a state zeroed every N steps earns max(0, 1 - delay / N)."""

from fractions import Fraction

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from envs.memory.recall_cue import RecallCueEnv, RecallCueVectorEnv
from tests.support.bits import assert_bit_equal
from tests.support.envs_slow_loop import random_actions, run_singles, run_vector


def episode(env, seed, answer):
    """Return the observations and rewards of one episode with the actions `answer(observation, step)`."""
    observation, _ = env.reset(seed=seed)
    observations, rewards, terminated = [observation.tolist()], [], False
    while not terminated:
        action = answer(observation, len(rewards))
        observation, reward, terminated, truncated, _ = env.step(action)
        assert not truncated
        observations.append(observation.tolist())
        rewards.append(reward)
    return observations, rewards


def seeds_of_cues(env, cues):
    """Find a seed for each cue."""
    found = {}
    for seed in range(200):
        observations = np.array(episode(env, seed, lambda observation, step: 0)[0])
        found.setdefault(int(observations[:, :cues].sum(axis=0).argmax()), seed)
    assert sorted(found) == list(range(cues))
    return found


def test_an_episode_is_blanks_then_the_cue_then_delay_steps_later_the_question():
    env = RecallCueEnv(delay=3, cues=2, max_blanks=0)
    seed = seeds_of_cues(env, 2)[1]
    observations, rewards = episode(env, seed, lambda observation, step: 1)
    assert observations == [[0, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert rewards == [0, 0, 0, 1]
    assert episode(env, seed, lambda observation, step: 0)[1] == [0, 0, 0, -1]


@pytest.mark.parametrize(("delay", "cues", "max_blanks"), [(4, 2, 8), (1, 3, 0), (2, 5, 1)])
def test_the_vector_form_equals_the_single_form_bit_for_bit_over_1000_steps(delay, cues, max_blanks):
    arguments = {"delay": delay, "cues": cues, "max_blanks": max_blanks}
    actions = random_actions(1000, 5, count=cues)
    expected = run_singles(lambda: RecallCueEnv(**arguments), range(5), actions)
    assert expected.terminated.sum() >= 5 * 1000 // (delay + 1 + max_blanks)
    assert_bit_equal(run_vector(RecallCueVectorEnv(5, **arguments), range(5), actions), expected)


@pytest.mark.parametrize("cues", [2, 3, 5])
def test_remembering_earns_1_and_every_fixed_answer_earns_0_over_the_cues(cues):
    env = RecallCueEnv(cues=cues)
    seeds = seeds_of_cues(env, cues)
    for cue, seed in seeds.items():
        assert sum(episode(env, seed, lambda observation, step, cue=cue: cue)[1]) == 1
    for answer in range(cues):
        returns = [sum(episode(env, seed, lambda observation, step, a=answer: a)[1]) for seed in seeds.values()]
        assert sum(Fraction(value).limit_denominator(100) for value in returns) == 0


class Forgetful:
    """Remembers the cue until its memory is cleared, every N steps, and then answers 0."""

    def __init__(self, segment_length, phase):
        self._segment_length, self._phase, self._memory = segment_length, phase, 0

    def __call__(self, observation, step):
        if (step + self._phase) % self._segment_length == 0:
            self._memory = 0
        if observation[:-1].any():
            self._memory = int(observation[:-1].argmax())
        return self._memory


@pytest.mark.parametrize("delay", [1, 2, 4, 7])
@pytest.mark.parametrize("segment_length", [1, 2, 4, 5, 8, 20])
def test_memory_cleared_every_n_steps_earns_1_minus_delay_over_n_over_all_phases(delay, segment_length):
    """With delay 4 and segments of 4, cue and question never share a segment, and the return is 0."""
    env = RecallCueEnv(delay=delay, max_blanks=0)
    returns = [
        sum(episode(env, seed, Forgetful(segment_length, phase))[1])
        for seed in seeds_of_cues(env, 2).values()
        for phase in range(segment_length)
    ]
    assert Fraction(int(sum(returns)), len(returns)) == max(Fraction(0), 1 - Fraction(delay, segment_length))


@pytest.mark.parametrize("segment_length", [4, 5, 8, 10])
def test_blanks_spread_the_phases_so_that_a_run_earns_1_minus_4_over_n(segment_length):
    """Episodes of one length would meet the same phase for ever with delay 4 and N = 5."""
    vector = envs.make_vector("RecallCue-v0", 64)
    observations, _ = vector.reset(seed=0)
    memory, returns = np.zeros(64, dtype=np.int64), []
    for step in range(2000):
        if step % segment_length == 0:
            memory[:] = 0
        memory = np.where(observations[:, :2].any(axis=1), observations[:, :2].argmax(axis=1), memory)
        observations, rewards, terminated, _, _ = vector.step(memory)
        returns.extend(rewards[terminated])
    assert len(returns) > 13_000  # so that the standard error of the mean is below 0.01
    assert np.mean(returns) == pytest.approx(max(0.0, 1 - 4 / segment_length), abs=0.03)


def test_blanks_are_uniform_on_0_to_8_and_cues_on_0_to_1():
    vector = RecallCueVectorEnv(9000, delay=9)  # no second episode within nine steps
    observations, _ = vector.reset(seed=0)
    counts = np.zeros((9, 2), dtype=np.int64)
    for step in range(9):
        counts[step] = observations[:, :2].sum(axis=0)
        observations = vector.step(np.zeros(9000, dtype=np.int64))[0]
    assert counts.sum() == 9000  # one cue a column
    assert (abs(counts - 500) < 100).all()  # 18 equal cells, standard deviation 22


def test_gymnasiums_check_env_accepts_it_and_its_threshold_is_095():
    check_env(gymnasium.make("RecallCue-v0").unwrapped, skip_render_check=True)
    assert envs.make_vector("RecallCue-v0", 2).spec.reward_threshold == 0.95
