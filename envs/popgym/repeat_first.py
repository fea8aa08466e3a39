"""POPGym's RepeatFirst: at every step the agent must name the suit of the first card."""

import numpy as np
from gymnasium.spaces import Discrete

from envs.popgym.cards import DECK, SUITS, AnswersVectorEnv, kind_of, require_whole
from envs.popgym.forms import PopgymEnv


class RepeatFirstVectorEnv(AnswersVectorEnv):
    """Deals a card at each step and asks every time for the suit of the first card.

    The cards are those of `num_decks` shuffled decks: n = 52 num_decks. An episode has n - 1 steps and is terminated
    after the last one, when all cards have been dealt.

    Observation: the suit of the present card, 0 to 3, as a one-hot float32 [4]. Action: a suit, 0 to 3.
    Reward: 1 / (n - 1) for the right suit, -1 / (n - 1) for a wrong one. The optimum is 1; chance earns -1/2.

    Easy has 1 deck and 51 steps, Medium 8 decks and 415 steps, Hard 16 decks and 831 steps.

    An oddity of the package: its docstring promises a mark on the first card, and there is none. Without a memory of
    time nothing tells the first card from the others.

    S. Morad et al., *POPGym: Benchmarking Partially Observable Reinforcement Learning*, ICLR 2023, arXiv 2303.01859.

    Raises:
        ValueError: num_decks < 1.
    """

    def __init__(self, num_envs: int = 1, num_decks: int = 1):
        require_whole("num_decks", num_decks, 1)
        length, suits = DECK * num_decks - 1, Discrete(SUITS)
        super().__init__(num_envs, suits, suits, length, 1 / length, np.eye(SUITS, dtype=np.float32))
        self._num_decks = num_decks

    def _draw(self) -> tuple[np.ndarray, np.ndarray]:
        suits = kind_of(self._decks(self._num_decks), "suits")
        return suits, np.broadcast_to(suits[0], (self._length, self.num_envs))


class RepeatFirstEnv(PopgymEnv):
    """One column of `RepeatFirstVectorEnv`, with the same arguments."""

    vector_form = RepeatFirstVectorEnv
