"""A yardstick: the loop of Zai and Brown, *Deep Reinforcement Learning in Action*, chapter 5, with an LSTM cell.

Each process has its own environment. Its own Adam steps shared parameters without a lock, after N steps or at the end
of an episode. The book's bootstrap is off by one state and is not 0 at an end; this one is right.
"""

import copy
import queue
import time

import torch
from torch import multiprocessing, nn
from torch.nn.functional import normalize

from experiments.speed.peers.measurement import Measurement, fresh_returns, make_environment, options

SEGMENT_LENGTH, GAMMA, CRITIC_WEIGHT, LEARNING_RATE, LAST_REWARD = 10, 0.95, 0.1, 1e-4, -10.0
SETTINGS = (
    "own script: {processes} processes of one environment, N = 10, Adam 1e-4 each on shared parameters, γ 0.95, layers "
    "25-LSTM 50, reward -10 on the last step, returns normalised as in the book, bootstrap repaired"
)


class Agent(nn.Module):
    """The book's two-headed network with an LSTM cell as second layer; the critic's loss stops at its head."""

    def __init__(self) -> None:
        super().__init__()
        self.torso, self.core = nn.Sequential(nn.Linear(2, 25), nn.ReLU()), nn.LSTMCell(25, 50)
        self.policy_head = nn.Linear(50, 2)
        self.value_head = nn.Sequential(nn.Linear(50, 25), nn.ReLU(), nn.Linear(25, 1), nn.Tanh())

    def forward(self, observation, state):
        state = self.core(self.torso(normalize(observation, dim=-1)), state)
        return self.policy_head(state[0]).log_softmax(-1), self.value_head(state[0].detach())[:, 0], state


def work(rank: int, seed: int, agent, env_steps, episodes) -> None:
    """Act for a segment and learn from it, for ever."""
    torch.set_num_threads(1)
    torch.manual_seed(1000 * seed + rank)
    environment, optimiser = make_environment(), torch.optim.Adam(agent.parameters(), lr=LEARNING_RATE)
    observation, state = environment.reset(seed=1000 * seed + rank)[0], (torch.zeros(1, 50), torch.zeros(1, 50))
    episode_return = 0.0
    while True:
        values, log_probs, rewards, end = [], [], [], False
        while len(rewards) < SEGMENT_LENGTH and not end:
            log_policy, value, state = agent(torch.as_tensor(observation)[None], state)
            action = torch.multinomial(log_policy[0].exp(), 1).item()
            observation, reward, terminated, truncated, _ = environment.step(action)
            end = terminated or truncated
            episode_return += reward
            values.append(value)
            log_probs.append(log_policy[:, action])
            rewards.append(LAST_REWARD if end else 1.0)
        state = tuple(part.detach() for part in state)
        with torch.no_grad():
            target = torch.zeros(1) if end else agent(torch.as_tensor(observation)[None], state)[1]
        returns = []
        for reward in reversed(rewards):
            target = reward + GAMMA * target
            returns.insert(0, target)
        values, log_probs = torch.cat(values), torch.cat(log_probs)
        returns = normalize(torch.cat(returns), dim=0)
        actor_loss, critic_loss = -log_probs * (returns - values.detach()), (values - returns) ** 2
        optimiser.zero_grad()
        (actor_loss.sum() + CRITIC_WEIGHT * critic_loss.sum()).backward()
        optimiser.step()
        with env_steps.get_lock():
            env_steps.value += len(rewards)
        if end:
            episodes.put(episode_return)
            observation, episode_return = environment.reset()[0], 0.0
            state = tuple(torch.zeros_like(part) for part in state)


def main() -> None:
    """Watch the processes until the task is solved or the time is over."""
    given = options()
    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    measurement = Measurement(given, given.cpus, ("torch", "gymnasium"), SETTINGS.format(processes=given.cpus))
    spawn = multiprocessing.get_context("spawn")  # a forked process hangs in its first LSTM call
    agent, env_steps, episodes = Agent().share_memory(), spawn.Value("q", 0), spawn.Queue()
    arguments = (given.seed, agent, env_steps, episodes)
    workers = [spawn.Process(target=work, args=(rank, *arguments), daemon=True) for rank in range(given.cpus)]
    for worker in workers:
        worker.start()
    while not env_steps.value and all(worker.is_alive() for worker in workers):
        time.sleep(0.01)
    measurement.start()
    while not measurement.over and all(worker.is_alive() for worker in workers):
        finished = []
        time.sleep(0.05)
        while True:
            try:
                finished.append(episodes.get_nowait())
            except queue.Empty:
                break
        if measurement.episodes(finished, env_steps.value):
            snapshot = copy.deepcopy(agent)  # workers keep training

            @torch.no_grad()
            def act(observations, state, snapshot=snapshot):
                log_policy, _, state = snapshot(torch.as_tensor(observations), state)
                return torch.multinomial(log_policy.exp(), 1)[:, 0].tolist(), state

            measurement.confirm(lambda act=act: fresh_returns(act, given.seed), "copied after it", False)
    if not all(worker.is_alive() for worker in workers):
        raise SystemExit("a worker ended")
    measurement.end()


if __name__ == "__main__":
    main()
