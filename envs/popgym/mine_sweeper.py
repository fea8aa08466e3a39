"""POPGym's MineSweeper: the agent uncovers squares and is told how many mines lie around the last one."""

import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete

from envs.popgym.cards import require_kind
from envs.popgym.forms import PopgymEnv, PopgymVectorEnv

LEVELS = {"easy": (4, 2), "medium": (6, 6), "hard": (8, 10)}  # the side of the board, and the number of mines
CLEAR, MINE, VIEWED = range(3)


class MineSweeperVectorEnv(PopgymVectorEnv):
    """Hides m mines under the squares of a board of n x n; the agent uncovers one square at each step.

    L = n² - m squares are clear. All sets of m squares are equally likely to be the mines.

    Observation: how many mines lie on the square that was uncovered last and on its eight neighbours, and 0 at first;
    as a one-hot, float32 [min(m + 1, 10)]. It does not tell which square that was, so that the previous action must be
    seen (`--previous-action`) or remembered. Action: the square's two coordinates, each 0 to n - 1.
    Reward: 1 / L for a clear square, -1/2 / (L - 2) for one that was uncovered already, -1/2 - 1 / L for a mine. The
    optimum is 1, the least return -1.
    Episode: terminated by a mine, and when all clear squares are uncovered; else truncated after L steps.

    Easy has n = 4, m = 2 and 14 steps; Medium n = 6, m = 6 and 30 steps; Hard n = 8, m = 10 and 54 steps.

    Oddities of the package: an episode has exactly as many steps as there are clear squares, so that whoever uncovers
    one square twice cannot win any more. A mine counts itself. Other than in the game, nothing but the named square is
    uncovered where no mine is near, and the first square may be a mine.

    S. Morad et al., *POPGym: Benchmarking Partially Observable Reinforcement Learning*, ICLR 2023, arXiv 2303.01859.

    Raises:
        ValueError: a `difficulty` that is not easy, medium or hard.
    """

    def __init__(self, num_envs: int = 1, difficulty: str = "easy"):
        require_kind("difficulty", difficulty, tuple(LEVELS))
        self._size, self._mines = LEVELS[difficulty]
        numbers = min(self._mines + 1, 10)
        super().__init__(num_envs, Discrete(numbers), MultiDiscrete([self._size, self._size]))
        squares = self._size**2
        self._length = squares - self._mines
        self._rewards = np.array([1 / self._length, -0.5 - 1 / self._length, -0.5 / (self._length - 2)])
        self._one_hots = np.eye(numbers, dtype=np.float32)
        self._becomes = np.array([VIEWED, MINE, VIEWED], dtype=np.int8)
        rows, columns = np.divmod(np.arange(squares), self._size)
        near = [abs(coordinates - coordinates[:, None]) <= 1 for coordinates in (rows, columns)]
        self._near = np.logical_and(*near).astype(np.int8)  # [mine, square]
        # Squares of all environments stand one behind the other, row by row.
        self._weights = np.array([self._size, 1])
        self._offsets = squares * np.arange(num_envs)
        self._squares = np.full(num_envs * squares, CLEAR, dtype=np.int8)
        self._counts = np.zeros(num_envs * squares, dtype=np.int8)  # of mines on a square and beside it
        self._clear = np.zeros(num_envs, dtype=np.int64)  # how many are left
        self._shown = np.zeros(num_envs, dtype=np.int8)
        self._elapsed = np.zeros(num_envs, dtype=np.int64)

    def _start_episodes(self, columns: np.ndarray) -> None:
        generators = [self._generators[column] for column in columns.tolist()]
        mines = np.array([one.choice(self._size**2, self._mines, replace=False) for one in generators])
        self._squares.reshape(self.num_envs, -1)[columns] = CLEAR
        self._squares[self._offsets[columns, None] + mines] = MINE
        self._counts.reshape(self.num_envs, -1)[columns] = self._near[mines].sum(axis=1)
        self._clear[columns] = self._length
        self._shown[columns] = self._elapsed[columns] = 0

    def _observe(self) -> np.ndarray:
        return self._one_hots.take(self._shown, axis=0)

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        squares = actions @ self._weights
        squares += self._offsets
        found = self._squares.take(squares)
        self._squares[squares] = self._becomes.take(found)
        self._shown = self._counts.take(squares)
        self._clear -= found == CLEAR
        self._elapsed += 1
        terminated = (found == MINE) | (self._clear == 0)
        return self._rewards.take(found), terminated, (self._elapsed == self._length) & ~terminated


class MineSweeperEnv(PopgymEnv):
    """One column of `MineSweeperVectorEnv`, with the same arguments."""

    vector_form = MineSweeperVectorEnv
