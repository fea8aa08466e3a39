"""RepeatPrevious: the optimum is 1, no memory earns 0, a state zeroed every N steps earns what a sum says."""

from fractions import Fraction
from math import gcd

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from envs.memory.repeat_previous import RepeatPreviousEnv, RepeatPreviousVectorEnv
from tests.support.bits import assert_bit_equal
from tests.support.envs_slow_loop import random_actions, run_singles, run_vector

ID = "RepeatPrevious-v0"


def episode(env, seed, answer):
    """Return the observations and rewards of one episode with the actions `answer(observation, step)`."""
    observation, _ = env.reset(seed=seed)
    observations, rewards, terminated = [observation.tolist()], [], False
    while not terminated:
        observation, reward, terminated, truncated, _ = env.step(answer(observation, len(rewards)))
        assert not truncated
        observations.append(observation.tolist())
        rewards.append(reward)
    return observations, rewards


class Player:
    """Remembers every symbol until its memory is cleared, every `segment_length` steps; answers 0 if it forgot.

    `knew` says for each question so far whether it knew the answer.
    """

    def __init__(self, delay, segment_length=None, phase=0):
        self._delay, self._segment_length, self._steps = delay, segment_length, phase
        self._seen, self.knew = [], []

    def __call__(self, observation, step):
        if step == 0 or (self._segment_length and self._steps % self._segment_length == 0):
            self._seen = []
        self._seen.append(int(observation.argmax()))
        self._steps += 1
        knows = len(self._seen) > self._delay
        if step >= self._delay:
            self.knew.append(knows)
        return self._seen[-1 - self._delay] if knows else 0


def within_reach(delay, questions, segment_length):
    """Return the sum in the docstring of `RepeatPreviousEnv` for a state zeroed every `segment_length` steps.

    1 / questions · Σ g / N · #{phase < N: phase = step (mod g) and phase ≥ delay}
    """
    common = gcd(delay + questions, segment_length)
    phases = sum(
        phase >= delay
        for step in range(delay, delay + questions)
        for phase in range(segment_length)
        if (phase - step) % common == 0
    )
    return Fraction(common * phases, segment_length * questions)


def test_an_episode_of_delay_2_and_3_questions_by_hand():
    """Five symbols come before zeros. A right answer earns 1/3, a wrong one −1/6, the first two actions nothing."""
    env = RepeatPreviousEnv(symbols=3, delay=2, questions=3)
    observations, rewards = episode(env, 1, Player(2))
    shown = np.array(observations).argmax(axis=1)[:5].tolist()
    assert observations == [*np.eye(3)[shown].tolist(), [0, 0, 0]]
    assert len(set(shown[:3])) > 1  # so that the symbol of another step would be wrong
    assert rewards == [0, 0, 1 / 3, 1 / 3, 1 / 3]
    assert episode(env, 1, lambda observation, step: (shown[step - 2] + 1) % 3)[1] == [0, 0, -1 / 6, -1 / 6, -1 / 6]
    assert episode(env, 1, lambda observation, step: shown[0])[1][2] == 1 / 3  # at step 2, the symbol of step 0


@pytest.mark.parametrize(("symbols", "delay", "questions"), [(4, 4, 16), (2, 1, 1), (3, 7, 2), (5, 2, 9)])
def test_the_vector_form_equals_the_single_form_bit_for_bit_over_2000_steps(symbols, delay, questions):
    arguments = {"symbols": symbols, "delay": delay, "questions": questions}
    actions = random_actions(2000, 5, count=symbols)
    expected = run_singles(lambda: RepeatPreviousEnv(**arguments), range(5), actions)
    assert expected.terminated.sum() == 5 * (2000 // (delay + questions)) and not expected.truncated.any()
    assert not expected.successors[expected.terminated].any() and (expected.observations.sum(axis=2) == 1).all()
    assert_bit_equal(run_vector(RepeatPreviousVectorEnv(5, **arguments), range(5), actions), expected)
    vector = envs.make_vector(ID, 5, env_args=arguments)
    assert isinstance(vector.unwrapped, RepeatPreviousVectorEnv)
    assert_bit_equal(run_vector(vector, range(5), actions), expected)


@pytest.mark.parametrize(("symbols", "delay", "questions"), [(4, 4, 16), (2, 1, 1), (3, 7, 8), (8, 2, 16)])
def test_remembering_earns_1_in_every_episode(symbols, delay, questions):
    env = RepeatPreviousEnv(symbols, delay, questions)
    for seed in range(20):
        assert sum(episode(env, seed, Player(delay))[1]) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("symbols", [2, 3, 4, 7])
def test_every_answer_earns_exactly_0_over_the_symbols_that_might_be_right(symbols):
    """Over the symbols an answer is right once, for 1, and wrong symbols − 1 times, for −1 / (symbols − 1)."""
    env = RepeatPreviousEnv(symbols=symbols, delay=1, questions=1)
    seeds = {}
    for seed in range(300):
        seeds.setdefault(int(env.reset(seed=seed)[0].argmax()), seed)
    assert sorted(seeds) == list(range(symbols))
    for answer in range(symbols):
        returns = [sum(episode(env, seed, lambda observation, step, a=answer: a)[1]) for seed in seeds.values()]
        assert sum(Fraction(value).limit_denominator(100) for value in returns) == 0


@pytest.mark.parametrize("ago", [None, 0, 3, 5])
def test_always_answering_0_or_the_symbol_of_another_step_earns_0(ago):
    """One return has a standard deviation of √(16 / 3) / 16 = 0.144, the mean of 8000 one of 0.0016."""
    vector = RepeatPreviousVectorEnv(400)
    shown = [vector.reset(seed=0)[0].argmax(axis=1)]
    rewards = np.zeros((400, 400))
    for step in range(400):
        answers = np.zeros(400, dtype=np.int64) if ago is None or ago > step else shown[step - ago]
        observations, rewards[step], *_ = vector.step(answers)
        shown.append(observations.argmax(axis=1))
    returns = rewards.reshape(20, 20, 400).sum(axis=1)
    assert returns.mean() == pytest.approx(0, abs=0.0065)
    assert returns.std() == pytest.approx(0.144, abs=0.005)


@pytest.mark.parametrize("delay", [1, 2, 4, 7])
@pytest.mark.parametrize("segment_length", [1, 2, 4, 5, 8, 20, 32])
def test_a_memory_cleared_every_n_steps_knows_1_minus_delay_over_n_over_all_phases(delay, segment_length):
    """With delay 4 and segments of 4 no symbol shares a segment with its question, and the share is 0."""
    env, knew = RepeatPreviousEnv(delay=delay), []
    for phase in range(segment_length):
        player = Player(delay, segment_length, phase)
        episode(env, phase, player)
        knew += player.knew
    assert len(knew) == 16 * segment_length
    assert Fraction(sum(knew), len(knew)) == max(Fraction(0), 1 - Fraction(delay, segment_length))


@pytest.mark.parametrize(("delay", "questions"), [(4, 16), (1, 1), (2, 16), (3, 7), (6, 9)])
def test_over_consecutive_episodes_it_knows_exactly_the_share_that_the_docstrings_sum_says(delay, questions):
    """After lcm(L, N) steps, which are L / gcd(L, N) segments, episode and segment open together again."""
    env, length = RepeatPreviousEnv(delay=delay, questions=questions), delay + questions
    for segment_length in (*range(1, 2 * length + 2), 32, 64):
        player = Player(delay, segment_length)
        for seed in range(segment_length // gcd(length, segment_length)):
            episode(env, seed, player)
        expected = within_reach(delay, questions, segment_length)
        assert Fraction(sum(player.knew), len(player.knew)) == expected
        if delay % gcd(length, segment_length) == 0:
            assert expected == max(Fraction(0), 1 - Fraction(delay, segment_length))
        if segment_length % length == 0:
            assert expected == 1


@pytest.mark.parametrize(
    ("segment_length", "share"), [(1, 0), (4, 0), (5, 0.25), (8, 0.5), (16, 0.75), (20, 1), (32, 0.875)]
)
def test_the_share_that_it_knows_is_the_return_that_it_earns(segment_length, share):
    """The docstring's numbers hold over 40 episodes of 100 columns, with a standard error of 0.0023 at most."""
    vector = envs.make_vector(ID, 100)
    observations, _ = vector.reset(seed=0)
    players, earned = [Player(4, segment_length) for _ in range(100)], 0.0
    for step in range(800):
        actions = [player(row, step % 20) for player, row in zip(players, observations, strict=True)]
        observations, rewards, *_ = vector.step(np.array(actions))
        earned += rewards.sum()
    assert earned / 4000 == pytest.approx(share, abs=0.01)
    assert np.mean([player.knew for player in players]) == share


def test_symbols_are_independent_and_equally_likely():
    """In 8000 columns a symbol comes 2000 times a step, standard deviation 39, and a pair 500 times, 22."""
    vector = RepeatPreviousVectorEnv(8000)
    shown = [vector.reset(seed=0)[0].argmax(axis=1)]
    for _ in range(5):
        shown.append(vector.step(np.zeros(8000, dtype=np.int64))[0].argmax(axis=1))
    for one in range(6):
        assert (abs(np.bincount(shown[one], minlength=4) - 2000) < 160).all()
        for other in range(one):
            assert (abs(np.bincount(4 * shown[one] + shown[other], minlength=16) - 500) < 100).all()


def test_columns_differ_and_a_column_does_not_depend_on_its_neighbours():
    actions = random_actions(200, 5, count=4)
    whole = run_vector(RepeatPreviousVectorEnv(5), [3, 1, 4, 1, 9], actions)
    alone = run_vector(RepeatPreviousVectorEnv(1), [4], actions[:, 2:3])
    assert_bit_equal(type(whole)(whole.first[2:3], *(rows[:, 2:3] for rows in whole[1:])), alone)
    assert (whole.observations[:, 1] == whole.observations[:, 3]).all()
    agree = (whole.observations[:, 0] == whole.observations[:, 1]).all(axis=1).mean()
    assert agree == pytest.approx(1 / 4, abs=0.12)  # 4 standard errors


def test_frames_and_the_previous_action_are_added_to_final_observations_too():
    """The first of five frames is the symbol that is asked for, so that an agent without memory earns 1."""
    vector = envs.make_vector(ID, 6, frame_stack=5, previous_action=True)
    observations, _ = vector.reset(seed=0)
    assert observations.shape == (6, 5 * 4 + 4) and not observations[:, 20:].any()
    earned = np.zeros(6)
    for step in range(1, 61):
        actions = observations[:, :4].argmax(axis=1)
        observations, rewards, terminated, _, infos = vector.step(actions)
        earned += rewards
        successors = infos["final_obs"] if infos else observations
        assert (successors[:, 20:] == np.eye(4)[actions]).all()
        assert terminated.all() == bool(infos) == (step % 20 == 0)
        if infos:
            assert not successors[:, 16:20].any() and (successors[:, 12:16].sum(axis=1) == 1).all()
            assert not observations[:, 20:].any() and (observations[:, :4] == observations[:, 16:20]).all()
    assert earned == pytest.approx(3)


def test_gymnasiums_check_env_accepts_it_and_its_threshold_is_095():
    check_env(gymnasium.make(ID).unwrapped, skip_render_check=True)
    assert envs.make_vector(ID, 2).spec.reward_threshold == 0.95
    env, vector = gymnasium.make(ID, symbols=5), gymnasium.make_vec(ID, 3, symbols=5)
    assert env.observation_space == vector.single_observation_space == gymnasium.spaces.Box(0, 1, (5,))
    assert env.action_space == vector.single_action_space == gymnasium.spaces.Discrete(5)
