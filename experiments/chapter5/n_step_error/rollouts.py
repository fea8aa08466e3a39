"""Rollouts from states of a frozen policy, and the errors of N-step returns over them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import gymnasium
import numpy as np
import torch
from torch import Tensor

from experiments.chapter5.n_step_error.measured import LENGTHS, MEASURED
from experiments.lab.rows import Row
from rl.acting.player import AgentPlayer
from rl.acting.randomness import ActionNoise, environment_seeds, evaluation_key
from rl.acting.threads import one_thread
from rl.agent.agent import Agent
from rl.config import Config
from rl.learning.returns import n_step_returns

HORIZON = 200
MOST_STEPS = 500  # of an episode that a state is taken from
FIRST = 30_000  # number of the first stream of random numbers: those below belong to evaluations


class Rollouts(NamedTuple):
    """What copies of an environment go through from one state on, in the environment's own rewards."""

    rewards: Tensor  # [time, copy]
    discounts: Tensor  # [time, copy] γ, 0 where the copy's episode ended; what follows has no meaning
    values: Tensor  # [time + 1, copy] V of the observation before each step, and after the last step


@one_thread()
def measure(
    agent: Agent, config: Config, make_environments: Callable[..., gymnasium.vector.VectorEnv], states: int, copies: int
) -> list[Row]:
    """Bias and variance of each N, means over states: rows with N and MEASURED.

    Args:
        agent: not modified.
        config: names environment, discount, reward_scale and seed.
        make_environments: builds vector environments.
        states: number of states, each of its own episode.
        copies: rollouts from each state, at least 2.
    """
    options = config.environment_options
    options["env_args"] = options["env_args"] | {"max_episode_steps": -1}
    single, many = (make_environments(config.env, number, **options) for number in (1, copies))
    seeds = environment_seeds(config.seed, evaluation_key(), range(FIRST, FIRST + states))
    errors = []
    for state, seed in enumerate(seeds):
        player = AgentPlayer(agent, 1, greedy=False, seed=config.seed, offset=FIRST + state)
        actions = episode_actions(player, single, seed)
        prefix = actions[: np.random.default_rng([config.seed, state]).integers(len(actions))]
        first = FIRST + states + state * copies
        noise = ActionNoise(config.seed, evaluation_key(), range(first, first + copies))
        errors.append(return_errors(roll_out(agent, config, many, seed, prefix, noise), list(LENGTHS.values())))
    single.close()
    many.close()
    means = torch.stack(errors).mean(0).tolist()
    return [
        {"N": name} | {key: float(f"{number:.6g}") for key, number in zip(MEASURED, row, strict=True)}
        for name, row in zip(LENGTHS, means, strict=True)
    ]


def episode_actions(player: AgentPlayer, environments: gymnasium.vector.VectorEnv, seed: int) -> np.ndarray:  # [time]
    """The actions of the episode that a fresh player of one environment plays from this seed, the first 500 at most."""
    observation, _ = environments.reset(seed=[seed])
    ended, actions = True, []  # before its first observation
    while not (ended and actions) and len(actions) < MOST_STEPS:
        actions.append(player.act(observation, ended))
        observation, _, terminated, truncated, _ = environments.step(actions[-1])
        ended = bool(terminated[0] or truncated[0])
    return np.concatenate(actions)


def roll_out(
    agent: Agent,
    config: Config,
    environments: gymnasium.vector.VectorEnv,
    seed: int,
    prefix: Sequence[int],
    noise: ActionNoise,
) -> Rollouts:
    """Lead every copy to the state after `prefix`, then let each sample its own actions for HORIZON steps.

    Args:
        agent: not modified; its core state consumes the prefix too.
        config: names discount, reward_scale and dtype.
        environments: the copies, without a time limit.
        seed: resets all copies.
        prefix: actions that leave the episode running.
        noise: a stream for each copy, for the actions after the prefix.

    Returns:
        Float64 tensors in units of the environment's rewards; values are divided by reward_scale.

    Raises:
        ValueError: the copies are not in one state after the prefix, or a time limit cuts an episode.
    """
    copies, dtype = environments.num_envs, getattr(torch, config.dtype)
    rewards, discounts = torch.zeros(2, HORIZON, copies, dtype=torch.float64)
    values = torch.zeros(HORIZON + 1, copies, dtype=torch.float64)
    gumbel = torch.from_numpy(noise.draw(HORIZON, agent.actions)).to(dtype)
    observation, _ = environments.reset(seed=[seed] * copies)
    ended, fallen = np.ones(copies, dtype=bool), np.zeros(copies, dtype=bool)
    core_state = agent.initial_state(copies)
    for t in range(-len(prefix), HORIZON + 1):  # before 0, prefix[t] counts from its end
        with torch.no_grad():
            inputs = torch.tensor(observation, dtype=dtype)
            output, core_state = agent.step(inputs, core_state, torch.from_numpy(ended))
        if t >= 0:
            values[t] = output.values.double() / config.reward_scale
        if t == HORIZON or fallen.all():
            break
        actions = agent.actions.sample(output.logits, gumbel[t]).numpy() if t >= 0 else np.full(copies, prefix[t])
        observation, reward, terminated, truncated, _ = environments.step(actions)
        ended = terminated | truncated
        if t < 0 and (ended.any() or (observation != observation[0]).any()):
            raise ValueError(f"{config.env}: the same seed and actions do not lead all copies to the same state")
        if (truncated & ~terminated & ~fallen).any():
            raise ValueError(f"{config.env}: a time limit cut an episode, whose true return is unknown then")
        if t >= 0:
            rewards[t] = torch.as_tensor(reward)
            discounts[t] = torch.from_numpy(np.where(ended, 0.0, config.discount))
            fallen |= ended
    return Rollouts(rewards, discounts, values)


def return_errors(rollouts: Rollouts, lengths: Sequence[int]) -> Tensor:  # [N, 3], as MEASURED
    """Bias, squared bias and variance of each N at one state.

    G^N = r₀ + γ r₁ + … + γᴺ⁻¹ r_N₋₁ + γᴺ V(o_N),  G^MC = r₀ + γ r₁ + …   (Sutton & Barto 2018, eq. 7.1)
    E[(G^N − v)²] = (E[G^N] − v)² + Var[G^N],  v = E[G^MC]   (Kearns & Singh 2000, whose bounds of the two are over N)

    With d = G^N − G^MC of the same B rollouts, whose mean is less noisy than the difference of two means:
    bias = mean d;  squared bias = bias² − var d / B;  variance = var G^N.
    Noise alone makes bias² positive, so its expectation is subtracted, and the estimate may be negative where there is
    almost no bias. Both variances are unbiased, over B − 1.

    Args:
        rollouts: B copies from one state.
        lengths: values of N; 0 is Monte Carlo.
    """
    rewards, discounts, values = rollouts

    def returns(steps: int) -> Tensor:  # [copy]
        bootstrap = values[steps] if steps else torch.zeros_like(values[0])
        return n_step_returns(rewards[: steps or None], discounts[: steps or None], bootstrap)[0]

    true, errors = returns(0), []
    for steps in lengths:
        found = returns(steps)
        difference = found - true
        bias = difference.mean()
        errors.append(torch.stack([bias, bias.square() - difference.var() / len(found), found.var()]))
    return torch.stack(errors)
