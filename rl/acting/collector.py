"""The Collector: the one owner of what crosses from one segment to the next."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

from rl.acting.finite import require_finite
from rl.acting.policies import Policy, Softmax
from rl.acting.randomness import ActionNoise, reset_seeded
from rl.acting.segment import Segment, first_steps, joined
from rl.acting.tally import Tally
from rl.agent.agent import Agent, PlainUnrolled
from rl.agent.cores import CoreState
from rl.agent.unrolled import Unrolled

Episode = tuple[float, ...]  # episode_return (undiscounted), episode_length, then the entries of --log-info
PIECE = 64  # steps at a time where the length of a segment is not known
MOST_PIECES = 320  # some 20,000 steps, as in an evaluation: else an episode without end could not even be stopped


class Collector:
    """Acts in vectorised environments and hands on exact segments.

    Owns the environments, the last observation, `is_first` and the core state. Whatever the learner computes,
    bootstraps or logs, none of the four moves except by `collect`.
    """

    def __init__(
        self,
        environments: gymnasium.vector.VectorEnv,
        agent: Agent,
        noise: ActionNoise,
        seeds: Sequence[int],
        segment_length: int,
        carry_state: bool = True,
        unrolled: Unrolled | None = None,
        stop_at_episode_end: bool = False,
        policy: Policy | None = None,
        for_replay: bool = False,
        progress: np.ndarray | None = None,
        logged_infos: int = 0,
        tally: Tally | None = None,
    ) -> None:
        """Reset the environments and start from a fresh core state.

        Args:
            environments: a vector environment that resets in the same step and gives final observations.
            agent: acts with the parameters that it has at the time of each `collect`.
            noise: numbers that actions are sampled with, one stream an environment.
            seeds: one for each environment.
            segment_length: N; 0 acts until the episode ends, or for 20,480 steps.
            carry_state: False starts every segment from a fresh core state instead (an ablation).
            unrolled: keeps the activations of acting for learning, if it is of the recorded form; None: plain.
            stop_at_episode_end: end a segment with its episode, of one environment.
            policy: how the agent's heads are read; None: Softmax.
            for_replay: add what a replay buffer keeps: final observations and the actions' log-probabilities.
            progress: [1], counts steps, so that others see whether the Collector acts.
            logged_infos: how many entries of its infos the environments give of an episode that ended.
            tally: counts what is observed and earned, for the scales of both.

        Raises:
            ValueError: the environments reset in another way.
        """
        mode = environments.metadata.get("autoreset_mode")
        if mode != gymnasium.vector.AutoresetMode.SAME_STEP:
            raise ValueError(f"the vector environment resets by {mode}: SAME_STEP, with final observations, is needed")
        self.environments, self.agent, self.noise = environments, agent, noise
        self.segment_length, self.carry_state, self.for_replay = segment_length, carry_state, for_replay
        self.logged_infos, self.tally = logged_infos, tally
        self.unrolled, self.policy = unrolled or PlainUnrolled(agent), policy or Softmax()
        self.progress = np.zeros(1, dtype=np.int64) if progress is None else progress
        self.stop_at_episode_end = stop_at_episode_end or segment_length == 0
        self.batch, self.dtype = environments.num_envs, next(agent.parameters()).dtype
        self.observation = torch.tensor(reset_seeded(environments, seeds))  # [batch, *shape]
        self.is_first = torch.ones(self.batch, dtype=torch.bool)
        self.core_state: CoreState = agent.initial_state(self.batch)
        self._episode_returns = np.zeros(self.batch)
        self._episode_lengths = np.zeros(self.batch, dtype=np.int64)
        self._finished: list[Episode] = []

    @torch.no_grad()
    def collect(self) -> Segment:
        """Act for N steps, or to the end of the episode, and return them.

        Returns:
            A segment that starts where the last one stopped. Its tensors are its own.
        """
        # A copy: the state that comes out of a recording lies in its buffers.
        self.core_state = tuple(part.clone() for part in self.core_state)
        if not self.carry_state:
            self.core_state = self.agent.initial_state(self.batch)
        if self.segment_length:
            return self._act(self.segment_length)
        pieces = [self._act(PIECE)]
        while not self.is_first.any() and len(pieces) < MOST_PIECES:
            pieces.append(self._act(PIECE))
        return joined(pieces)

    def _act(self, steps: int) -> Segment:
        """A segment of so many steps, or fewer where it ends with its episode."""
        batch, distribution = self.batch, self.agent.actions
        observations = self.observation.new_empty(steps + 1, *self.observation.shape)
        is_first = torch.empty(steps + 1, batch, dtype=torch.bool)
        actions = torch.empty(steps, batch, *distribution.shape, dtype=distribution.dtype)
        rewards, truncation_values = torch.zeros(2, steps, batch, dtype=self.dtype)
        terminated, truncated = torch.zeros(2, steps, batch, dtype=torch.bool)
        segment = Segment(
            observations, is_first, actions, rewards, terminated, truncated, truncation_values, self.core_state
        )
        if self.for_replay:
            segment = segment._replace(final_observations=torch.zeros_like(observations[1:]))
            scores = rewards.new_empty(steps, batch, distribution.head_size)
        noise = torch.from_numpy(self.noise.draw(steps, distribution)).to(self.dtype)
        step = self.unrolled.begin()
        observations[0], is_first[0] = self.observation, self.is_first
        # The same memory as arrays, since assigning a row of an array costs a third of assigning a row of a tensor.
        rows = (tensor.numpy() for tensor in (observations, is_first, actions, rewards, terminated, truncated))
        observed, opens, chosen, earned, ended_by_env, ended_by_limit = rows
        # Iterating makes all views of a tensor's rows at once, at half the price. The bootstrap's rows are left over.
        views = zip(observations, is_first, noise, actions, strict=False)
        for t, (observation, opening, numbers, action) in enumerate(views):
            output, self.core_state = step(observation, self.core_state, opening)
            logits = self.policy.scores(output.logits)
            distribution.sample(logits, numbers, out=action)
            if self.for_replay:
                scores[t] = logits
            taken = chosen[t] if distribution.as_sampled else distribution.for_environment(action).numpy()
            observed[t + 1], reward, ended_by_env[t], ended_by_limit[t], infos = self.environments.step(taken)
            earned[t] = reward
            self.progress += 1
            ended = np.logical_or(ended_by_env[t], ended_by_limit[t], out=opens[t + 1])
            self._episode_returns += reward
            self._episode_lengths += 1
            if np.count_nonzero(ended):
                self._close_episodes(ended, infos)
                cut = ended & ~ended_by_env[t]
                if cut.any():
                    final = self._final_observations(infos, cut)
                    truncation_values[t] = self._values_of(final, cut)
                    if self.for_replay:
                        segment.final_observations[t, cut] = final
                if self.stop_at_episode_end:
                    segment = first_steps(segment, t + 1)
                    break
        steps = segment.env_steps // batch
        require_finite(self.environments, observed[: steps + 1], earned[:steps])
        if self.tally:
            self.tally.add(observed[:steps], earned[:steps], opens[1 : steps + 1])
        # A copy: a view would keep the whole segment, which may be many images, until the next one is complete.
        self.observation, self.is_first = observations[steps].clone(), is_first[steps]
        if self.for_replay:
            segment = segment._replace(log_probs=distribution.log_probs(scores, actions))
        return segment

    def take_finished_episodes(self) -> list[Episode]:
        """Return and length of each episode that ended since the last call, in order of time, then of environment."""
        finished, self._finished = self._finished, []
        return finished

    def take_tally(self) -> np.ndarray | None:
        """The running sums of the steps since the last call; None where nothing is scaled."""
        return self.tally.take() if self.tally else None

    def state(self) -> dict[str, Any]:
        """All that the next segment depends on, as tensors and plain Python; called between segments.

        `environments` is None where the environments cannot tell their state.
        """
        tell = getattr(self.environments, "state_dict", None)
        return {
            "environments": tell() if tell else None,
            "noise": self.noise.state(),
            "observation": self.observation.clone(),
            "is_first": self.is_first.clone(),
            "core_state": [part.clone() for part in self.core_state],
            "episode_returns": self._episode_returns.tolist(),
            "episode_lengths": self._episode_lengths.tolist(),
            "tally": self.tally and self.tally.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from `state()`; environments that cannot continue keep the new episodes that they have begun."""
        self.noise.load_state(state["noise"])
        if state["environments"] is None:
            return
        self.environments.load_state_dict(state["environments"])
        self.observation, self.is_first = state["observation"], state["is_first"]
        self.core_state = tuple(state["core_state"])
        self._episode_returns[:] = state["episode_returns"]
        self._episode_lengths[:] = state["episode_lengths"]
        if self.tally:
            self.tally.load_state(state["tally"])

    def _final_observations(self, infos: dict, cut: np.ndarray) -> Tensor:
        """Final observations [number, *shape] of the rows where `cut`."""
        if "final_obs" not in infos:
            raise KeyError("an episode was truncated without infos['final_obs']: its value cannot be bootstrapped")
        return torch.from_numpy(np.stack(infos["final_obs"][cut]))  # stack: Gymnasium gives an array of arrays

    def _values_of(self, final: Tensor, cut: np.ndarray) -> Tensor:
        """V(final observation) [batch] where `cut`, else 0: a side branch from the live state, which stays as it is.

        The live state is the one after o_t, so this is the value the step would have been followed by, had no limit
        cut the episode.
        """
        rows = np.flatnonzero(cut)
        state = tuple(part[:, rows] for part in self.core_state)
        output, _ = self.agent.step(final, state, torch.zeros(len(rows), dtype=torch.bool))
        values = torch.zeros(self.batch, dtype=self.dtype)
        values[rows] = self.policy.state_values(output)
        return values

    def _close_episodes(self, ended: np.ndarray, infos: dict) -> None:
        """Note return and length of the episodes that ended; the Collector counts, since wrappers miscount."""
        numbers = [self._episode_returns[ended].tolist(), self._episode_lengths[ended].tolist()]
        if self.logged_infos:
            numbers.extend(infos["episode_infos"][ended].T.tolist())
        self._finished.extend(zip(*numbers, strict=True))
        self._episode_returns[ended] = 0.0
        self._episode_lengths[ended] = 0
