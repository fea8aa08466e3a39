"""POPGym's Concentration: the agent turns cards over two at a time and must find the pairs."""

import math

import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete

from envs.popgym.cards import DECK, KINDS, kind_of, require_kind, require_whole, shuffled
from envs.popgym.forms import PopgymEnv, PopgymVectorEnv


class ConcentrationVectorEnv(PopgymVectorEnv):
    """Lays shuffled cards face down; the agent turns one at each step, and two equal ones in a turn stay face up.

    There are n = 52 num_decks cards, and `deck_type` says when two are equal: "colors" (d = 2) or "ranks" (d = 13). A
    turn is a first and a second card. A card that is face up already ends the turn. Both cards of a turn that found
    nothing are face down again in the next observation.

    Observation: each card as 0 to d - 1, or d where it is face down; as n one-hots side by side, float32 [n (d + 1)].
    What a step turns over is in its observation. Action: the place of a card, 0 to n - 1.
    Reward: with L = ⌈2n - n / (2n - 1)⌉, at the end of a turn, 1 / (n / 2) for a pair; -2 / L for two cards that are
    not equal, for the same card twice and for a second card that is face up; -1 / L for a first card that is face up.
    The first card earns 0 otherwise. The optimum is 1.
    Episode: terminated when all cards are face up, truncated after L steps; both at once are possible.

    Easy has 1 deck and colours, 52 cards and L = 104; Medium 2 decks and colours, 104 cards and L = 208; Hard 1 deck
    and ranks, 52 cards and L = 104.

    An oddity of the package: an observation shows a pair and a miss alike, as two cards that are face up. Which it was
    is seen in the reward or in the next observation, and which card was turned over in the previous action.

    S. Morad et al., *POPGym: Benchmarking Partially Observable Reinforcement Learning*, ICLR 2023, arXiv 2303.01859.

    Raises:
        ValueError: num_decks < 1, or a `deck_type` that is neither of the two.
    """

    def __init__(self, num_envs: int = 1, num_decks: int = 1, deck_type: str = "ranks"):
        require_whole("num_decks", num_decks, 1)
        require_kind("deck_type", deck_type, ("colors", "ranks"))
        cards, down = DECK * num_decks, KINDS[deck_type]
        super().__init__(num_envs, MultiDiscrete([down + 1] * cards), Discrete(cards))
        self._num_decks, self._deck_type, self._cards = num_decks, deck_type, cards
        self._length = math.ceil(2 * cards - cards / (2 * cards - 1))
        success, failure = 1 / (cards // 2), -1 / self._length
        # 1 for a card that is face up, 2 for a second card, 4 for a pair
        self._rewards = np.array([0.0, failure, 2 * failure, 2 * failure, 0.0, 0.0, success])
        # Cards of all columns stand one behind the other. One more is no card at all.
        self._none = num_envs * cards
        self._offsets = cards * np.arange(num_envs)
        self._faces = np.eye(down + 1, dtype=np.float32)  # the last one is face down
        self._kinds = np.full(self._none + 1, down)  # [card]
        self._up = np.zeros(self._none + 1, dtype=bool)  # [card], found as part of a pair
        self._seen = np.zeros((self._none + 1, down + 1), dtype=np.float32)  # [card, feature]
        self._first = np.full(num_envs, self._none)  # the first card of a turn
        self._to_hide = np.zeros(0, dtype=np.int64)  # cards that the next step turns face down again
        self._pairs_left = np.zeros(num_envs, dtype=np.int64)
        self._elapsed = np.zeros(num_envs, dtype=np.int64)

    def _start_episodes(self, columns: np.ndarray) -> None:
        decks = np.array([shuffled(self._generators[column], self._num_decks) for column in columns.tolist()])
        places = self._offsets[columns, None] + np.arange(self._cards)
        self._kinds[places] = kind_of(decks, self._deck_type)
        self._up[places] = False
        self._seen[places] = self._faces[-1]
        self._first[columns] = self._none
        self._pairs_left[columns] = self._cards // 2
        self._elapsed[columns] = 0

    def _observe(self) -> np.ndarray:
        return self._seen[:-1].reshape(self.num_envs, -1).copy()

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first, card = self._first, self._offsets + actions
        kinds, up, second = self._kinds.take(card), self._up.take(card), first != self._none
        self._seen[self._to_hide] = self._faces[-1]
        self._seen[card] = self._faces.take(kinds, axis=0)

        pair = (self._kinds.take(first) == kinds) & (first != card) & ~up  # no card has a kind of its own
        over = up | second
        missed = over & ~pair
        self._to_hide = np.concatenate((first[missed], card[missed & ~up]))
        self._first = np.where(over, self._none, card)
        if np.count_nonzero(pair):
            self._up[first[pair]] = self._up[card[pair]] = True
            self._pairs_left -= pair
        self._elapsed += 1
        return self._rewards.take(up + 2 * second + 4 * pair), self._pairs_left == 0, self._elapsed == self._length


class ConcentrationEnv(PopgymEnv):
    """One column of `ConcentrationVectorEnv`, with the same arguments."""

    vector_form = ConcentrationVectorEnv
