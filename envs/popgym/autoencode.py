"""POPGym's Autoencode: the agent sees all cards, then it must name their suits in reverse order."""

import numpy as np
from gymnasium.spaces import Discrete, Tuple

from envs.popgym.cards import DECK, SUITS, AnswersVectorEnv, kind_of, require_whole
from envs.popgym.forms import PopgymEnv

PLAY, WATCH = 0, 1
ROWS = np.hstack((np.eye(2).repeat(SUITS, axis=0), np.tile(np.eye(SUITS), (2, 1)))).astype(np.float32)


class AutoencodeVectorEnv(AnswersVectorEnv):
    """Deals all cards, one at a step, then asks for their suits, the last card first.

    The cards are those of `num_decks` shuffled decks: n = 52 num_decks. The first n - 1 actions are not answers. The
    next n are, from the observation of the last card on. An episode has 2n - 1 steps and is terminated after the last.

    Observation: whether the agent plays (0) or watches (1), and the suit of the present card, 0 to 3; as two one-hots
    side by side, float32 [2 + 4], the entries "0" and "1". Action: a suit, 0 to 3.
    Reward: 1 / n for the right suit, -1 / n for a wrong one, 0 for the first n - 1 actions. The optimum is 1; chance
    earns -1/2.

    Easy has 1 deck and 103 steps, Medium 2 decks and 207 steps, Hard 3 decks and 311 steps.

    Oddities of the package: the last card is shown when the agent plays already, and the first answer is the suit that
    is shown beside the question. While the agent answers, the observation is suit 0, as if such a card were there.

    S. Morad et al., *POPGym: Benchmarking Partially Observable Reinforcement Learning*, ICLR 2023, arXiv 2303.01859.

    Raises:
        ValueError: num_decks < 1.
    """

    def __init__(self, num_envs: int = 1, num_decks: int = 1):
        require_whole("num_decks", num_decks, 1)
        self._num_decks, self._cards = num_decks, DECK * num_decks
        observed, suits = Tuple((Discrete(2), Discrete(SUITS))), Discrete(SUITS)
        super().__init__(num_envs, observed, suits, 2 * self._cards - 1, 1 / self._cards, ROWS)

    def _draw(self) -> tuple[np.ndarray, np.ndarray]:
        suits = kind_of(self._decks(self._num_decks), "suits")
        shown = np.full_like(self._shown, PLAY * SUITS)
        shown[: self._cards - 1] = WATCH * SUITS + suits[:-1]
        shown[self._cards - 1] = PLAY * SUITS + suits[-1]
        nothing = np.full((self._cards - 1, self.num_envs), -1)
        return shown, np.concatenate((nothing, suits[::-1]))


class AutoencodeEnv(PopgymEnv):
    """One column of `AutoencodeVectorEnv`, with the same arguments."""

    vector_form = AutoencodeVectorEnv
