"""POPGym's MineSweeper: what squares show and earn, where mines lie, and the oddities of the package."""

import numpy as np
import pytest

import envs
from envs.popgym.mine_sweeper import CLEAR, MINE, MineSweeperVectorEnv
from tests.support.popgym import assert_equals_official

LEVELS = {"MineSweeperEasy": (4, 2, 14), "MineSweeperMedium": (6, 6, 30), "MineSweeperHard": (8, 10, 54)}


def put_mines(official, ours, column):
    ours._squares.reshape(ours.num_envs, -1)[column] = official.hidden_grid.ravel()
    ours._counts.reshape(ours.num_envs, -1)[column] = official.neighbor_grid.ravel()


def squares_that_are(grid, kind):
    return np.argwhere(grid == kind).tolist()


def first_clear(official):
    return squares_that_are(official.hidden_grid, CLEAR)[0]


class Column:
    """One column of Easy, whose mines are known."""

    def __init__(self):
        self.vector = MineSweeperVectorEnv(1, difficulty="easy")
        assert self.vector.reset(seed=0)[0].tolist() == [[1, 0, 0]]
        grid = self.vector._squares.reshape(4, 4)
        self.mines, self.clear = squares_that_are(grid, MINE), squares_that_are(grid, CLEAR)

    def uncover(self, square):
        """Return the number that is shown, the reward, terminated and truncated."""
        observations, [reward], [terminated], [truncated], infos = self.vector.step(np.array([square]))
        [row] = infos["final_obs"] if infos else observations
        assert row.sum() == 1
        return int(row.argmax()), reward, bool(terminated), bool(truncated)


@pytest.mark.parametrize("name", LEVELS)
def test_players_that_avoid_most_mines_see_and_earn_the_same_with_the_packages_mines_and_other_seeds(name):
    """One square of 40 is any square, so that wins, mines, squares uncovered twice and truncations all occur."""
    generator, kinds = np.random.default_rng(0), []

    def act(official):
        size = official.dims[0]
        square = generator.integers(size, size=2).tolist() if generator.random() < 1 / 40 else first_clear(official)
        kinds.append(official.hidden_grid[tuple(square)])
        return square

    returns = assert_equals_official(name, 60, put=put_mines, act=lambda singles: [act(one) for one in singles])
    assert set(kinds) == {0, 1, 2} and returns.min() < 0.9
    assert returns.max() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", LEVELS)
def test_uncovering_all_clear_squares_earns_1_and_terminates_as_in_the_package(name):
    returns = assert_equals_official(name, 20, act=lambda singles: [first_clear(one) for one in singles])
    assert returns == pytest.approx(1, abs=1e-12)


def test_the_last_of_14_clear_squares_terminates_and_does_not_truncate():
    column = Column()
    ends = [column.uncover(square)[1:] for square in column.clear]
    assert ends == [(1 / 14, False, False)] * 13 + [(1 / 14, True, False)]


def test_a_square_shows_how_many_mines_lie_on_it_and_around_it_and_nothing_else_is_uncovered():
    column = Column()
    near = lambda one, other: max(abs(one[0] - other[0]), abs(one[1] - other[1])) <= 1  # noqa: E731
    numbers = [sum(near(square, mine) for mine in column.mines) for square in column.clear]
    assert {0, 1} <= set(numbers)
    assert [column.uncover(square)[0] for square in column.clear[:-1]] == numbers[:-1]


def test_oddity_a_mine_counts_itself_terminates_and_may_be_the_first_square():
    column = Column()
    number, reward, terminated, truncated = column.uncover(column.mines[0])
    assert number >= 1 and (reward, terminated, truncated) == (-0.5 - 1 / 14, True, False)
    returns = assert_equals_official(
        "MineSweeperEasy", 20, act=lambda singles: [squares_that_are(one.hidden_grid, MINE)[0] for one in singles]
    )
    assert returns == pytest.approx(-0.5 - 1 / 14, abs=1e-12)


def test_oddity_who_uncovers_one_square_twice_is_truncated_after_14_steps_with_one_clear_square_left():
    column = Column()
    ends = [column.uncover(square) for square in [column.clear[0], *column.clear[:13]]]
    assert [reward for _, reward, *_ in ends] == [1 / 14, -0.5 / 12] + [1 / 14] * 12
    assert ends[0][0] == ends[1][0]
    assert [end[2:] for end in ends] == [(False, False)] * 13 + [(False, True)]


def test_one_clear_square_12_times_it_again_and_then_a_mine_earn_the_least_minus_1():
    column = Column()
    ends = [column.uncover(square) for square in [column.clear[0]] * 13 + [column.mines[0]]]
    assert sum(reward for _, reward, *_ in ends) == pytest.approx(-1, abs=1e-12)
    assert ends[-1][2:] == (True, False)


@pytest.mark.parametrize("name", LEVELS)
def test_all_squares_hold_a_mine_equally_often(name):
    """χ² of n² squares has n² - 1 degrees of freedom; its mean and 4 standard deviations more bound it.

    Mines are drawn without replacement, which makes it smaller by a factor of 1 - mines / squares, or so."""
    size, mines, length = LEVELS[name]
    vector = envs.make_vector(f"popgym-fast/{name}-v0", 4000)
    vector.reset(seed=0)
    grid = vector._squares.reshape(4000, -1)
    assert (np.sum(grid == MINE, axis=1) == mines).all() and length == size**2 - mines
    counts, expected = np.sum(grid == MINE, axis=0), 4000 * mines / size**2
    degrees = size**2 - 1
    assert ((counts - expected) ** 2 / expected).sum() < degrees + 4 * np.sqrt(2 * degrees)


@pytest.mark.parametrize("level", ["easy", "medium", "hard"])
def test_the_mines_of_200_episodes_are_those_of_the_package_with_the_same_seed(level):
    official = pytest.importorskip("popgym.envs.minesweeper").MineSweeper(level)
    official.reset(seed=5)
    vector = MineSweeperVectorEnv(1, difficulty=level)
    vector.reset(seed=5)
    for _ in range(200):
        assert (vector._squares == official.hidden_grid.ravel()).all()
        assert (vector._counts == official.neighbor_grid.ravel()).all()
        vector.reset()
        official.reset()


def test_a_wrong_difficulty_is_refused_in_one_line():
    with pytest.raises(ValueError) as error:
        envs.make_vector("popgym-fast/MineSweeperEasy-v0", 2, env_args={"difficulty": "hardest"})
    assert str(error.value).endswith(": difficulty must be one of easy, medium, hard, got 'hardest'")
