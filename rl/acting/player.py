"""An AgentPlayer carries the core state of a trained agent."""

import numpy as np
import torch

from rl.acting.policies import Policy, Softmax
from rl.acting.randomness import ActionNoise, evaluation_key
from rl.agent.agent import Agent, AgentOutput


class AgentPlayer:
    """Plays with a trained agent and owns its core state: observations as the agent sees them in, actions of
    the vector environment out.

    `is_first` is required at every call, since a forgotten reset is the commonest fault of deployed recurrent policies.
    The `Player` of rl/play.py takes an environment's own observations instead.
    """

    def __init__(
        self,
        agent: Agent,
        num_envs: int = 1,
        greedy: bool = True,
        seed: int = 0,
        offset: int = 0,
        policy: Policy | None = None,
    ) -> None:
        """Start fresh.

        Args:
            agent: the player does not modify it.
            num_envs: rows of every observation.
            greedy: take the most probable, or most valuable, action; else sample.
            seed: seeds the sampling; each row has its own stream, so that its actions do not depend on other rows.
            offset: number of the first row's stream.
            policy: what is sampled from, see `evaluated_policy`; None: Softmax.
        """
        self.agent, self.num_envs, self.greedy, self.policy = agent, num_envs, greedy, policy or Softmax()
        self.noise = ActionNoise(seed, evaluation_key(), range(offset, offset + num_envs))
        self.output: AgentOutput | None = None  # what the heads said last
        self.reset()

    def reset(self) -> None:
        """Forget all episodes: the next observations open new ones. Random numbers go on."""
        self.core_state, self.started = self.agent.initial_state(self.num_envs), False

    @torch.no_grad()
    def act(self, observation: np.ndarray, is_first: np.ndarray | bool) -> np.ndarray:
        """Choose an action for every row.

        Args:
            observation: [batch, *shape].
            is_first: [batch] bool, or one bool for all rows: this observation opens an episode.

        Returns:
            [batch, ...] actions of the vector environment's space.

        Raises:
            ValueError: a shape is wrong, or the very first observation is not marked as opening an episode.
        """
        if len(observation) != self.num_envs:
            raise ValueError(f"{len(observation)} observations for a Player of {self.num_envs}: one row each is needed")
        first = torch.from_numpy(self.opens(is_first))
        self.started = True
        self.output, self.core_state = self.agent.step(torch.tensor(observation), self.core_state, first)
        output, actions = self.output, self.agent.actions
        if self.greedy:
            chosen = actions.mode(output.logits)
        else:
            noise = torch.from_numpy(self.noise.draw(1, actions)[0]).to(self.agent.dtype)
            chosen = actions.sample(self.policy.scores(output.logits), noise)
        return actions.for_environment(chosen).numpy()

    def opens(self, is_first: np.ndarray | bool) -> np.ndarray:
        """Which rows open an episode, [batch] bool.

        Raises:
            ValueError: as `act`.
        """
        flags = np.asarray(is_first)
        if flags.dtype != bool or flags.shape not in ((), (self.num_envs,)):
            raise ValueError(f"is_first {is_first!r}: True or False is needed, or one for each of {self.num_envs} rows")
        first = np.broadcast_to(flags, (self.num_envs,)).copy()
        if not self.started and not first.all():
            raise ValueError("the first observation of a Player opens an episode: is_first must be True in every row")
        return first
