"""POPGym's Battleship: what shots show and earn, where ships lie, and the oddities of the package."""

import numpy as np
import pytest

import envs
from envs.popgym.battleship import SHIPS, BattleshipVectorEnv
from tests.support.popgym import assert_equals_official

LEVELS = ["BattleshipEasy", "BattleshipMedium", "BattleshipHard"]


def put_board(official, ours, column):
    ours._afloat.reshape(ours.num_envs, -1)[column] = official.board.ravel()


def of_ships(board):
    return np.argwhere(board).tolist()


class Column:
    """One column of Easy, whose board is known."""

    def __init__(self):
        self.vector = BattleshipVectorEnv(1, board_size=8)
        assert self.vector.reset(seed=0)[0].tolist() == [[1, 0]]
        self.board = self.vector._afloat.reshape(8, 8).copy()
        self.ships, self.water = of_ships(self.board), of_ships(~self.board)

    def shoot(self, square):
        """Return whether the observation says hit, the reward, terminated and truncated."""
        observations, [reward], [terminated], [truncated], infos = self.vector.step(np.array([square]))
        [[miss, hit]] = infos["final_obs"] if infos else observations
        assert miss == 1 - hit
        return bool(hit), reward, bool(terminated), bool(truncated)


@pytest.mark.parametrize("name", LEVELS)
def test_players_that_sink_all_ships_with_the_packages_boards_and_other_seeds_see_and_earn_the_same(name):
    """Of 10 shots 7 are at a ship, hit before or not, so that hit squares are shot at again. Who hits all earns over 0."""
    generator = np.random.default_rng(0)

    def act(official):
        size = official.board_size
        return generator.choice(of_ships(official.board)) if generator.random() < 0.7 else generator.integers(size, size=2)

    returns = assert_equals_official(name, 30, put=put_board, act=lambda singles: [act(one) for one in singles])
    assert np.mean(returns > 0) > 0.8 and returns.min() < 0.5 < returns.max() < 1


@pytest.mark.parametrize("name", LEVELS)
def test_who_knows_the_board_earns_1_in_12_shots_as_in_the_package(name):
    def next_square(official):
        return of_ships(official.board & (1 - official.guesses))[0]

    returns = assert_equals_official(name, 20, act=lambda singles: [next_square(one) for one in singles])
    assert returns == pytest.approx(1, abs=1e-12)


def test_the_twelfth_hit_terminates_and_earns_a_twelfth():
    column = Column()
    assert len(column.ships) == 12
    ends = [column.shoot(square) for square in column.ships]
    assert ends == [(True, 1 / 12, False, False)] * 11 + [(True, 1 / 12, True, False)]


@pytest.mark.parametrize(("size", "steps"), [(8, 64), (10, 100), (12, 144)])
def test_it_is_truncated_after_as_many_shots_as_there_are_squares(size, steps):
    vector = BattleshipVectorEnv(3, board_size=size)
    vector.reset(seed=0)
    shots = np.zeros((3, 2), dtype=np.int64)
    ends = [vector.step(shots)[2:4] for _ in range(2 * steps)]
    assert not np.any([terminated for terminated, _ in ends])
    assert [truncated.tolist() for _, truncated in ends] == 2 * ([[False] * 3] * (steps - 1) + [[True] * 3])


def test_naming_all_squares_once_and_a_ship_last_earns_0_and_sets_both_flags():
    column = Column()
    ends = [column.shoot(square) for square in [*column.water, *column.ships]]
    assert len(ends) == 64 and ends[-1] == (True, 1 / 12, True, True) and ends[-2][2:] == (False, False)
    assert sum(reward for _, reward, _, _ in ends) == pytest.approx(0, abs=1e-12)


def test_oddity_a_second_shot_at_a_square_that_was_hit_shows_and_costs_a_miss():
    column = Column()
    ship, water = column.ships[0], column.water[0]
    assert column.shoot(ship) == (True, 1 / 12, False, False)
    assert column.shoot(ship) == column.shoot(water) == (False, -1 / 52, False, False)
    returns = assert_equals_official("BattleshipEasy", 10, act=lambda singles: [of_ships(one.board)[0] for one in singles])
    assert returns == pytest.approx(1 / 12 - 63 / 52, abs=1e-12)


def test_oddity_missing_64_times_earns_minus_16_13ths_which_is_less_than_minus_1():
    returns = assert_equals_official(
        "BattleshipEasy", 10, act=lambda singles: [of_ships(one.board == 0)[0] for one in singles]
    )
    assert returns == pytest.approx(-16 / 13, abs=1e-12)


@pytest.mark.parametrize("size", [8, 10, 12])
def test_the_boards_of_300_episodes_are_those_of_the_package_with_the_same_seed(size):
    official = pytest.importorskip("popgym.envs.battleship").Battleship(board_size=size)
    official.reset(seed=5)
    vector = BattleshipVectorEnv(1, board_size=size)
    vector.reset(seed=5)
    for _ in range(300):
        assert (vector._afloat.reshape(size, size) == official.board).all()
        vector.reset()
        official.reset()


def test_the_first_ship_has_each_of_its_112_places_equally_often_and_ships_do_not_overlap():
    """8 · 7 places along rows and 8 · 7 along columns. χ² with 111 degrees of freedom: 163 is exceeded in 1 of 1000."""
    vector = BattleshipVectorEnv(5600, board_size=8)
    vector.reset(seed=0)
    assert (vector._afloat.reshape(5600, -1).sum(axis=1) == 12).all()
    vector._places = vector._places[:1]  # only the first
    places = [tuple(sorted(vector._draw(generator))) for generator in vector._generators]
    found, counts = np.unique(places, axis=0, return_counts=True)
    assert set((found[:, 1] - found[:, 0]).tolist()) == {1, 8}
    assert len(counts) == 112 and ((counts - 50) ** 2 / 50).sum() < 163


def test_ships_of_2_3_3_and_4_squares_find_places_on_the_smallest_board_of_6_by_6():
    vector = BattleshipVectorEnv(500, board_size=6)
    vector.reset(seed=0)
    assert SHIPS == (2, 3, 3, 4) and (vector._afloat.reshape(500, -1).sum(axis=1) == 12).all()


@pytest.mark.parametrize("size", [5, 8.0, "large"])
def test_a_wrong_size_is_refused_in_one_line(size):
    with pytest.raises(ValueError) as error:
        envs.make_vector("popgym-fast/BattleshipEasy-v0", 2, env_args={"board_size": size})
    assert str(error.value).endswith(f": board_size must be an integer of at least 6, got {size!r}")
