"""POPGym's games of cards: what perfect play earns, what chance earns, and the oddities of the package."""

import numpy as np
import pytest

import envs
from envs.popgym.autoencode import AutoencodeVectorEnv
from envs.popgym.cards import kind_of
from envs.popgym.count_recall import CountRecallVectorEnv
from envs.popgym.higher_lower import HigherLowerVectorEnv
from envs.popgym.repeat_first import RepeatFirstVectorEnv
from envs.popgym.repeat_previous import RepeatPreviousVectorEnv
from envs.popgym.table import POPGYM, fast_id
from tests.support.bits import assert_bit_equal
from tests.support.popgym import assert_equals_official


def first_suit(env):
    return env.card


def suit_of_k_minus_1_steps_before(env):
    hand = env.deck["player"]
    return env.deck.suits_idx[hand[-env.k]] if len(hand) >= env.k else 0


def last_suit_that_is_left(env):
    return env.deck.suits_idx[env.deck["system"][-1]]


def count_of_the_query(env):
    return env.counts[env.query]


ORACLES = {
    "RepeatFirst": first_suit,
    "RepeatPrevious": suit_of_k_minus_1_steps_before,
    "Autoencode": last_suit_that_is_left,
    "CountRecall": count_of_the_query,
}


@pytest.mark.parametrize("name", [name for name, *_ in POPGYM if name.removesuffix("Easy") in ORACLES])
def test_the_right_answers_earn_1_here_and_in_the_package(name):
    oracle = ORACLES[name.removesuffix("Easy")]
    returns = assert_equals_official(name, 20, act=lambda singles: [oracle(one) for one in singles])
    assert returns == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        *(("RepeatFirstEasy", 51), ("RepeatFirstMedium", 415), ("RepeatFirstHard", 831)),
        *(("RepeatPreviousEasy", 51), ("RepeatPreviousMedium", 103), ("RepeatPreviousHard", 155)),
        *(("AutoencodeEasy", 103), ("AutoencodeMedium", 207), ("AutoencodeHard", 311)),
        *(("CountRecallEasy", 51), ("CountRecallMedium", 103), ("CountRecallHard", 207)),
        *(("HigherLowerEasy", 51), ("HigherLowerMedium", 103), ("HigherLowerHard", 155)),
    ],
)
def test_an_episode_has_as_many_steps_as_its_docstring_says_and_is_terminated(name, steps):
    vector, actions = envs.make_vector(fast_id(name), 2), np.zeros(2, dtype=np.int64)
    vector.reset(seed=0)
    for step in range(1, 2 * steps + 1):
        _, _, terminated, truncated, _ = vector.step(actions)
        assert terminated.tolist() == [step % steps == 0] * 2 and not truncated.any()


@pytest.mark.parametrize(("name", "deviation"), [("RepeatFirstEasy", 0.27), ("RepeatPreviousEasy", 0.13)])
def test_chance_earns_minus_a_half(name, deviation):
    """Of 400 episodes a return has this standard deviation (the 13 cards of the first suit; 48 answers)."""
    vector, earned = envs.make_vector(fast_id(name), 400), np.zeros(400)
    vector.reset(seed=0)
    vector.action_space.seed(0)
    for _ in range(51):
        earned += vector.step(vector.action_space.sample())[1]
    assert earned.mean() == pytest.approx(-0.5, abs=4 * deviation / 20)


def test_cards_are_numbered_by_deck_then_rank_then_suit():
    cards = np.array([0, 1, 4, 51, 52, 57])
    assert kind_of(cards, "suits").tolist() == [0, 1, 0, 3, 0, 1]
    assert kind_of(cards, "ranks").tolist() == [0, 0, 1, 12, 0, 1]
    assert kind_of(cards, "colors").tolist() == [0, 1, 0, 1, 0, 1]


def test_all_ranks_come_first_equally_often_and_a_second_card_equals_the_first_in_3_of_51_episodes():
    """χ² of 13 ranks has 12 degrees of freedom: 32.9 is exceeded in 1 of 1000 cases. 4000 episodes have 235 equal
    ranks, standard deviation 14.9; with replacement there would be 308."""
    vector = HigherLowerVectorEnv(4000)
    first = vector.reset(seed=0)[0].argmax(axis=1)
    second = vector.step(np.zeros(4000, dtype=np.int64))[0].argmax(axis=1)
    counts = np.bincount(first, minlength=13)
    assert ((counts - 4000 / 13) ** 2 / (4000 / 13)).sum() < 32.9
    assert abs((first == second).sum() - 4000 * 3 / 51) < 4 * 14.9


def test_every_deck_is_dealt_to_its_last_card():
    """Of one deck 13 cards of each suit are shown, of which the last one is the final observation."""
    vector = RepeatPreviousVectorEnv(5)
    shown = vector.reset(seed=0)[0]
    for _ in range(51):
        observations, *_, infos = vector.step(np.zeros(5, dtype=np.int64))
        shown = shown + (infos["final_obs"] if infos else observations)
    assert (shown == 13).all()


def test_oddity_nothing_marks_the_first_card():
    """The package's docstring says that there is an indicator; the space has four suits and nothing else."""
    assert_equals_official("RepeatFirstEasy", 1)
    assert RepeatFirstVectorEnv().single_observation_space.shape == (4,)


def test_oddity_k_of_1_asks_for_the_card_that_is_shown():
    vector = RepeatPreviousVectorEnv(3, k=1)
    observations, rewards = vector.reset(seed=0)[0], []
    for _ in range(51):
        observations, reward, *_ = vector.step(observations.argmax(axis=1))
        rewards.append(reward)
    assert_bit_equal(np.array(rewards), np.full((51, 3), 1 / 51))
    official = pytest.importorskip("popgym.envs.repeat_previous").RepeatPrevious(k=1)
    shown, _ = official.reset(seed=0)
    assert [official.step(shown)[1]] == [1 / 51]


def test_oddity_the_last_card_is_shown_when_the_agent_plays_already_and_then_suit_0():
    """In the observation [play, watch, four suits] 51 cards are watched. The first answer is the suit that is shown."""
    vector = AutoencodeVectorEnv(1)
    rows = [vector.reset(seed=0)[0][0]]
    for _ in range(102):
        rows.append(vector.step(np.array([rows[-1][2:].argmax()]))[0][0])
    modes, suits = np.array(rows)[:, :2], np.array(rows)[:, 2:]
    assert modes.tolist() == [[0, 1]] * 51 + [[1, 0]] * 52
    assert suits[:52].sum(axis=0).tolist() == [13] * 4 and (suits[52:] == [1, 0, 0, 0]).all()
    vector.reset(seed=0)
    rewards = [vector.step(np.array([row.argmax()]))[1][0] for row in suits[:52]]
    assert rewards == [0.0] * 51 + [1 / 52]


def test_oddity_a_count_that_is_wrong_by_1_costs_as_much_as_one_that_is_wrong_by_26():
    """The package says that the reward falls with the error up to `error_clamp`."""
    for wrong in (1, 26):
        vector = CountRecallVectorEnv(20)
        card, query = np.split(vector.reset(seed=0)[0], 2, axis=1)
        right = (card * query).sum(axis=1).astype(np.int64)  # 1 where the first card is of the query's kind, else 0
        assert {0, 1} == set(right.tolist())
        assert_bit_equal(vector.step((right + wrong) % 27)[1], np.full(20, -1 / 51))


@pytest.mark.parametrize("decks", [1, 3])
def test_oddity_a_prophet_earns_less_than_1_since_51_guesses_earn_1_52th_each(decks):
    vector = HigherLowerVectorEnv(4, num_decks=decks)
    ranks, guesses, cards = [vector.reset(seed=0)[0].argmax(axis=1)], vector._right.copy(), 52 * decks
    earned = np.zeros(4)
    for guess in guesses:
        observations, rewards, *_, infos = vector.step(np.maximum(guess, 0))
        earned += rewards
        ranks.append((infos["final_obs"] if infos else observations).argmax(axis=1))
    ties = (np.diff(ranks, axis=0) == 0).sum(axis=0)
    assert ties.min() > 0
    assert earned == pytest.approx((cards - 1 - ties) / cards, abs=1e-12)


def test_a_prophet_of_higher_lower_earns_the_same_in_the_package():
    def guess(env):
        present, following = (
            env.deck.ranks_idx[card] for card in (env.deck["player"][-1], env.deck.idx[len(env.deck) - 1])
        )
        return int(following < present)

    returns = assert_equals_official("HigherLowerEasy", 20, act=lambda singles: [guess(one) for one in singles])
    assert 0.8 < returns.min() < returns.max() < 1


CASES = [
    (RepeatFirstVectorEnv, {"num_decks": 0}, "num_decks must be an integer of at least 1, got 0"),
    (AutoencodeVectorEnv, {"num_decks": 1.5}, "num_decks must be an integer of at least 1, got 1.5"),
    (RepeatPreviousVectorEnv, {"k": 0}, "k must be an integer from 1 to 51, got 0"),
    (RepeatPreviousVectorEnv, {"k": 52}, "k must be an integer from 1 to 51, got 52"),
    (CountRecallVectorEnv, {"deck_type": "jokers"}, "deck_type must be one of colors, suits, ranks, got 'jokers'"),
    (HigherLowerVectorEnv, {"num_decks": "two"}, "num_decks must be an integer of at least 1, got 'two'"),
]


@pytest.mark.parametrize(("form", "arguments", "message"), CASES)
def test_a_wrong_argument_is_refused_in_one_line_that_names_it(form, arguments, message):
    with pytest.raises(ValueError) as error:
        form(2, **arguments)
    assert str(error.value) == message
    name = f"popgym-fast/{form.__name__.removesuffix('VectorEnv')}Easy-v0"
    with pytest.raises(ValueError) as error:
        envs.make_vector(name, 2, env_args=arguments)
    assert str(error.value) == f"cannot make environment '{name}' with {arguments}: {message}"
