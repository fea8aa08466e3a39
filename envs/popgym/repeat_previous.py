"""POPGym's RepeatPrevious: at every step the agent must name the suit of the card of some steps before."""

import numpy as np
from gymnasium.spaces import Discrete

from envs.popgym.cards import DECK, SUITS, AnswersVectorEnv, kind_of, require_whole
from envs.popgym.forms import PopgymEnv


class RepeatPreviousVectorEnv(AnswersVectorEnv):
    """Deals a card at each step and asks for the suit of the card of k - 1 steps before.

    The cards are those of `num_decks` shuffled decks: n = 52 num_decks. An episode has n - 1 steps and is terminated
    after the last one, when all cards have been dealt. The first k - 1 actions are not answers.

    Observation: the suit of the present card, 0 to 3, as a one-hot float32 [4]. Action: a suit, 0 to 3.
    Reward: 1 / (n - k) for the right suit, -1 / (n - k) for a wrong one, 0 for the first k - 1 actions. The optimum is
    1; chance earns -1/2.

    Easy has 1 deck, k = 4 and 51 steps; Medium 2 decks, k = 32 and 103 steps; Hard 3 decks, k = 64 and 155 steps.

    An oddity of the package: k counts the present card, so that k = 1 asks for the card that is shown, although its
    module says that this is the previous one. `envs.memory.repeat_previous` lists how it differs from this task.

    S. Morad et al., *POPGym: Benchmarking Partially Observable Reinforcement Learning*, ICLR 2023, arXiv 2303.01859.

    Raises:
        ValueError: num_decks < 1, or k is not from 1 to n - 1.
    """

    def __init__(self, num_envs: int = 1, num_decks: int = 1, k: int = 4):
        require_whole("num_decks", num_decks, 1)
        cards, suits = DECK * num_decks, Discrete(SUITS)
        require_whole("k", k, 1, cards - 1)
        super().__init__(num_envs, suits, suits, cards - 1, 1 / (cards - k), np.eye(SUITS, dtype=np.float32))
        self._num_decks, self._k = num_decks, k

    def _draw(self) -> tuple[np.ndarray, np.ndarray]:
        suits = kind_of(self._decks(self._num_decks), "suits")
        nothing = np.full((self._k - 1, self.num_envs), -1)
        return suits, np.concatenate((nothing, suits[: -self._k]))


class RepeatPreviousEnv(PopgymEnv):
    """One column of `RepeatPreviousVectorEnv`, with the same arguments."""

    vector_form = RepeatPreviousVectorEnv
