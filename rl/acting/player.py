"""A Player carries the core state of a trained agent."""

import numpy as np
import torch

from rl.acting.policies import SOFTMAX, Policy
from rl.acting.randomness import ActionNoise, evaluation_key
from rl.agent.actions import sample_actions
from rl.agent.agent import Agent


class Player:
    """Plays with a trained agent and owns the core state meanwhile: observation in, action out.

    `is_first` is required at every call, since a forgotten reset is the commonest fault of deployed recurrent policies.
    """

    def __init__(
        self,
        agent: Agent,
        num_envs: int = 1,
        greedy: bool = True,
        seed: int = 0,
        offset: int = 0,
        policy: Policy = SOFTMAX,
    ) -> None:
        """Start fresh.

        Args:
            agent: not modified.
            num_envs: rows of every observation.
            greedy: take the most probable, or most valuable, action; else sample.
            seed: of the sampling; each row has its own stream, so it plays alike in any company.
            offset: number of the first row's stream.
            policy: that is sampled from, see `evaluated_policy`.
        """
        self.agent, self.num_envs, self.greedy, self.policy = agent, num_envs, greedy, policy
        self.noise = ActionNoise(seed, evaluation_key(), range(offset, offset + num_envs))
        self.core_state = agent.initial_state(num_envs)
        self.started = False

    @torch.no_grad()
    def act(self, observation: np.ndarray, is_first: np.ndarray | bool) -> np.ndarray:
        """Choose an action for every row.

        Args:
            observation: [batch, feature].
            is_first: [batch] bool, or one bool for all rows: this observation opens an episode.

        Returns:
            [batch] int64.

        Raises:
            ValueError: a shape is wrong, or the very first observation is not marked as opening an episode.
        """
        first = torch.as_tensor(np.broadcast_to(np.asarray(is_first, dtype=bool), (self.num_envs,)).copy())
        if len(observation) != self.num_envs:
            raise ValueError(f"{len(observation)} observations for a Player of {self.num_envs}: one row each is needed")
        if not self.started and not first.all():
            raise ValueError("the first observation of a Player opens an episode: is_first must be True in every row")
        self.started = True
        inputs = torch.tensor(observation, dtype=next(self.agent.parameters()).dtype)
        output, self.core_state = self.agent.step(inputs, self.core_state, first)
        if self.greedy:
            return output.logits.argmax(-1).numpy()
        noise = self.noise.draw(1, output.logits.shape[-1])[0]
        return sample_actions(self.policy.scores(output.logits), torch.from_numpy(noise).to(inputs.dtype)).numpy()
