"""A yardstick: PPO with an LSTM in plain torch, in the style of single-file implementations."""

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from torch import nn
from torch.distributions import Categorical

from experiments.speed.peers.measurement import Measurement, fresh_returns, make_environment, options

ENVIRONMENTS, STEPS, EPOCHS, MINIBATCHES = 64, 32, 4, 4
GAMMA, LAMBDA, CLIP, ENTROPY, VALUE, MAX_NORM, LEARNING_RATE = 0.99, 0.95, 0.2, 0.01, 0.5, 0.5, 1e-3
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
    def __init__(self) -> None:
        super().__init__()
        self.torso, self.core = nn.Sequential(linear(2, 64, 2**0.5), nn.Tanh()), nn.LSTMCell(64, 64)
        self.policy_head, self.value_head = linear(64, 2, 0.01), linear(64, 1, 1.0)

    def forward(self, observation, is_first, state):
        state = self.core(self.torso(observation), [torch.where(is_first[:, None], 0.0, part) for part in state])
        return self.policy_head(state[0]), self.value_head(state[0])[:, 0], state


def zeros(batch: int):
    return torch.zeros(batch, 64), torch.zeros(batch, 64)


def main() -> None:
    """Train until the task is solved or the time is over."""

    @torch.no_grad()
    def act(observations, state):
        is_first = torch.full((len(observations),), state is None)
        logits, _, state = agent(torch.as_tensor(observations), is_first, state or zeros(len(observations)))
        return Categorical(logits=logits).sample().numpy(), state

    given = options()
    torch.set_num_threads(1)  # a second thread makes networks of this size slower
    torch.manual_seed(given.seed)
    measurement = Measurement(given, ENVIRONMENTS, ("torch", "gymnasium"), SETTINGS)
    environments = SyncVectorEnv([make_environment] * ENVIRONMENTS, autoreset_mode=AutoresetMode.SAME_STEP)
    agent = Agent()
    optimiser = torch.optim.Adam(agent.parameters(), lr=LEARNING_RATE, eps=1e-5)

    shape = (STEPS, ENVIRONMENTS)
    seen, firsts, actions = torch.zeros(*shape, 2), torch.zeros(shape, dtype=torch.bool), torch.zeros(shape).long()
    log_probs, values, rewards, ends = (torch.zeros(shape) for _ in range(4))
    observation = torch.as_tensor(environments.reset(seed=given.seed)[0])
    is_first, state, env_steps = torch.ones(ENVIRONMENTS, dtype=torch.bool), zeros(ENVIRONMENTS), 0
    episode_returns = np.zeros(ENVIRONMENTS)
    measurement.start()
    while not measurement.over:
        opening_state, finished = state, []
        for t in range(STEPS):
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
        env_steps += STEPS * ENVIRONMENTS
        if measurement.episodes(finished, env_steps):  # no parameter has moved since they acted
            measurement.confirm(lambda: fresh_returns(act, given.seed))

        with torch.no_grad():
            value_after, advantage = agent(observation, is_first, state)[1], torch.zeros(ENVIRONMENTS)
        advantages = torch.zeros(shape)
        for t in reversed(range(STEPS)):
            error = rewards[t] + GAMMA * (1 - ends[t]) * value_after - values[t]
            advantages[t] = advantage = error + GAMMA * LAMBDA * (1 - ends[t]) * advantage
            value_after = values[t]
        returns = advantages + values
        for _ in range(EPOCHS):
            for columns in torch.randperm(ENVIRONMENTS).split(ENVIRONMENTS // MINIBATCHES):
                part, outputs = tuple(part[columns] for part in opening_state), []
                for t in range(STEPS):
                    *output, part = agent(seen[t, columns], firsts[t, columns], part)
                    outputs.append(output)
                logits, new_values = (torch.stack(rows) for rows in zip(*outputs, strict=True))
                policy, gain = Categorical(logits=logits), advantages[:, columns]
                gain = (gain - gain.mean()) / (gain.std() + 1e-8)
                ratio = (policy.log_prob(actions[:, columns]) - log_probs[:, columns]).exp()
                policy_loss = -torch.minimum(gain * ratio, gain * ratio.clamp(1 - CLIP, 1 + CLIP)).mean()
                old, target = values[:, columns], returns[:, columns]
                near = old + (new_values - old).clamp(-CLIP, CLIP)
                value_loss = 0.5 * torch.maximum((new_values - target) ** 2, (near - target) ** 2).mean()
                optimiser.zero_grad()
                (policy_loss + VALUE * value_loss - ENTROPY * policy.entropy().mean()).backward()
                nn.utils.clip_grad_norm_(agent.parameters(), MAX_NORM)
                optimiser.step()
    measurement.end()


if __name__ == "__main__":
    main()
