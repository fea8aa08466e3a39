"""The vector form of Atari games: ALE's own, written in C++, under the contract of `make_vector`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ale_py.vector_env import AtariVectorEnv as Games
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Box
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.atari.options import Options, game_seed, is_blank
from envs.vector.columns import column_seeds

ENDLESS = 2**30  # frames: the limit is counted here, since ALE's own would drop the last picture before it
GOES_ON = -1  # the seed of a game that keeps its random numbers


class AtariVectorEnv(VectorEnv):
    """A batch of one game; observations are uint8 [batch, height, width, 1], rewards are the game's points.

    ALE resets in the step after an end. Games that are over are reset here at once instead, so that a step has both
    the last picture of the old episode and the first one of the new. Each game has random numbers of its own, of which
    the first seed is drawn from the column's generator, and they run on from episode to episode.

    As in Gymnasium's AtariPreprocessing, no picture is taken of the very frame in which a game ends by itself: there
    `final_obs` shows what was seen until then. A limit or a lost life drops nothing.

    One thread plays all games, as everywhere here. ALE cannot tell a game's state, so there is no `state_dict`, and no
    copy can be made.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012 (Gymnasium's own convention)

    def __init__(
        self,
        game: str,
        num_envs: int = 1,
        size: int = 84,
        frameskip: int = 4,
        repeat_action_probability: float = 0.25,
        full_action_space: bool = False,
        noops: int = 0,
        episodic_life: bool = False,
        blank_probability: float = 0.0,
        max_num_frames_per_episode: int = 108_000,
        max_episode_steps: int | None = None,
    ):
        """Make `num_envs` games of the name `game`, such as "ms_pacman"; `Options` explains the other arguments."""
        self.options = Options(
            size=size,
            frameskip=frameskip,
            repeat_action_probability=repeat_action_probability,
            full_action_space=full_action_space,
            noops=noops,
            episodic_life=episodic_life,
            blank_probability=blank_probability,
            max_num_frames_per_episode=max_num_frames_per_episode,
            max_episode_steps=max_episode_steps,
        )
        self._games = Games(
            game,
            num_envs,
            num_threads=1,
            max_num_frames_per_episode=ENDLESS,
            repeat_action_probability=float(repeat_action_probability),
            full_action_space=bool(full_action_space),
            autoreset_mode=AutoresetMode.NEXT_STEP,
            img_height=int(size),
            img_width=int(size),
            stack_num=1,
            frameskip=int(frameskip),
            noop_max=int(noops) + 1,  # ALE draws from 0 to one less
            reward_clipping=False,
            use_fire_reset=False,
        )
        self.metadata = {**self.metadata, "max_episode_steps": self.options.step_limit}
        self.num_envs = num_envs
        self.single_observation_space = Box(0, 255, (size, size, 1), np.uint8)
        self.single_action_space = self._games.single_action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._generators: list[np.random.Generator | None] = [None] * num_envs
        self._steps = np.zeros(num_envs, dtype=np.int64)  # of each game
        self._lives = np.zeros(num_envs, dtype=np.int64)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a game in every column; a column whose seed is None keeps its random numbers."""
        if options:
            raise ValueError(f"{type(self).__name__} takes no reset options, got {options}")
        game_seeds = np.full(self.num_envs, GOES_ON)
        for column, own in enumerate(column_seeds(seed, self.num_envs)):
            if own is not None or self._generators[column] is None:
                self._generators[column] = np_random(own)[0]
                game_seeds[column] = game_seed(self._generators[column])
        columns = np.arange(self.num_envs)
        return self._shown(self._start(columns, game_seeds), columns), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Play `frameskip` frames in every column with actions [batch].

        Raises:
            ValueError: an action that the games do not have, at which ALE would wait for ever.
        """
        if self._generators[0] is None:
            raise ResetNeeded("call reset before step")
        actions, count = np.asarray(actions), self.single_action_space.n
        if actions.min() < 0 or actions.max() >= count:
            raise ValueError(f"actions must be from 0 to {count - 1}, got {actions.tolist()}")
        pictures, rewards, over, _, infos = self._games.step(actions.astype(np.int64))
        self._steps += 1
        terminated, truncated = over, self._steps >= self.options.step_limit
        if self.options.episodic_life:
            terminated = over | ((infos["lives"] < self._lives) & (infos["lives"] > 0))
            self._lives[:] = infos["lives"]
        rewards, ended = rewards.astype(np.float64), terminated | truncated
        observations = self._shown(pictures, np.arange(self.num_envs))
        if not np.count_nonzero(ended):
            return observations, rewards, terminated, truncated, {}
        [columns], [finished] = ended.nonzero(), (over | truncated).nonzero()
        if len(finished):
            pictures = self._start(finished, np.full(len(finished), GOES_ON))
        first = observations.copy()
        first[columns] = self._shown(pictures[columns], columns)
        return first, rewards, terminated, truncated, {"final_obs": observations, "_final_obs": ended}

    def close_extras(self, **kwargs: Any) -> None:
        """End the thread that plays."""
        self.__dict__.pop("_games", None)  # not there yet, if an argument was wrong

    def _start(self, columns: np.ndarray, game_seeds: np.ndarray) -> np.ndarray:
        """Start a game in these columns and return the present pictures of all, [batch, 1, height, width]."""
        mask = np.isin(np.arange(self.num_envs), columns)
        options = None if mask.all() else {"reset_mask": mask}  # the first reset must be one of all
        pictures, infos = self._games.reset(seed=game_seeds, options=options)
        self._steps[columns], self._lives[columns] = 0, infos["lives"][columns]
        return pictures

    def _shown(self, pictures: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return pictures [column, 1, height, width] as observations, some of them black by chance."""
        observations = pictures.reshape(-1, *self.single_observation_space.shape)
        probability = self.options.blank_probability
        if probability > 0:
            blank = np.array([is_blank(self._generators[column], probability) for column in columns])
            observations = np.where(blank[:, None, None, None], np.uint8(0), observations)
        return observations
