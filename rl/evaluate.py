"""Evaluation: a Player that carries the state, and the mean return of fresh episodes."""

from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import torch

from rl.agent import Agent, agent_for
from rl.checkpoint import fitting, load_checkpoint
from rl.collector import sample_actions
from rl.config import Config
from rl.denormals import denormals_as_zeros
from rl.learner import FlatAgent
from rl.policies import SOFTMAX, Policy, evaluated_policy
from rl.randomness import ActionNoise, environment_seeds, evaluation_key

MakeEnvironments = Callable[..., gymnasium.vector.VectorEnv]  # (env, num_envs, **Config.environment_options)


MOST_STEPS = 20_000  # of an evaluated episode


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


@denormals_as_zeros()
def evaluate(
    agent: Agent,
    config: Config,
    make_environments: MakeEnvironments,
    episodes: int,
    greedy: bool,
    seed: int = 0,
    offset: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> np.ndarray | None:
    """Undiscounted returns [episode] of fresh episodes, one in each of `episodes` environments.

    One episode an environment, all played to their end: short episodes are not favoured. One that has not ended after
    20,000 steps, as a policy may go in circles where there is no time limit, counts with what it has earned. Seeds are
    disjoint from all training seeds, and training's random numbers and core state are not touched.

    Args:
        agent: not modified.
        config: names the environment and its options.
        make_environments: builds vector environments.
        episodes: how many.
        greedy: take the most probable, or most valuable, action; else sample.
        seed: of the episodes and the sampling.
        offset: number of the first episode, so that several evaluations of one seed share none.
        stop: asked at every step; True ends the evaluation without a result.

    Returns:
        The returns, or None where it was stopped.
    """
    torch.set_num_threads(1)  # a second thread makes networks of this size slower
    environments = make_environments(config.env, episodes, **config.environment_options)
    try:
        seeds = environment_seeds(seed, evaluation_key(), range(offset, offset + episodes))
        observation, _ = environments.reset(seed=seeds)
        player = Player(agent, episodes, greedy, seed, offset, evaluated_policy(config, episodes))
        returns = np.zeros(episodes)
        running = np.ones(episodes, dtype=bool)
        is_first = running.copy()
        for _ in range(MOST_STEPS):
            if not running.any():
                break
            if stop():
                return None
            observation, rewards, terminated, truncated, _ = environments.step(player.act(observation, is_first))
            returns += rewards * running
            is_first = terminated | truncated
            running &= ~is_first
    finally:
        environments.close()
    return returns


def load_agent(run_dir: str | Path, make_environments: MakeEnvironments) -> tuple[Agent, Config, int]:
    """The agent of a run's newest checkpoint, its config, and the env steps it was trained for.

    Raises:
        ValueError: there is no readable checkpoint.
    """
    path = Path(run_dir) / "checkpoint.pt"
    config, state = load_checkpoint(path)
    environments = make_environments(config.env, 1, **config.environment_options)
    agent = agent_for(config, environments)
    environments.close()
    with fitting(path):
        FlatAgent(agent).load(state["learner"]["parameters"])
        ended_solved = config.stop_when_solved and state["ledger"]["solved"]  # it holds the crossing's parameters then
        env_steps = int(state["ledger"]["arrays"]["crossing"][0]) if ended_solved else state["env_steps"]
    return agent, config, env_steps
