"""POPGym's CountRecall: at every step the agent must say how often it has seen one kind of card."""

import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete

from envs.popgym.cards import DECK, KINDS, AnswersVectorEnv, kind_of, require_kind, require_whole, shuffled
from envs.popgym.forms import PopgymEnv


class CountRecallVectorEnv(AnswersVectorEnv):
    """Deals a card and a query at each step, and asks how many cards of the query's kind it has dealt.

    Cards and queries come from two shuffles of `num_decks` decks: n = 52 num_decks. `deck_type` says of what kind they
    are: "colors" (d = 2), "suits" (d = 4) or "ranks" (d = 13). The card that is shown beside a query counts. An episode
    has n - 1 steps and is terminated after the last one, when all cards have been dealt.

    Observation: the kinds of card and query, each 0 to d - 1, as two one-hots side by side, float32 [2d].
    Action: a count, 0 to n / d.
    Reward: 1 / (n - 1) for the right count, -1 / (n - 1) for any other one. The optimum is 1.

    Easy has 1 deck, colours, 27 actions and 51 steps; Medium 2 decks, suits, 27 actions and 103 steps; Hard 4 decks,
    ranks, 17 actions and 207 steps.

    Oddities of the package: it describes a reward that falls with the error (`error_clamp`), but a count is right or
    wrong. Queries come from a deck too, so that no kind is asked for more often than another in an episode.

    S. Morad et al., *POPGym: Benchmarking Partially Observable Reinforcement Learning*, ICLR 2023, arXiv 2303.01859.

    Raises:
        ValueError: num_decks < 1, or a `deck_type` that is none of the three.
    """

    def __init__(self, num_envs: int = 1, num_decks: int = 1, deck_type: str = "colors"):
        require_whole("num_decks", num_decks, 1)
        require_kind("deck_type", deck_type, tuple(KINDS))
        self._num_decks, self._deck_type, self._count = num_decks, deck_type, KINDS[deck_type]
        cards, one_hots = DECK * num_decks, np.eye(self._count, dtype=np.float32)
        rows = np.hstack((one_hots.repeat(self._count, axis=0), np.tile(one_hots, (self._count, 1))))
        observed, counts = MultiDiscrete([self._count] * 2), Discrete(cards // self._count + 1)
        super().__init__(num_envs, observed, counts, cards - 1, 1 / (cards - 1), rows)

    def _draw(self) -> tuple[np.ndarray, np.ndarray]:
        decks = [[shuffled(generator, self._num_decks) for _ in range(2)] for generator in self._generators]
        cards, queries = kind_of(np.array(decks)[..., ::-1], self._deck_type).transpose(1, 2, 0)  # [card, batch]
        counts = np.eye(self._count, dtype=np.int16).take(cards, axis=0)  # [card, batch, kind]
        counts.cumsum(axis=0, dtype=np.int16, out=counts)
        asked = counts.ravel().take(queries + self._count * np.arange(queries.size).reshape(queries.shape))
        return cards * self._count + queries, asked[:-1]


class CountRecallEnv(PopgymEnv):
    """One column of `CountRecallVectorEnv`, with the same arguments."""

    vector_form = CountRecallVectorEnv
