"""POPGym's HigherLower: at every step the agent must guess whether the next card is higher or lower."""

import numpy as np
from gymnasium.spaces import Discrete

from envs.popgym.cards import DECK, RANKS, AnswersVectorEnv, kind_of, require_whole
from envs.popgym.forms import PopgymEnv

HIGHER, LOWER, NEITHER = 0, 1, -1


class HigherLowerVectorEnv(AnswersVectorEnv):
    """Deals a card at each step and asks whether the rank of the next one is higher or lower.

    The cards are those of `num_decks` shuffled decks: n = 52 num_decks. An episode has n - 1 steps and is terminated
    after the last one, when all cards have been dealt. Who counts cards guesses better than who does not.

    Observation: the rank of the present card, 0 (ace) to 12 (king), as a one-hot float32 [13].
    Action: 0 for higher, 1 for lower.
    Reward: 1 / n for a right guess, -1 / n for a wrong one, 0 for both where the ranks are equal.

    Easy has 1 deck and 51 steps, Medium 2 decks and 103 steps, Hard 3 decks and 155 steps.

    An oddity of the package: n - 1 guesses earn 1 / n each, so that even a prophet earns less than 1.

    S. Morad et al., *POPGym: Benchmarking Partially Observable Reinforcement Learning*, ICLR 2023, arXiv 2303.01859.

    Raises:
        ValueError: num_decks < 1.
    """

    def __init__(self, num_envs: int = 1, num_decks: int = 1):
        require_whole("num_decks", num_decks, 1)
        cards, one_hots = DECK * num_decks, np.eye(RANKS, dtype=np.float32)
        super().__init__(num_envs, Discrete(RANKS), Discrete(2), cards - 1, 1 / cards, one_hots)
        self._num_decks = num_decks

    def _draw(self) -> tuple[np.ndarray, np.ndarray]:
        ranks = kind_of(self._decks(self._num_decks), "ranks")
        present, following = ranks[:-1], ranks[1:]
        return ranks, np.where(following == present, NEITHER, np.where(following > present, HIGHER, LOWER))


class HigherLowerEnv(PopgymEnv):
    """One column of `HigherLowerVectorEnv`, with the same arguments."""

    vector_form = HigherLowerVectorEnv
