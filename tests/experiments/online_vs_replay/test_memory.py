"""What the probe and the play with a short memory see."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import envs
from experiments.online_vs_replay.measures import probe, short_memory
from experiments.online_vs_replay.measures import watch as watching
from experiments.online_vs_replay.measures.probe import r_squared, r_squared_of_agent
from experiments.online_vs_replay.measures.short_memory import return_with_memory_of
from experiments.online_vs_replay.measures.watch import memory_measures
from rl.acting.evaluate import evaluate
from rl.agent.actions.categorical import Categorical
from rl.agent.agent import AgentOutput
from tests.support.configs import cartpole_config
from tests.support.rl_small import make_agent


def test_r_squared_is_1_for_features_that_hold_the_velocities_and_near_0_for_noise():
    generator = np.random.default_rng(1)
    velocities = generator.normal(size=(50, 20, 2))
    mixed = np.stack([velocities.sum(-1), velocities[..., 0] - 3 * velocities[..., 1], np.ones((50, 20))], -1)
    assert min(r_squared(mixed, velocities)) > 0.99999
    assert max(np.abs(r_squared(generator.normal(size=(50, 20, 3)), velocities))) < 0.05


def test_r_squared_is_of_episodes_that_it_was_not_fitted_to():
    """Features that hold the velocities in the first ten episodes and not in the others predict those no better than
    their mean: at most 0."""
    velocities = np.random.default_rng(2).normal(size=(50, 20, 2))
    features = velocities.copy()
    features[:, 10:] = np.random.default_rng(3).normal(size=(50, 10, 2))
    assert max(r_squared(features, velocities)) < 0.0


def test_r_squared_of_two_predictions_by_hand():
    """Fitted to y = x and y = -x in one episode. In the other x = 3 and 5 where y = 2 and 6, 4 in the mean:
    1 - (1 + 1) / (4 + 4); and -3 and -5 are right."""
    features = np.array([[[0.0], [3.0]], [[1.0], [5.0]]])
    velocities = np.array([[[0.0, 0.0], [2.0, -3.0]], [[1.0, -1.0], [6.0, -5.0]]])
    assert r_squared(features, velocities) == pytest.approx((0.75, 1.0), abs=1e-3)


def test_one_observation_tells_nothing_of_the_velocities_and_two_tell_about_half():
    controls = probe.controls()
    assert max(controls["observation"]) < 0.02
    assert controls["two observations"] == pytest.approx((0.640, 0.440), abs=1e-3)


def test_the_probe_reads_the_state_of_a_memory_and_the_output_of_what_has_none():
    agents = {core: make_agent(small_config(core), 2, 2) for core in ("mlp", "gru", "lstm")}
    found = {core: r_squared_of_agent(agent) for core, agent in agents.items()}
    assert max(found["mlp"]) < 0.1 < min(found["gru"]) and min(found["lstm"]) > 0.1


def small_config(core):
    return cartpole_config(core=core, hidden_size=32, torso_size=16)


def test_an_agent_that_carries_its_gradient_is_measured_with_its_state_alone_and_carries_it_again(monkeypatch):
    agent = make_agent(small_config("rtu"), 2, 2)
    alone = r_squared_of_agent(agent)
    agent.core.carries_gradient = True
    with watching.playing(agent):
        assert len(agent.initial_state(1)) == 1 and r_squared_of_agent(agent) == alone
    assert len(agent.initial_state(1)) == 2
    with pytest.raises(KeyError), watching.playing(agent):
        raise KeyError
    assert agent.core.carries_gradient
    lstm = make_agent(small_config("lstm"), 2, 2)
    with watching.playing(lstm):
        assert len(lstm.initial_state(1)) == 2
    assert not hasattr(lstm.core, "carries_gradient")


def test_the_probe_reads_all_of_the_last_layers_state_from_the_opening_of_an_episode_on(monkeypatch):
    monkeypatch.setattr(probe, "r_squared", lambda features, _velocities: features)
    agent = make_agent(replace(small_config("lstm"), core_layers=2), 2, 2)
    seen, is_first, _ = probe.movement()
    row, column = is_first.nonzero()[-1].tolist()
    assert row > 0  # an episode that follows another
    with torch.no_grad():
        _, state = agent.step(seen[row, [column]], agent.initial_state(1), torch.tensor([True]))
    expected = [*state[0][1, 0].tolist(), *state[1][1, 0].tolist()]
    assert r_squared_of_agent(agent)[row, column].tolist() == pytest.approx(expected, abs=1e-5)


def test_velocities_are_probed_on_the_masked_cartpole_and_short_memories_of_agents_with_a_state(monkeypatch):
    monkeypatch.setattr(watching, "r_squared_of_agent", lambda _agent: (0.1, 0.7))
    monkeypatch.setattr(watching, "return_with_memory_of", lambda _agent, _config, length: 10.0 * length)

    def found(core, last=True, **options):
        config = replace(small_config(core), **options)
        return memory_measures(make_agent(config, 2, 2), config, last)

    r2 = {"r2_cart": 0.1, "r2_pole": 0.7}
    returns = {"memory_1": 10.0, "memory_2": 20.0, "memory_4": 40.0, "memory_8": 80.0, "memory_16": 160.0}
    masked = "MaskedVelocityCartPole-v1"
    assert found("lstm", env=masked) == r2 | returns and found("lstm", last=False, env=masked) == r2
    assert found("mlp", env=masked) == r2 and found("mlp", env=masked, frame_stack=2) == {}
    assert found("gru", env="FlickeringCartPole-v1") == returns


def test_a_memory_longer_than_the_episode_is_complete_and_one_of_a_single_step_is_none(monkeypatch):
    config = cartpole_config(
        env="RecallCue-v0", env_arg=("delay=2", "max_blanks=6"), core="gru", hidden_size=4, torso_size=3
    )
    agent = make_agent(config, 3, 2)
    monkeypatch.setattr(short_memory, "EPISODES", 20)
    whole = evaluate(agent, config, envs.make_vector, 20, greedy=True, seed=config.seed, offset=2**25).mean()
    assert return_with_memory_of(agent, config, 9) == whole  # an episode shows nine observations at most
    fresh, step = agent.initial_state(20), agent.core.step
    monkeypatch.setattr(agent.core, "step", lambda inputs, _state, first: step(inputs, fresh, first))
    alone = evaluate(agent, config, envs.make_vector, 20, greedy=True, seed=config.seed, offset=2**25).mean()
    monkeypatch.undo()
    assert return_with_memory_of(agent, config, 1) == alone


class Summing:
    """An agent whose state is the sum of what it saw in its episode; its logits are linear in the state."""

    def __init__(self, weights):
        self.weights, self.actions = torch.tensor(weights), Categorical(2)

    def initial_state(self, batch):
        return (torch.zeros(1, batch, len(self.weights)),)

    def step(self, observation, state, is_first):
        seen = torch.where(is_first[:, None], 0.0, state[0][0]) + observation
        return AgentOutput(seen @ self.weights, seen[:, 0]), (seen[None],)


def test_a_cue_of_two_steps_ago_is_known_from_the_last_three_observations_and_not_from_two():
    config = cartpole_config(env="RecallCue-v0", env_arg=("delay=2", "max_blanks=0"))
    names_the_cue = Summing([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    returns = [return_with_memory_of(names_the_cue, config, length) for length in (3, 2, 1)]
    assert returns[0] == 1.0 and abs(returns[1]) < 0.5 and returns[2] == returns[1]  # then it says 0


def test_with_a_short_memory_episodes_are_played_to_their_limit_too():
    """One observation of CartPole, with its velocities, is enough for a linear rule that never falls."""
    rule = Summing([[0.0, 0.02], [0.0, 0.1], [0.0, 1.0], [0.0, 0.5]])
    assert return_with_memory_of(rule, cartpole_config(env="CartPole-v1"), 1) == 500.0
