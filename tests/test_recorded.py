"""The fast path equals the plain one: recorded activations and the written-out backward pass against `Agent.unroll`."""

import pytest
import torch
from torch import nn

import envs
from rl.agent import Agent, make_agent
from rl.collector import Collector
from rl.config import Config
from rl.cores import LSTMCore
from rl.fast_path import can_record, make_recording
from rl.loss import actor_critic_loss
from rl.randomness import ActionNoise

STEPS, BATCH, FEATURES, ACTIONS = 6, 4, 3, 2


def agent_and_segment(core="lstm", dtype="float64", **options):
    """An agent with large random parameters, and observations, resets and a state to run it on."""
    config = Config(core=core, dtype=dtype, hidden_size=5, torso_size=4, **options)
    agent = make_agent(config, FEATURES, ACTIONS)
    generator = torch.Generator().manual_seed(7)
    for parameter in agent.parameters():
        parameter.data.normal_(0.0, 0.7, generator=generator)
    kind = getattr(torch, dtype)
    observations = torch.randn(STEPS + 1, BATCH, FEATURES, generator=generator, dtype=kind)
    state = tuple(torch.randn(1, BATCH, 5, generator=generator, dtype=kind) for _ in range(agent.core.parts))
    return agent, observations, state


def recorded(agent, observations, state, is_first):
    recording = make_recording(agent, STEPS, BATCH)
    step = recording.begin()
    with torch.no_grad():
        for t in range(STEPS + 1):
            _, state = step(observations[t], state, is_first[t])
    return recording, state


def gradients(agent, output):
    """Of a loss in which every logit and every value but the bootstrap's has a weight of its own."""
    generator = torch.Generator().manual_seed(8)
    weights = torch.randn(STEPS, BATCH, ACTIONS + 1, generator=generator, dtype=output.values.dtype)
    loss = (output.logits[:-1].log_softmax(-1) * weights[..., :-1]).sum()
    loss = loss + (output.values[:-1] - weights[..., -1]).square().sum()
    return torch.autograd.grad(loss, list(agent.parameters()))


def resets(pattern):
    is_first = torch.zeros(STEPS + 1, BATCH, dtype=torch.bool)
    if pattern == "random":
        is_first = torch.rand(STEPS + 1, BATCH, generator=torch.Generator().manual_seed(9)) < 0.3
    elif pattern == "all":
        is_first[:] = True
    elif pattern != "none":
        is_first[int(pattern), 1] = True
    return is_first


@pytest.mark.parametrize("core", ["gru", "lstm"])
@pytest.mark.parametrize("pattern", ["none", "all", "random", *"0123456"])
def test_recorded_activations_equal_the_unroll_in_value_and_gradient(core, pattern):
    agent, observations, state = agent_and_segment(core)
    is_first = resets(pattern)
    recording, after = recorded(agent, observations, state, is_first)
    ours = recording.unroll()
    plain, plain_after = agent.unroll(observations, state, is_first)
    torch.testing.assert_close(ours.logits, plain.logits, rtol=0, atol=1e-12)
    torch.testing.assert_close(ours.values, plain.values, rtol=0, atol=1e-12)
    torch.testing.assert_close(after, plain_after, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradients(agent, ours), gradients(agent, plain), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("core", ["gru", "lstm"])
@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("detach", [False, True])
def test_it_holds_for_any_torso_and_for_a_detached_critic(core, layers, detach):
    agent, observations, state = agent_and_segment(core, torso_layers=layers, detach_critic=detach)
    is_first = resets("random")
    recording, _ = recorded(agent, observations, state, is_first)
    plain, _ = agent.unroll(observations, state, is_first)
    torch.testing.assert_close(gradients(agent, recording.unroll()), gradients(agent, plain), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("core", ["gru", "lstm"])
def test_the_written_out_backward_pass_agrees_with_finite_differences(core):
    """Twice the change of one parameter by 1e-6, in every matrix and bias: independent of autograd altogether."""
    agent, observations, state = agent_and_segment(core)
    is_first = resets("random")

    def loss():
        recording, _ = recorded(agent, observations, state, is_first)
        output = recording.unroll()
        return recording, (output.logits[:-1].sin().sum() + output.values[:-1].cos().sum())

    analytic = torch.autograd.grad(loss()[1], list(agent.parameters()))
    for parameter, gradient in zip(agent.parameters(), analytic, strict=True):
        flat = parameter.data.view(-1)
        for index in {0, flat.numel() // 2, flat.numel() - 1}:
            there = flat[index].item()
            flat[index] = there + 1e-6
            above = loss()[1].item()
            flat[index] = there - 1e-6
            below = loss()[1].item()
            flat[index] = there
            assert gradient.reshape(-1)[index].item() == pytest.approx((above - below) / 2e-6, abs=1e-6, rel=1e-6)


@pytest.mark.parametrize("core", ["gru", "lstm"])
def test_a_collector_that_records_trains_like_one_that_does_not(core):
    """Five updates on masked CartPole, episodes ending inside segments: the same parameters to 1e-10."""

    def trained(record):
        config = Config(core=core, dtype="float64", hidden_size=8, torso_size=8, segment_length=16)
        agent = make_agent(config, 2, 2)
        environments = envs.make_vector("MaskedVelocityCartPole-v1", 5)
        collector = Collector(environments, agent, ActionNoise(1, 0, range(5)), range(5), 16, record=record)
        optimizer = torch.optim.SGD(agent.parameters(), lr=0.1)
        for _ in range(5):
            loss, _ = actor_critic_loss(agent, collector.collect(), config)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return list(agent.parameters())

    torch.testing.assert_close(trained(record=True), trained(record=False), rtol=0, atol=1e-10)


def test_nan_in_the_state_before_a_reset_does_not_survive_it():
    agent, observations, state = agent_and_segment()
    state[0][0, 2], state[1][0, 2] = torch.nan, torch.nan
    is_first = resets("none")
    is_first[0, 2] = True
    recording, _ = recorded(agent, observations, state, is_first)
    assert recording.unroll().values.isfinite().all()


def test_an_incomplete_recording_cannot_be_learnt_from():
    agent, observations, state = agent_and_segment()
    recording = make_recording(agent, STEPS, BATCH)
    with torch.no_grad():
        recording.begin()(observations[0], state, resets("none")[0])
    with pytest.raises(RuntimeError, match="1 of 6 steps"):
        recording.unroll()


def test_agents_without_a_fast_path_are_unrolled():
    class OwnCore(LSTMCore):
        """A user's own core may step in any way."""

    class OwnAgent(Agent):
        """So may a user's own agent, with heads of its own for example."""

    assert can_record(make_agent(Config(core="lstm"), 3, 2))
    assert not can_record(OwnAgent(nn.Sequential(), LSTMCore(3, 4), 2))
    assert not can_record(make_agent(Config(core="mlp"), 3, 2))
    assert not can_record(make_agent(Config(core="gru", core_layers=2), 3, 2))
    assert not can_record(Agent(nn.Sequential(), OwnCore(3, 4), 2))
    assert not can_record(Agent(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), LSTMCore(3, 4), 2))
