"""POPGym's Battleship: the agent shoots at a board that it never sees and is told only whether it hit."""

import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete

from envs.popgym.cards import require_whole
from envs.popgym.forms import PopgymEnv, PopgymVectorEnv

SHIPS = (2, 3, 3, 4)  # squares of each, in the order in which they are placed
ONE_STEP, NONE = np.array(1), np.array(0)  # NumPy would convert a number at each call
HALF = 0xFFFFFFFF  # the lower one of 64 bits


class BattleshipVectorEnv(PopgymVectorEnv):
    """Hides four ships of 2, 3, 3 and 4 squares on a board of n x n; the agent names one square at each step.

    A ship lies along a row or a column. Of all places that are free it has each with the same probability. Ships may
    touch.

    Observation: 1 if the last shot hit a square of a ship that was not hit before, else 0, and 0 at first; as a one-hot
    float32 [2]. It does not tell which square that was, so that the previous action must be seen (`--previous-action`)
    or remembered. Action: the square's two coordinates, each 0 to n - 1.
    Reward: 1 / 12 for a hit, -1 / (n² - 12) for any other shot. The optimum is 1. To name all n² squares once, the last
    of which is a ship's, earns 0.
    Episode: terminated when all 12 squares are hit, truncated after n² steps; both at once are possible.

    Easy has n = 8 and 64 steps, Medium n = 10 and 100 steps, Hard n = 12 and 144 steps.

    Oddities of the package: a second shot at a square that was hit shows 0 and costs as much as a miss. To miss n²
    times earns -n² / (n² - 12), -16 / 13 in Easy, which is below the -1 that the paper names as the least return.

    S. Morad et al., *POPGym: Benchmarking Partially Observable Reinforcement Learning*, ICLR 2023, arXiv 2303.01859.

    Raises:
        ValueError: board_size < 6. On a smaller board three ships may leave no place for the fourth.
    """

    def __init__(self, num_envs: int = 1, board_size: int = 10):
        require_whole("board_size", board_size, 6)
        super().__init__(num_envs, Discrete(2), MultiDiscrete([board_size, board_size]))
        self._size, self._length = board_size, np.array(board_size**2)
        self._places = [_places(board_size, ship) for ship in SHIPS]
        self._rewards = np.array([-1.0 / (board_size**2 - sum(SHIPS)), 1.0 / sum(SHIPS)])
        self._one_hots = np.eye(2, dtype=np.float32)
        # Squares of all columns stand one behind the other, row by row.
        self._weights = np.array([board_size, 1])
        self._offsets = board_size**2 * np.arange(num_envs)
        self._afloat = np.zeros(num_envs * board_size**2, dtype=bool)  # [square], of a ship and not hit yet
        self._left = np.zeros(num_envs, dtype=np.int64)  # how many of these
        self._hit = np.zeros(num_envs, dtype=bool)  # the last shot
        self._elapsed = np.zeros(num_envs, dtype=np.int64)

    def _start_episodes(self, columns: np.ndarray) -> None:
        ships = np.array([self._draw(self._generators[column]) for column in columns.tolist()])
        self._afloat.reshape(self.num_envs, -1)[columns] = False
        self._afloat[self._offsets[columns, None] + ships] = True
        self._left[columns] = sum(SHIPS)
        self._hit[columns] = False
        self._elapsed[columns] = 0

    def _draw(self, generator: np.random.Generator) -> list[int]:
        """Return the squares of all ships.

        The package calls `integers` twice for each attempt to place a ship: for the square where it begins and for its
        direction. That takes longer than all steps of the episode. Each of the four numbers is made of 32 random bits
        b, as ⌊b · count / 2³²⌋, and so they are here. (`integers(10)` draws again for 6 values of all 2³², and
        `integers(12)` for 4. This does not, so that one board in 10⁷ differs.)
        """
        raw, size, taken = generator.bit_generator.random_raw, self._size, set()
        for places in self._places:
            while True:
                start, direction = raw(2).tolist()
                row, column = (start & HALF) * size >> 32, (start >> 32) * size >> 32
                place = places[4 * (row * size + column) + (direction >> 30 & 2) + (direction >> 63)]
                if place is not None and place.isdisjoint(taken):
                    break
            taken |= place
        return list(taken)

    def _observe(self) -> np.ndarray:
        return self._one_hots.take(self._hit, axis=0)

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        squares = actions @ self._weights
        squares += self._offsets
        self._hit = self._afloat.take(squares)
        self._afloat[squares] = False
        self._left -= self._hit
        self._elapsed += ONE_STEP
        return self._rewards.take(self._hit), self._left == NONE, self._elapsed == self._length


class BattleshipEnv(PopgymEnv):
    """One column of `BattleshipVectorEnv`, with the same arguments."""

    vector_form = BattleshipVectorEnv


def _places(board_size: int, ship: int) -> list[frozenset[int] | None]:
    """Return the squares of a ship for each square where it begins and each of four directions; None: it does not fit.

    The directions are those of the package: 0 and 1 go to larger and to smaller rows, 2 and 3 to larger and to smaller
    columns.
    """
    places = []
    for row, column, *direction in np.ndindex(board_size, board_size, 2, 2):
        along_row, backwards = direction
        steps = np.arange(ship) * (-1 if backwards else 1)
        rows, columns = row + steps * (1 - along_row), column + steps * along_row
        inside = min(rows.min(), columns.min()) >= 0 and max(rows.max(), columns.max()) < board_size
        places.append(frozenset((board_size * rows + columns).tolist()) if inside else None)
    return places
