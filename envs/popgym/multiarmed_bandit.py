"""POPGym's MultiarmedBandit: the agent must find out which of its bandits pays most often, and play that one."""

import numpy as np
from gymnasium.spaces import Discrete

from envs.popgym.cards import require_whole
from envs.popgym.forms import PopgymEnv, PopgymVectorEnv


class MultiarmedBanditVectorEnv(PopgymVectorEnv):
    """Gives each of `num_bandits` bandits a probability, uniform on 0 to 1; the agent plays one at each step.

    Observation: 1 if the last bandit paid, else 0, and 0 at first; as a one-hot float32 [2]. It does not tell which
    bandit that was, so that the previous action must be seen (`--previous-action`) or remembered.
    Action: a bandit, 0 to num_bandits - 1.
    Reward: with L = `episode_length`, 1 / L if the bandit pays, -1 / L if it does not. Chance earns 0 in the mean. Who
    knew the best of b bandits would earn 2b / (b + 1) - 1.
    Episode: truncated after L steps. All columns begin their episodes together.

    Easy has 10 bandits and 200 steps, Medium 20 and 400, Hard 30 and 600. Their best bandits earn 9 / 11, 19 / 21 and
    29 / 31 in the mean.

    Oddities of the package: its module says that bandits may be negative and that one which does not pay earns 0; it
    costs 1 / L. The infos of its environments have the probabilities, which these do not have. NumPy 2 compares the
    random number of a step with a probability as float32.

    S. Morad et al., *POPGym: Benchmarking Partially Observable Reinforcement Learning*, ICLR 2023, arXiv 2303.01859.

    Raises:
        ValueError: num_bandits < 1 or episode_length < 1.
    """

    def __init__(self, num_envs: int = 1, num_bandits: int = 10, episode_length: int = 200):
        require_whole("num_bandits", num_bandits, 1)
        require_whole("episode_length", episode_length, 1)
        super().__init__(num_envs, Discrete(2), Discrete(num_bandits))
        self._num_bandits, self._length = num_bandits, episode_length
        self._rewards = np.array([-1 / episode_length, 1 / episode_length])
        self._one_hots = np.eye(2, dtype=np.float32)
        self._offsets = num_bandits * np.arange(num_envs)
        self._probabilities = np.zeros((num_envs, num_bandits), dtype=np.float32)
        self._uniforms = np.zeros((episode_length, num_envs), dtype=np.float32)  # a bandit pays if it is above this
        self._paid = np.zeros(num_envs, dtype=bool)
        self._elapsed = np.zeros((), dtype=np.int64)  # an array, since those are saved

    def _start_episodes(self, columns: np.ndarray) -> None:
        for column, generator in enumerate(self._generators):
            self._probabilities[column] = generator.random(self._num_bandits, dtype=np.float32)
            self._uniforms[:, column] = generator.random(self._length)
        self._paid[:] = False
        self._elapsed.fill(0)

    def _observe(self) -> np.ndarray:
        return self._one_hots.take(self._paid, axis=0)

    def _advance(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        step = int(self._elapsed)
        self._paid = self._uniforms[step] < self._probabilities.take(self._offsets + actions)
        self._elapsed.fill(step + 1)
        terminated, truncated = np.zeros((2, self.num_envs), dtype=bool)
        truncated.fill(step + 1 == self._length)
        return self._rewards.take(self._paid), terminated, truncated


class MultiarmedBanditEnv(PopgymEnv):
    """One column of `MultiarmedBanditVectorEnv`, with the same arguments."""

    vector_form = MultiarmedBanditVectorEnv
