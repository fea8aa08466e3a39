"""RepeatPrevious: at every step the agent must name the symbol that was shown some steps before."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from envs.vector.columns import ColumnsVectorEnv


class RepeatPreviousEnv(gymnasium.Env):
    """Shows one of `symbols` symbols at each step, and asks for the one that it showed `delay` steps ago.

    An episode has delay + questions steps, counted from 0. Its symbols are independent and equally likely. The action
    at step s is an answer from step `delay` on, and the right answer is the symbol of step s - delay. The episode is
    terminated after the last answer.

    Observation: float32 [symbols], a one-hot of the present symbol; zeros in the final observation.
    Reward: 1 / questions for a right answer, -1 / (questions (symbols - 1)) for a wrong one, 0 for the first `delay`
    steps. The optimum is 1. Without memory the expected return of every answer is exactly 0.

    If the state is zeroed every N steps, the symbol is known only where it was shown within the same N steps. That
    holds for N - delay of the N phases that a question can have. With phases equally likely the expected return is

        max(0, 1 - delay / N)

    Phases are equally likely if episodes start anywhere between two zeroings. If instead one episode of
    L = delay + questions steps follows the other from the first zeroing on, step s meets only the phases with the same
    remainder as s modulo g = gcd(L, N), each equally often. The expected return then is exactly

        1 / questions · Σ_{s = delay}^{L - 1} g / N · #{phase < N: phase = s (mod g) and phase ≥ delay}

    which is 0 for N ≤ delay, max(0, 1 - delay / N) again where g divides delay, and 1 where N is a multiple of L. With
    the defaults: 0 at N = 4, 0.25 at 5, 0.5 at 8, 0.75 at 16, 1 at 20, 0.875 at 32.

    POPGym's RepeatPrevious (Morad et al. 2023, arXiv 2303.01859) asks for the suits of cards and differs from this one.
    Its cards are drawn from shuffled decks, so that suits depend on one another. Its wrong answers cost what right ones
    earn, so that chance is -1/2. Its k counts the present card: k = 4 there is delay = 3 here.

    Raises:
        ValueError: symbols < 2, delay < 1 or questions < 1.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own convention)

    def __init__(self, symbols: int = 4, delay: int = 4, questions: int = 16):
        self.observation_space, self.action_space = _spaces(symbols, delay, questions)
        self._symbols, self._delay, self._questions = symbols, delay, questions

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._shown = _symbols_of(self.np_random.random(self._delay + self._questions), self._symbols).tolist()
        self._elapsed = 0
        return self._observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        reward = 0.0
        if self._elapsed >= self._delay:
            right = action == self._shown[self._elapsed - self._delay]
            reward = 1.0 / self._questions if right else -1.0 / (self._questions * (self._symbols - 1))
        self._elapsed += 1
        return self._observe(), reward, self._elapsed == self._delay + self._questions, False, {}

    def _observe(self) -> np.ndarray:
        observation = np.zeros(self._symbols, dtype=np.float32)
        if self._elapsed < self._delay + self._questions:
            observation[self._shown[self._elapsed]] = 1.0
        return observation


class RepeatPreviousVectorEnv(ColumnsVectorEnv):
    """A batch of `RepeatPreviousEnv`, equal to it step for step, with the same arguments."""

    def __init__(self, num_envs: int = 1, symbols: int = 4, delay: int = 4, questions: int = 16):
        super().__init__(num_envs, *_spaces(symbols, delay, questions))
        self._symbols, self._delay, self._length = symbols, delay, delay + questions
        self._right, self._wrong = 1.0 / questions, -1.0 / (questions * (symbols - 1))
        self._one_hot = np.eye(symbols + 1, symbols, dtype=np.float32)  # the last row, zeros, is for "no symbol"
        self._shown = np.full((num_envs, self._length + 1), symbols)  # the last is always "no symbol"
        self._elapsed = np.zeros(num_envs, dtype=np.int64)
        self._columns = np.arange(num_envs)

    def _start_episodes(self, columns: np.ndarray) -> None:
        uniforms = np.array([self._generators[column].random(self._length) for column in columns.tolist()])
        self._shown[columns, :-1] = _symbols_of(uniforms, self._symbols)
        self._elapsed[columns] = 0

    def _observe(self) -> np.ndarray:
        return self._one_hot[self._shown[self._columns, self._elapsed]]

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # Before the first question the index is negative, and `right` is not used.
        right = actions == self._shown[self._columns, self._elapsed - self._delay]
        rewards = np.where(self._elapsed >= self._delay, np.where(right, self._right, self._wrong), 0.0)
        self._elapsed += 1
        return rewards, self._elapsed == self._length, np.zeros(self.num_envs, dtype=bool)


def _spaces(symbols: int, delay: int, questions: int) -> tuple[Box, Discrete]:
    for name, value, least in (("symbols", symbols, 2), ("delay", delay, 1), ("questions", questions, 1)):
        if not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"RepeatPrevious needs {name} to be an integer of at least {least}, got {value!r}")
    return Box(0.0, 1.0, (symbols,), dtype=np.float32), Discrete(symbols)


def _symbols_of(uniforms: np.ndarray, symbols: int) -> np.ndarray:
    """Return symbols 0..symbols - 1 from uniforms on [0, 1): a generator's `integers` takes three times as long."""
    return np.floor(uniforms * symbols).astype(np.int64)
