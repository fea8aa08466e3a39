"""A trained policy in a script of yours: the environment's own observations in, its own actions out.

The one module of rl that imports envs: what training did to observations is done here by the same code.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from envs.vector.actions import OwnActions
from envs.vector.chain import make_chain
from envs.vector.encoders import Encoder
from envs.vector.messages import BrokenContract, in_short
from envs.vector.packing import Packed
from envs.vector.spaces import space_of
from rl.acting.denormals import denormals_as_zeros
from rl.acting.player import AgentPlayer
from rl.acting.policies import evaluated_policy
from rl.acting.threads import one_thread
from rl.agent.build import make_agent
from rl.agent.check import import_own_parts
from rl.agent.flat import FlatAgent
from rl.config import Config
from rl.record.checkpoint import fitting, load_checkpoint
from rl.record.own_modules import found_again
from rl.record.saved_agent import checkpoint_of

# What of `Config.environment_options` is done to observations; the rest only makes environments.
OF_OBSERVATIONS = ("frame_stack", "previous_action", "previous_reward", "observation_scale")


class Player:
    """Plays the policy of a run. It does one-hots, scale, frame stack, previous action and reward itself.

    No environment is made, and nothing of the caller's process changes. `observation_space` and `action_space` are
    those of the environment itself, as `gymnasium.make` says them.
    """

    def __init__(
        self, config: Config, spaces: dict[str, Any], num_envs: int = 1, greedy: bool = True, seed: int = 0
    ) -> None:
        """Make a Player whose agent has its first parameters; `from_run` gives it those of a run.

        Args:
            config: the config of the run.
            spaces: `own_spaces` of the run's environment.
            num_envs: environments that it plays at a time, each with its own state.
            greedy: take the most probable, or most valuable, action; else sample.
            seed: seeds the sampling, each environment by itself.
        """
        self.config, self.num_envs = config, num_envs
        self.observation_space, self.action_space = space_of(spaces["observation"]), space_of(spaces["action"])
        self.own_actions, masked = OwnActions(self.action_space), bool(spaces.get("mask_in_infos"))
        actions, observe = self.own_actions.space, tuple(filter(None, config.observe.split(",")))
        self.encode = Encoder(self.observation_space, self.action_space, observe, masked, config.env_id)
        options = {name: config.environment_options[name] for name in OF_OBSERVATIONS}
        self.chain = make_chain(self.encode.space, actions, config.env, spaces["observation_scale"], **options)
        self.agent = make_agent(config, self.chain.space, actions)
        policy = evaluated_policy(config, num_envs)
        self.player = AgentPlayer(self.agent, num_envs, greedy, seed, policy=policy)
        self.actions: np.ndarray | None = None  # the last ones, as agents give them

    @classmethod
    def from_run(
        cls, run_dir: str | Path, num_envs: int = 1, greedy: bool = True, seed: int = 0, best: bool = False
    ) -> "Player":
        """The Player of a run folder.

        Args:
            run_dir: holds the checkpoint.
            num_envs: as for `Player`.
            greedy: as for `Player`.
            seed: as for `Player`.
            best: take the checkpoint of the best evaluation (--keep-best), and not the newest.

        Raises:
            ValueError: there is no readable checkpoint, or an older version wrote it; one line.
        """
        if type(num_envs) is not int or num_envs < 1:
            raise ValueError(f"num_envs {num_envs!r}: a whole number of at least 1 is needed")
        path = checkpoint_of(run_dir, best)
        config, state = load_checkpoint(path)
        if "spaces" not in state:
            raise ValueError(
                f"{path}: an older version wrote it, without the spaces of its environment, which a Player needs; "
                f"python -m experiments.evaluate {run_dir} makes the environment and plays it"
            )
        if state["spaces"] is None:
            raise ValueError(f"{path}: its environment has a space of a class of its own, which a Player cannot know")
        with found_again(config, state, path) as config:
            import_own_parts(config)
            with fitting(path):
                spaces = dict(state["spaces"])
                for name in ("observation", "action"):
                    space_of(spaces[name])
            player = cls(config, spaces, num_envs, greedy, seed)
        with fitting(path):
            FlatAgent(player.agent).load(state["learner"]["parameters"])
        return player

    def reset(self) -> None:
        """Forget all episodes: the next observations open new ones. The random numbers of sampling go on."""
        self.player.reset()

    @one_thread()
    @denormals_as_zeros()
    def act(
        self,
        observation: Any,
        is_first: np.ndarray | bool,
        reward: np.ndarray | float | None = None,
        action_mask: Any = None,
    ) -> Any:
        """Choose an action.

        Args:
            observation: with one environment, what its `reset` or `step` returned. With several, one such observation
                of each: a list of them, or an array whose first axis is the environments.
            is_first: whether the observation opens an episode: of the environment, or [num_envs] of each.
            reward: what the last action earned, of the environment, or [num_envs] of each. Only a run with
                --previous-reward needs it, and not where an episode opens.
            action_mask: the one in the environment's infos, or one of each. Only an environment that gives it there
                needs it.

        Returns:
            An action of the environment, or [num_envs] actions.

        Raises:
            ValueError: something is missing, or is not of the environment's kind; one line. The state stays as it was.
        """
        own = [observation] if self.num_envs == 1 else observation
        if not hasattr(own, "__len__"):
            words = f"one of each of {self.num_envs} environments is needed"
            raise ValueError(f"observation {in_short(observation)}: {words}")
        if len(own) != self.num_envs:
            raise ValueError(f"{len(own)} observations for a Player of {self.num_envs}: one of each is needed")
        masks = self._masks(action_mask)
        encoded = np.stack([self._encoded(one, mask) for one, mask in zip(own, masks, strict=True)])
        first = self.player.opens(is_first)
        rewards = self._rewards(reward, first)
        if first.all():
            seen = self.chain.open(encoded, first)
        else:
            seen = self.chain.step(encoded, self.actions, rewards).copy()
            if first.any():
                seen[first] = self.chain.open(encoded[first], first)
        self.actions = self.player.act(seen, first)
        actions = self.own_actions.batch(self.actions)
        return actions[0] if self.num_envs == 1 else actions

    def _encoded(self, observation: Any, mask: Any) -> np.ndarray:
        """One observation as the array that stands for it."""
        if self.observation_space.shape is not None:  # a Dict or a Tuple has none
            self._require_shape(observation)
        try:
            encoded = self.encode(observation, "act", mask)
        except BrokenContract:  # about the action mask, by name
            raise
        except ValueError as error:
            raise ValueError(f"observation {in_short(observation)}: {error}") from None
        parts = self.encode.space.views(encoded) if isinstance(self.encode.space, Packed) else [encoded]
        if not all(np.isfinite(part).all() for part in parts):
            raise ValueError(f"observation {in_short(observation)}: finite numbers are needed")
        return encoded

    def _require_shape(self, observation: Any) -> None:
        """Refuse an observation of another shape than the environment's own."""
        space = self.observation_space
        try:
            shape = np.shape(observation)
        except ValueError:  # a tuple of reset, for one
            words = "one array is needed; `reset` returns a pair, whose first entry is the observation"
            raise ValueError(f"observation {in_short(observation)}: {words}") from None
        if shape != space.shape:
            hint = ", without an axis of environments" if shape == (1, *space.shape) else ""
            raise ValueError(f"an observation of shape {shape}: the environment's own has shape {space.shape}{hint}")

    def _masks(self, action_mask: Any) -> Sequence[Any]:
        """The action mask of each environment, as far as the environment's infos have one."""
        if not self.encode.mask_in_infos:
            return [None] * self.num_envs
        if action_mask is None:
            raise ValueError("the environment's infos have an action_mask: act(..., action_mask=...) is needed")
        masks = [action_mask] if self.num_envs == 1 else action_mask
        if not hasattr(masks, "__len__") or len(masks) != self.num_envs:
            raise ValueError(f"action_mask {in_short(action_mask)}: one of each of {self.num_envs} is needed")
        return masks

    def _rewards(self, reward: np.ndarray | float | None, first: np.ndarray) -> np.ndarray:
        """The previous rewards [num_envs]; where they are not needed, zeros may stand for them."""
        if not self.config.previous_reward or first.all():
            return np.zeros(self.num_envs)
        if reward is None:
            raise ValueError("the run was trained with --previous-reward: act(observation, is_first, reward) is needed")
        rewards = np.asarray(reward, dtype=np.float64)
        if rewards.shape not in ((), (self.num_envs,)):
            raise ValueError(f"reward of shape {rewards.shape}: a number, or one of each is needed")
        rewards = np.broadcast_to(rewards, (self.num_envs,))
        if not np.isfinite(rewards[~first]).all():
            raise ValueError(f"reward {reward}: finite numbers are needed")
        return rewards
