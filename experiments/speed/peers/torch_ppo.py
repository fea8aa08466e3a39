"""A yardstick: PPO with an LSTM in plain torch, in the style of single-file implementations."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from torch import nn
from torch.distributions import Categorical

from experiments.speed.peers.measurement import Measurement, fresh_returns, make_environment, options

GAMMA, LAMBDA, ENTROPY, VALUE, MAX_NORM = 0.99, 0.95, 0.01, 0.5, 0.5


class Sizes(NamedTuple):
    """How much is played and learnt from."""

    environments: int
    steps: int
    epochs: int
    minibatches: int
    clip: float
    learning_rate: float


SIZES = Sizes(environments=64, steps=32, epochs=4, minibatches=4, clip=0.2, learning_rate=1e-3)
SETTINGS = (
    "own script: 64 environments x 32 steps, 4 epochs x 4 minibatches, Adam 1e-3, clip 0.2, γ 0.99, λ 0.95, entropy "
    "0.01, torso 64, LSTM 64, a time limit counts as an end, 1 torch thread"
)


def linear(inputs: int, outputs: int, gain: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.orthogonal_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


class Agent(nn.Module):
    def __init__(self, torso: nn.Module, features: int, size: int, actions: int) -> None:
        super().__init__()
        self.torso, self.core, self.size = torso, nn.LSTMCell(features, size), size
        self.policy_head, self.value_head = linear(size, actions, 0.01), linear(size, 1, 1.0)

    def forward(self, observation, is_first, state):
        return self.from_features(self.torso(observation), is_first, state)

    def from_features(self, features, is_first, state):
        state = self.core(features, [torch.where(is_first[:, None], 0.0, part) for part in state])
        return self.policy_head(state[0]), self.value_head(state[0])[:, 0], state

    def zeros(self, batch: int):
        return torch.zeros(batch, self.size), torch.zeros(batch, self.size)


def main() -> None:
    """Train until the task is solved or the time is over."""
    train(
        lambda: Agent(nn.Sequential(linear(2, 64, 2**0.5), nn.Tanh()), features=64, size=64, actions=2),
        SyncVectorEnv([make_environment] * SIZES.environments, autoreset_mode=AutoresetMode.SAME_STEP),
        SIZES,
        SETTINGS,
    )


def train(
    make_agent: Callable[[], Agent], environments: VectorEnv, sizes: Sizes, settings: str, *packages: str
) -> None:
    """Train until the task is solved or the time is over.

    Args:
        make_agent: is called when the seed is set.
        environments: as many as `sizes` says; an end is followed by the next episode's beginning in the same step.
        sizes: how much is played and learnt from.
        settings: in words.
        packages: whose versions are noted beside those of torch and Gymnasium.
    """

    @torch.no_grad()
    def act(observations: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        is_first = torch.full((len(observations),), state is None)
        logits, _, state = agent(torch.as_tensor(observations), is_first, state or agent.zeros(len(observations)))
        return Categorical(logits=logits).sample().numpy(), state

    given = options()
    torch.set_num_threads(1)  # a second thread makes networks of this size slower
    torch.manual_seed(given.seed)
    measurement = Measurement(given, sizes.environments, ("torch", "gymnasium", *packages), settings)
    agent = make_agent()
    optimiser = torch.optim.Adam(agent.parameters(), lr=sizes.learning_rate, eps=1e-5)

    shape = (sizes.steps, sizes.environments)
    observation = torch.as_tensor(environments.reset(seed=given.seed)[0])
    seen = torch.zeros(sizes.steps, *observation.shape, dtype=observation.dtype)
    firsts, actions = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape).long()
    log_probs, values, rewards, ends = (torch.zeros(shape) for _ in range(4))
    is_first, state, env_steps = torch.ones(sizes.environments, dtype=torch.bool), agent.zeros(sizes.environments), 0
    episode_returns = np.zeros(sizes.environments)
    measurement.start()
    while not measurement.over:
        opening_state, finished = state, []
        for t in range(sizes.steps):
            seen[t], firsts[t] = observation, is_first
            with torch.no_grad():
                logits, values[t], state = agent(observation, is_first, state)
                policy = Categorical(logits=logits)
                actions[t] = policy.sample()
                log_probs[t] = policy.log_prob(actions[t])
            new, reward, terminated, truncated, _ = environments.step(actions[t].numpy())
            observation, is_first = torch.as_tensor(new), torch.as_tensor(terminated | truncated)
            rewards[t], ends[t] = torch.as_tensor(reward), is_first.float()
            episode_returns += reward
            finished += episode_returns[is_first.numpy()].tolist()
            episode_returns[is_first.numpy()] = 0.0
        env_steps += sizes.steps * sizes.environments
        if measurement.episodes(finished, env_steps):  # no parameter has moved since they acted
            measurement.confirm(lambda: fresh_returns(act, given.seed))

        with torch.no_grad():
            value_after, advantage = agent(observation, is_first, state)[1], torch.zeros(sizes.environments)
        advantages = torch.zeros(shape)
        for t in reversed(range(sizes.steps)):
            error = rewards[t] + GAMMA * (1 - ends[t]) * value_after - values[t]
            advantages[t] = advantage = error + GAMMA * LAMBDA * (1 - ends[t]) * advantage
            value_after = values[t]
        returns = advantages + values
        for _ in range(sizes.epochs):
            for columns in torch.randperm(sizes.environments).split(sizes.environments // sizes.minibatches):
                part, outputs = tuple(part[columns] for part in opening_state), []
                features = agent.torso(seen[:, columns].flatten(0, 1)).unflatten(0, (sizes.steps, -1))
                for t in range(sizes.steps):
                    *output, part = agent.from_features(features[t], firsts[t, columns], part)
                    outputs.append(output)
                logits, new_values = (torch.stack(rows) for rows in zip(*outputs, strict=True))
                policy, gain = Categorical(logits=logits), advantages[:, columns]
                gain = (gain - gain.mean()) / (gain.std() + 1e-8)
                ratio = (policy.log_prob(actions[:, columns]) - log_probs[:, columns]).exp()
                policy_loss = -torch.minimum(gain * ratio, gain * ratio.clamp(1 - sizes.clip, 1 + sizes.clip)).mean()
                old, target = values[:, columns], returns[:, columns]
                near = old + (new_values - old).clamp(-sizes.clip, sizes.clip)
                value_loss = 0.5 * torch.maximum((new_values - target) ** 2, (near - target) ** 2).mean()
                optimiser.zero_grad()
                (policy_loss + VALUE * value_loss - ENTROPY * policy.entropy().mean()).backward()
                nn.utils.clip_grad_norm_(agent.parameters(), MAX_NORM)
                optimiser.step()
    measurement.end()


if __name__ == "__main__":
    main()
