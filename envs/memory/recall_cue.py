"""RecallCue: the agent must remember which cue was shown until the question comes."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from envs.vector.columns import ColumnsVectorEnv


class RecallCueEnv(gymnasium.Env):
    """Asks, `delay` steps after a cue was shown, which cue it was.

    An episode opens with B blank steps, B uniform on 0..`max_blanks`. Then the cue is shown for one step. The question
    comes `delay` steps after the cue; the action at that step is the answer, and the episode is terminated, after
    B + delay + 1 steps.

    Observation: float32 [cues + 1], a one-hot of the cue, then a question flag; zeros at all other steps.
    Reward: 1 for the right answer, -1 / (cues - 1) for a wrong one, 0 at all other steps. The optimum is 1. Without
    memory the expected return of every answer is exactly 0: 1 / cues - (1 - 1 / cues) / (cues - 1) = 0.

    If the state is zeroed every N steps, the cue is known only where cue and question fall within the same N steps.
    That holds for N - delay of the N phases that a cue can have. With phases equally likely the expected return is

        max(0, 1 - delay / N)

    and the blanks make them so. Cues are delay + 1 + B steps apart. With a constant B a cue could meet the same phase
    for ever; since B takes neighbouring values, all phases of any N are equally likely in the long run. B on 0..8
    spreads them evenly (to 5 % of total variation) over N = 9 after one episode, N = 16 after 5 and N = 32 after 20.
    More blanks would spread them sooner and make rewards rarer: there is one in delay + 1 + max_blanks / 2 steps.

    Raises:
        ValueError: delay < 1, cues < 2 or max_blanks < 0.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own convention)

    def __init__(self, delay: int = 4, cues: int = 2, max_blanks: int = 8):
        self.observation_space, self.action_space = _spaces(delay, cues, max_blanks)
        self._delay, self._cues, self._max_blanks = delay, cues, max_blanks

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._cue_step, self._cue = _draw_episodes(self.np_random.random(2), self._cues, self._max_blanks).tolist()
        self._elapsed = 0
        return self._observe(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        terminated = self._elapsed == self._cue_step + self._delay
        reward = 0.0
        if terminated:
            reward = 1.0 if action == self._cue else -1.0 / (self._cues - 1)
        self._elapsed += 1
        return self._observe(), reward, terminated, False, {}

    def _observe(self) -> np.ndarray:
        observation = np.zeros(self._cues + 1, dtype=np.float32)
        if self._elapsed == self._cue_step:
            observation[self._cue] = 1.0
        if self._elapsed == self._cue_step + self._delay:
            observation[-1] = 1.0
        return observation


class RecallCueVectorEnv(ColumnsVectorEnv):
    """A batch of `RecallCueEnv`, equal to it step for step, with the same arguments."""

    def __init__(self, num_envs: int = 1, delay: int = 4, cues: int = 2, max_blanks: int = 8):
        super().__init__(num_envs, *_spaces(delay, cues, max_blanks))
        self._delay, self._cues, self._max_blanks = delay, cues, max_blanks
        self._one_hot = np.eye(cues, dtype=np.float32)
        self._cue_step = np.zeros(num_envs, dtype=np.int64)
        self._cue = np.zeros(num_envs, dtype=np.int64)
        self._elapsed = np.zeros(num_envs, dtype=np.int64)

    def _start_episodes(self, columns: np.ndarray) -> None:
        uniforms = np.array([self._generators[column].random(2) for column in columns.tolist()])
        self._cue_step[columns], self._cue[columns] = _draw_episodes(uniforms, self._cues, self._max_blanks)
        self._elapsed[columns] = 0

    def _observe(self) -> np.ndarray:
        since_cue = self._elapsed - self._cue_step
        observations = np.zeros((self.num_envs, self._cues + 1), dtype=np.float32)
        observations[:, :-1] = self._one_hot[self._cue] * (since_cue == 0)[:, None]
        observations[:, -1] = since_cue == self._delay
        return observations

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        terminated = self._elapsed - self._cue_step == self._delay
        answers = np.where(actions == self._cue, 1.0, -1.0 / (self._cues - 1))
        rewards = np.where(terminated, answers, 0.0)
        self._elapsed += 1
        return rewards, terminated, np.zeros(self.num_envs, dtype=bool)


def _spaces(delay: int, cues: int, max_blanks: int) -> tuple[Box, Discrete]:
    for name, value, least in (("delay", delay, 1), ("cues", cues, 2), ("max_blanks", max_blanks, 0)):
        if not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"RecallCue needs {name} to be an integer of at least {least}, got {value!r}")
    return Box(0.0, 1.0, (cues + 1,), dtype=np.float32), Discrete(cues)


def _draw_episodes(uniforms: np.ndarray, cues: int, max_blanks: int) -> np.ndarray:
    """Return the step of the cue, on 0..max_blanks, and the cue: "... 2 -> 2 ...", uniforms on [0, 1) to int64."""
    return np.floor(uniforms * (max_blanks + 1, cues)).astype(np.int64).T
