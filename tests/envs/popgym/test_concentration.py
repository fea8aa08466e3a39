"""POPGym's Concentration: what every kind of turn shows and earns, and how episodes end."""

import numpy as np
import pytest

import envs
from envs.popgym.concentration import ConcentrationVectorEnv
from envs.popgym.table import fast_id
from tests.support.popgym import assert_equals_official

DOWN = 2  # of colours; 0 and 1 are face up
L = 104


class Table:
    """One column, whose cards are all known: `equal[i]` are the places of the cards that equal that at place i."""

    def __init__(self):
        self.vector = ConcentrationVectorEnv(1, deck_type="colors")
        self.reset()

    def reset(self):
        self.seen = self._look(self.vector.reset(seed=3)[0])
        self.kinds = self.vector._kinds[:-1].tolist()

    def _look(self, observations):
        return observations.reshape(52, 3).argmax(axis=1).tolist()

    def place(self, kind, number):
        """The place of the card with this number among those of a kind."""
        return [place for place, one in enumerate(self.kinds) if one == kind][number]

    def turn(self, place):
        """Turn a card over; return the places that are face up, the reward and whether the episode has ended."""
        observations, [reward], [terminated], [truncated], infos = self.vector.step(np.array([place]))
        self.seen = self._look(infos["final_obs"] if infos else observations)
        up = {place: kind for place, kind in enumerate(self.seen) if kind != DOWN}
        assert up == {place: self.kinds[place] for place in up}
        return set(up), reward, terminated, truncated


def test_a_pair_stays_face_up_and_a_miss_is_face_down_in_the_next_observation():
    table = Table()
    black, white, other = table.place(0, 0), table.place(1, 0), table.place(0, 1)
    assert set(table.seen) == {DOWN}
    assert table.turn(black)[:2] == ({black}, 0)
    assert table.turn(white)[:2] == ({black, white}, -2 / L)
    assert table.turn(other)[:2] == ({other}, 0)
    assert table.turn(black)[:2] == ({other, black}, 1 / 26)
    assert table.turn(white)[:2] == ({other, black, white}, 0)


def test_the_same_card_twice_costs_as_much_as_a_miss():
    table = Table()
    assert table.turn(7)[:2] == ({7}, 0)
    assert table.turn(7)[:2] == ({7}, -2 / L)
    assert table.turn(8)[:2] == ({8}, 0)


def test_a_card_that_is_face_up_already_ends_the_turn_and_costs_1_or_2():
    """As a second card it costs 2 / L, and the first card is face down again in the next observation."""
    table = Table()
    pair, [first, last] = {table.place(0, 0), table.place(0, 1)}, [table.place(1, 0), table.place(1, 1)]
    for place in sorted(pair):
        table.turn(place)
    for place in sorted(pair):
        assert table.turn(place)[:2] == (pair, -1 / L)
    assert table.turn(first)[:2] == (pair | {first}, 0)
    assert table.turn(min(pair))[:2] == (pair | {first}, -2 / L)
    assert table.turn(last)[:2] == (pair | {last}, 0)
    assert table.turn(first)[:2] == (pair | {first, last}, 1 / 26)


def test_missing_in_every_turn_earns_minus_1_and_is_truncated_after_104_steps():
    table, earned = Table(), 0.0
    for step in range(1, L + 1):
        _, reward, terminated, truncated = table.turn(table.place(step % 2, 0))
        earned += reward
        assert (terminated, truncated) == (False, step == L)
    assert earned == pytest.approx(-1, abs=1e-12)


@pytest.mark.parametrize("wasted", [0, 51, 52, 53])
def test_the_last_pair_terminates_and_in_step_104_both_flags_are_true(wasted):
    """52 steps find all pairs. Turning a card that is face up already wastes a step; 53 are one too many."""
    table = Table()
    first, second, *others = [table.place(kind, number) for kind in (0, 1) for number in range(26)]
    ends = [table.turn(place)[2:] for place in [first, second, *[first] * wasted, *others][:L]]
    assert len(ends) == min(52 + wasted, L) and not np.any(ends[:-1])
    assert ends[-1] == (wasted < 53, wasted >= 52)


@pytest.mark.parametrize("name", ["ConcentrationEasy", "ConcentrationMedium", "ConcentrationHard"])
def test_a_prophet_earns_1_and_is_terminated_when_all_cards_are_up_as_in_the_package(name):
    def next_of_a_pair(env):
        kinds, up, playing = env.state, env.deck["face_up_idx"], env.deck["in_play_idx"]
        left = [place for place in range(len(kinds)) if place not in up and place not in playing]
        return next(place for place in left if not playing or kinds[place] == kinds[playing[0]])

    returns = assert_equals_official(name, 4, batch=2, act=lambda singles: [next_of_a_pair(one) for one in singles])
    assert returns == pytest.approx(1, abs=1e-12)


def test_players_that_miss_and_find_by_turns_equal_the_package_to_the_end():
    """Four of five actions are a prophet's, so that face-up cards, misses and ends in 104 steps all occur."""
    generator = np.random.default_rng(0)

    def act(env):
        kinds, up, playing = env.state, env.deck["face_up_idx"], env.deck["in_play_idx"]
        left = [place for place in range(52) if place not in up and place not in playing]
        fitting = [place for place in left if not playing or kinds[place] == kinds[playing[0]]]
        return generator.choice(fitting) if fitting and generator.random() < 0.8 else generator.integers(52)

    returns = assert_equals_official("ConcentrationHard", 40, act=lambda singles: [act(one) for one in singles])
    assert -0.2 < returns.min() < returns.max() < 1


@pytest.mark.parametrize(("name", "limit"), [("ConcentrationEasy", 104), ("ConcentrationMedium", 208)])
def test_it_is_truncated_at_its_limit(name, limit):
    vector = envs.make_vector(fast_id(name), 2)
    vector.reset(seed=0)
    ends = [vector.step(np.zeros(2, dtype=np.int64))[3].tolist() for _ in range(limit)]
    assert ends == [[False] * 2] * (limit - 1) + [[True] * 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"deck_type": "suits"}, "deck_type must be one of colors, ranks, got 'suits'"),
        ({"num_decks": 0}, "num_decks must be an integer of at least 1, got 0"),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line_that_names_it(arguments, message):
    with pytest.raises(ValueError) as error:
        ConcentrationVectorEnv(2, **arguments)
    assert str(error.value) == message
