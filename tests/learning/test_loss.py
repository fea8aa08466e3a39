"""The loss: the learner sees what acting saw, gradients are those of the equations, and statistics stay finite."""

import gc
import itertools
import math

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import VectorWrapper
from torch import Tensor

import tests.support.rl_small
from rl.acting.collector import Collector
from rl.acting.segment import Segment
from rl.agent.actions.categorical import Categorical
from rl.agent.actions.distribution import by_autograd
from rl.agent.agent import Agent, AgentOutput
from rl.config import Config
from rl.learning.actor_critic import actor_critic_gradient, moments, normalised
from rl.learning.q_learning import q_gradient
from rl.learning.returns import targets
from tests.support.rl_small import (
    ROWS,
    Dice,
    Probe,
    alone,
    changed,
    differentiate,
    is_recorded,
    joined,
    lively_agent,
    random_segment,
    segment_loss,
    small_collector,
    small_config,
)


class FiveDice(Dice):
    """Dice with five actions."""

    observation_space = gymnasium.spaces.Box(-10, 10, (2,))
    action_space = gymnasium.spaces.Discrete(5)


gymnasium.register("FiveDice-v0", FiveDice)
DICE = {"env": "Dice-v0", "envs_per_worker": 5, "segment_length": 16}
every_core = pytest.mark.parametrize("core", ["mlp", "gru", "lstm"])
every_recurrent_core = pytest.mark.parametrize("core", ["gru", "lstm"])
again_or_recorded = pytest.mark.parametrize("unroll", ["again", "recorded"])
both_returns = pytest.mark.parametrize("returns", ["gae", "n_step"])


def gradients(agent: Agent, segment: Segment, config: Config) -> Tensor:
    """The gradient of the loss as one vector; 0 where a parameter does not take part."""
    loss, _ = segment_loss(agent, segment, config)
    parts = torch.autograd.grad(loss, list(agent.parameters()), materialize_grads=True)
    return torch.cat([part.flatten() for part in parts])


def differentiated(collector: Collector, segment: Segment, config: Config) -> tuple[Tensor, dict[str, float]]:
    """The gradient that `differentiate` leaves, as one vector, and what it logs."""
    losses = differentiate(collector, segment, config)
    return torch.cat([parameter.grad.flatten() for parameter in collector.agent.parameters()]), losses


def flat(agent: Agent) -> Tensor:
    return torch.nn.utils.parameters_to_vector(agent.parameters()).detach()


@pytest.mark.product
@every_core
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("way", [{"unroll": "again"}, {"unroll": "again", "core_layers": 2}, {"unroll": "recorded"}])
def test_the_learner_recomputes_what_acting_saw_over_three_segments(monkeypatch, core, dtype, tolerance, way):
    """ray-project/ray#2898, thu-ml/tianshou#793: the state was carried in acting and zeroed in training.

    Before any update, logits and values are equal at every step; so log π(aₜ) and Vₜ are, whatever the action. Where
    acting was recorded, what is learnt from is compared with what is unrolled again, too, and it is not unrolled."""
    config = small_config(core=core, dtype=dtype, **DICE, **way)
    collector = small_collector(config)
    probe = Probe(collector, monkeypatch)
    segments = []
    for number in range(3):
        segment = collector.collect()
        segments.append(segment)
        assert is_recorded(collector) == (way["unroll"] == "recorded" and core != "mlp")
        differentiate(collector, segment, config)
        acted, learnt = probe.acting[16 * number :], probe.learning[number]
        again, _ = Agent.unroll(collector.agent, segment.observations, segment.core_state, segment.is_first)
        assert len(acted) == 16 and learnt.values.shape == (17, 5)
        for name in ("logits", "values"):
            one, other = torch.stack([getattr(output, name) for output in acted]), getattr(learnt, name)
            torch.testing.assert_close(one, other[:-1], rtol=0, atol=tolerance)
            torch.testing.assert_close(other, getattr(again, name), rtol=0, atol=tolerance)
        assert len(probe.learning) == number + 1
        assert probe.unrolls == (0 if is_recorded(collector) else number + 1)
        assert learnt.values.std() > 0.01 and learnt.logits.std() > 0.01  # else equality would say little
    whole = joined(segments)
    assert whole.terminated.any() and whole.truncated.any()
    if core != "mlp":
        assert all((segment.core_state[0].norm(dim=(0, 2)) > 0.01).any() for segment in segments[1:])


@every_core
@both_returns
def test_environments_in_another_order_give_the_same_loss_and_gradient(core, returns):
    """Stable-Baselines-Team/stable-baselines3-contrib#284"""
    config = small_config(core=core, returns=returns, envs_per_worker=7, segment_length=6, normalise_advantages=True)
    agent, segment = lively_agent(config, 3), random_segment(config)
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    shuffled = changed(segment, lambda rows: rows[:, order])
    shuffled = shuffled._replace(core_state=tuple(part[:, order] for part in segment.core_state))
    loss, metrics = segment_loss(agent, segment, config)
    other, other_metrics = segment_loss(agent, shuffled, config)
    assert abs(loss.item() - other.item()) < 1e-12
    assert metrics == pytest.approx(other_metrics, abs=1e-12)
    one, other = (gradients(agent, which, config) for which in (segment, shuffled))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@every_recurrent_core
def test_steps_in_another_order_of_time_give_another_loss_and_gradient(core):
    config = small_config(core=core)
    agent, segment = lively_agent(config, 3), random_segment(config, ends=0.0)
    backwards = changed(segment, lambda rows: rows.flip(0))
    (loss, _), (other, _) = (segment_loss(agent, s, config) for s in (segment, backwards))
    assert abs(loss.item() - other.item()) > 1e-3
    assert (gradients(agent, segment, config) - gradients(agent, backwards, config)).abs().max() > 1e-3


@every_recurrent_core
def test_a_nan_state_that_is_reset_leaves_loss_gradient_and_statistics_bit_identical(core):
    """Stable-Baselines-Team/stable-baselines3-contrib#75: entries that do not count must not be counted."""
    config = small_config(core=core)
    agent, segment = lively_agent(config, 3), random_segment(config)
    segment.is_first[0] = torch.tensor([True, False, True])
    sick = segment._replace(core_state=tuple(part.clone() for part in segment.core_state))
    for part in sick.core_state:
        part[:, [0, 2]] = torch.nan
    assert segment_loss(agent, sick, config)[1] == segment_loss(agent, segment, config)[1]
    assert torch.equal(gradients(agent, sick, config), gradients(agent, segment, config))
    assert gradients(agent, segment, config).isfinite().all()


@every_core
def test_the_value_of_a_truncated_observation_changes_no_output_of_the_main_scan(monkeypatch, core):
    """pytorch/rl#3771: a final observation was fed to the critic's LSTM and corrupted it from there on."""
    config = small_config(core=core, **DICE)
    collector = small_collector(config)
    probe = Probe(collector, monkeypatch)
    collector.collect()
    segment = collector.collect()
    assert segment.truncated.any()
    nothing = torch.zeros_like(segment.truncated)
    masked = segment._replace(truncated=nothing, truncation_values=torch.zeros_like(segment.rewards))
    for which in (segment, masked):
        segment_loss(collector.agent, which, config)
    for one, other in zip(*probe.learning, strict=True):
        assert torch.equal(one, other)


@every_core
@again_or_recorded
def test_the_carried_state_has_no_graph_and_later_losses_do_not_reach_earlier_segments(core, unroll):
    config = small_config(core=core, unroll=unroll, env="Count-v0", env_arg=("length=7",))
    collector = small_collector(config)
    optimizer = torch.optim.SGD(collector.agent.parameters(), 0.01)
    for _ in range(3):
        segment = collector.collect()
        rows = [getattr(segment, name) for name in ROWS]
        tensors = [*rows, *segment.core_state, *collector.core_state, collector.observation]
        assert all(tensor.grad_fn is None and not tensor.requires_grad for tensor in tensors)
        differentiate(collector, segment, config)
        optimizer.step()


@pytest.mark.slow
@pytest.mark.parametrize("unroll", ["recorded", "again"])
def test_no_tensor_is_kept_over_1000_segments(unroll):
    config = small_config(core="gru", unroll=unroll, env="Count-v0", envs_per_worker=1, segment_length=2)
    collector = small_collector(config)

    def tensors_after(segments: int) -> tuple[int, float]:
        for _ in range(segments):
            differentiate(collector, collector.collect(), config)
        gc.collect()
        with open("/proc/self/statm") as statm:
            megabytes = int(statm.read().split()[1]) * 4096 / 2**20
        return sum(issubclass(type(thing), Tensor) for thing in gc.get_objects()), megabytes

    (few, before), (many, after) = tensors_after(100), tensors_after(900)
    assert many == few
    assert after - before < 4  # a graph of 2 steps takes some 10 kB: 900 of them would be 9 MB


# --- the gradient written out


@pytest.mark.product
@every_recurrent_core
@both_returns
@pytest.mark.parametrize("env", ["Dice-v0", "FiveDice-v0"])
@pytest.mark.parametrize("normalise_advantages", [False, True])
@pytest.mark.parametrize("entropy_coefficient", [0.0, 0.01])
@pytest.mark.parametrize("critic", [{}, {"value_coefficient": 2.0, "detach_critic": True}])
def test_both_paths_leave_the_gradient_of_the_loss_and_log_the_same_numbers(
    core, returns, env, normalise_advantages, entropy_coefficient, critic
):
    """Two collectors play the same two segments, and only one of them records; autograd of the loss is the judge."""
    options = {"core": core, "returns": returns, "normalise_advantages": normalise_advantages, **DICE, "env": env}
    options |= {"entropy_coefficient": entropy_coefficient, "discount": 0.9, "gae_lambda": 0.8, **critic}
    config = small_config(**options)
    recording, plain = (small_collector(small_config(**options, unroll=way)) for way in ("recorded", "again"))
    for _ in range(2):
        recorded, again = recording.collect(), plain.collect()
        assert is_recorded(recording) and not is_recorded(plain)
        assert recorded.terminated.any() and recorded.truncated.any()
        assert recorded.actions.unique().tolist() == list(range(2 if env == "Dice-v0" else 5))
        expected, (_, metrics) = gradients(plain.agent, again, config), segment_loss(plain.agent, again, config)
        assert expected.abs().max() > 0.1
        for collector, segment in ((recording, recorded), (recording, recorded), (plain, again)):
            gradient, losses = differentiated(collector, segment, config)
            torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-10)
            assert list(losses) == ["policy_loss", "value_loss", "entropy", "explained_variance"]
            assert losses == pytest.approx(metrics, rel=0, abs=1e-12)


@every_core
@again_or_recorded
def test_a_gradient_is_set_and_not_added_to_the_last_one(core, unroll):
    config = small_config(core=core, unroll=unroll, **DICE)
    collector = small_collector(config)
    segment = collector.collect()
    expected, _ = differentiated(collector, segment, config)  # there was none before
    for parameter in collector.agent.parameters():
        parameter.grad[:] = 5.0
    kept = [parameter.grad for parameter in collector.agent.parameters()]
    gradient, _ = differentiated(collector, segment, config)
    assert torch.equal(gradient, expected)
    assert all(parameter.grad is one for parameter, one in zip(collector.agent.parameters(), kept, strict=True))


@every_recurrent_core
def test_workers_advantages_are_normalised_together_on_both_paths(core):
    """The other worker's have mean 3 and mean square 50, so those of this one are shifted and scaled otherwise."""
    config = small_config(core=core, unroll="recorded", **{**DICE, "normalise_advantages": True})
    collector = small_collector(config)
    segment = collector.collect()
    asked = []

    def with_another_worker(moments):
        asked.append(moments)
        return moments + torch.tensor([80.0, 3.0 * 80, 50.0 * 80], dtype=torch.float64)

    got = []
    for source in (collector.agent, collector):
        for together in (with_another_worker, alone):
            losses = differentiate(source, segment, config, together)
            got.append((torch.cat([parameter.grad.flatten() for parameter in collector.agent.parameters()]), losses))
    assert len(asked) == 2 and asked[0][0] == 80
    torch.testing.assert_close(asked[0], asked[1], rtol=0, atol=1e-10)
    for (one, numbers), (other, other_numbers) in ((got[0], got[2]), (got[1], got[3])):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
        assert numbers == pytest.approx(other_numbers, rel=0, abs=1e-12)
    assert (got[0][0] - got[1][0]).abs().max() > 0.01


def test_the_gradient_of_an_undecided_agent_by_hand():
    """π = 1/2 and V = 0, every step ends with reward 3, 12 steps: ∂L/∂logits are −3/24 for the action that was taken
    and 3/24 for the other, and none of it by the entropy, which is at its most; ∂L/∂V = 2 · 1/2 · (0 − 3) / 12."""
    config = small_config(entropy_coefficient=0.1)
    segment = random_segment(config)
    output = AgentOutput(torch.zeros(5, 3, 2).double(), torch.zeros(5, 3).double())
    steps, returns = AgentOutput(output.logits[:-1], output.values[:-1]), torch.full((4, 3), 3.0).double()
    (d_logits, d_values), losses = actor_critic_gradient(
        steps, Categorical(2), segment.actions, returns, returns, config
    )
    assert d_values.flatten().tolist() == pytest.approx([-3 / 12] * 12, abs=1e-12)
    taken = d_logits.gather(-1, segment.actions.unsqueeze(-1))
    assert taken.flatten().tolist() == pytest.approx([-3 / 24] * 12, abs=1e-12)
    assert d_logits.sum(-1).flatten().tolist() == pytest.approx([0.0] * 12, abs=1e-12)
    expected = {"policy_loss": 3 * math.log(2), "value_loss": 9.0, "entropy": math.log(2)}
    assert math.isnan(losses.pop("explained_variance"))  # undefined: the returns do not vary
    assert losses == pytest.approx(expected, abs=1e-12)
    assert output.logits.count_nonzero() == output.values.count_nonzero() == 0  # they are the recording's own


# --- Q-learning


def test_the_gradient_of_q_learning_by_hand():
    """Q = 0 of both actions, returns 3 and −1, weights 1 and 2, two steps of each: errors −3 and 1, so
    L = ½ (9 + 2) / 2; ∂L/∂Q of the action taken is −3/4 and 2/4. V has all of it, the advantage of the action taken
    half of it and that of the other minus half. Of a sum they are four times as much."""
    output = AgentOutput(torch.zeros(2, 2, 2).double(), torch.zeros(2, 2).double())
    actions, returns = torch.tensor([[0, 1], [1, 1]]), torch.tensor([[3.0, -1.0]] * 2).double()
    for reduction, scale in (("mean", 1 / 4), ("sum", 1.0)):
        config = small_config(loss_reduction=reduction)
        (d_logits, d_values), losses, errors = q_gradient(output, actions, returns, torch.tensor([1.0, 2.0]), config)
        assert errors.tolist() == [[-3, 1]] * 2 and d_values.tolist() == [[-3 * scale, 2 * scale]] * 2
        taken, other = [-1.5 * scale, 1.0 * scale], [1.5 * scale, -1.0 * scale]
        assert d_logits.gather(-1, actions.unsqueeze(-1)).squeeze(-1).tolist() == [taken] * 2
        assert d_logits.gather(-1, 1 - actions.unsqueeze(-1)).squeeze(-1).tolist() == [other] * 2
        assert losses == {"td_loss": 11 / 4, "q_values": 0.0, "explained_variance": 0.0}


@pytest.mark.product
@every_core
@both_returns
@pytest.mark.parametrize("env", ["Dice-v0", "FiveDice-v0"])
@pytest.mark.parametrize("options", [{}, {"loss_reduction": "sum", "core_layers": 2}])
def test_q_learning_from_segments_leaves_the_gradient_of_its_loss_on_both_paths(core, returns, env, options):
    """½ mean (Q(aₜ) − Gₜ)² written plainly and differentiated; G by hand of what the best actions are worth: the
    bootstrap's, and in the segment those of truncated steps."""
    options = {
        "algorithm": "q_online",
        "core": core,
        "returns": returns,
        "discount": 0.9,
        "gae_lambda": 0.8,
        **DICE,
        "env": env,
        "epsilon_first": 0.5,
        "epsilon_last": 0.5,
        **options,
    }
    config = small_config(**options)
    recording, plain = (small_collector(small_config(**options, unroll=way)) for way in ("recorded", "again"))
    for _ in range(2):
        recorded, again = recording.collect(), plain.collect()
        assert is_recorded(recording) == (core != "mlp" and "core_layers" not in options)
        agent = plain.agent
        output, _ = agent.unroll(again.observations, again.core_state, again.is_first)
        q = output.values.unsqueeze(-1) + output.logits - output.logits.mean(-1, keepdim=True)
        chosen = q[:-1].gather(-1, again.actions.unsqueeze(-1)).squeeze(-1)
        goals = targets(again, q.detach().max(-1).values, config)
        errors = chosen - goals
        loss = 0.5 * (errors.square().mean() if config.loss_reduction == "mean" else errors.square().sum())
        parts = torch.autograd.grad(loss, list(agent.parameters()), materialize_grads=True)
        expected = torch.cat([part.flatten() for part in parts])
        for collector, segment in ((recording, recorded), (plain, again)):
            gradient, losses = differentiated(collector, segment, config)
            torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-10)
            assert losses["td_loss"] == pytest.approx(0.5 * errors.square().mean().item(), rel=1e-12)
            assert losses["q_values"] == pytest.approx(chosen.mean().item(), rel=1e-12)
            assert list(losses) == ["td_loss", "q_values", "explained_variance"]
        assert again.truncation_values.count_nonzero() > 0 and expected.abs().max() > 0.1


def test_a_q_loss_that_is_not_finite_is_an_error():
    output = AgentOutput(torch.zeros(1, 1, 2), torch.zeros(1, 1))
    with pytest.raises(FloatingPointError, match="the loss is inf: look for nan or inf in observations and rewards"):
        q_gradient(
            output, torch.zeros(1, 1, dtype=torch.int64), torch.tensor([[torch.inf]]), torch.ones(1), small_config()
        )


# --- finite differences


def only_once(function):
    """Computed at the first call, and the same at all later ones."""
    results = []

    def first_result(*arguments):
        if not results:
            results.append(function(*arguments))
        return results[0]

    return first_result


FEW = {  # each core, each way of returns and each end of an episode once or twice
    *(("mlp", "gae", "terminated"), ("rnn", "n_step", "truncated")),
    *(("gru", "gae", "truncated"), ("lstm", "n_step", "terminated")),
}


@pytest.mark.parametrize(
    ("core", "returns", "boundary"),
    [
        pytest.param(*case, marks=[] if case in FEW else pytest.mark.slow)
        for case in itertools.product(("mlp", "rnn", "gru", "lstm"), ("gae", "n_step"), ("terminated", "truncated"))
    ],
)
def test_the_gradient_of_a_3_step_segment_with_a_boundary_equals_finite_differences(
    monkeypatch, core, returns, boundary
):
    """Returns and advantages are constants to the gradient, so both sides hold them at what they are."""
    config = small_config(
        core=core,
        returns=returns,
        segment_length=3,
        envs_per_worker=2,
        normalise_advantages=True,
        entropy_coefficient=0.1,
        core_layers=2,
    )
    agent, segment = lively_agent(config, 3), random_segment(config, ends=0.0)
    segment.is_first[:] = False
    getattr(segment, boundary)[1, 0] = segment.is_first[2, 0] = True
    segment.truncation_values[:] = 3.0 * segment.truncated
    analytic = gradients(agent, segment, config)

    held = only_once(targets)
    monkeypatch.setattr(tests.support.rl_small, "normalised", only_once(normalised))
    segment_loss(agent, segment, config, targets=held)  # from here on, both are what they are now

    start, numeric, step = flat(agent), torch.zeros_like(analytic), 1e-5
    for i in range(len(start)):
        sides = []
        for sign in (1, -1):
            moved = start.clone()
            moved[i] += sign * step
            torch.nn.utils.vector_to_parameters(moved, agent.parameters())
            with torch.no_grad():
                sides.append(segment_loss(agent, segment, config, targets=held)[0].item())
        numeric[i] = (sides[0] - sides[1]) / (2 * step)
    assert analytic.abs().max() > 0.1
    torch.testing.assert_close(analytic, numeric, rtol=0, atol=1e-6)


@every_core
@both_returns
def test_6_steps_cut_where_every_episode_ends_are_3_and_3_in_loss_and_gradient(core, returns):
    config = small_config(core=core, returns=returns, segment_length=6)
    agent, segment = lively_agent(config, 3), random_segment(config, ends=0.0)
    segment.terminated[2] = segment.is_first[3] = True
    halves = cut(agent, segment, 3)
    loss = sum(segment_loss(agent, half, config)[0].item() for half in halves) / 2
    assert abs(segment_loss(agent, segment, config)[0].item() - loss) < 1e-12
    mean = sum(gradients(agent, half, config) for half in halves) / 2
    torch.testing.assert_close(gradients(agent, segment, config), mean, rtol=0, atol=1e-12)


@every_recurrent_core
def test_6_steps_cut_within_an_episode_have_the_same_values_and_another_gradient(monkeypatch, core):
    """One-step targets are the same on both sides of a cut; the gradient loses the path through the state."""
    config = small_config(core=core, segment_length=6, gae_lambda=0.0)
    agent, segment = lively_agent(config, 3), random_segment(config, ends=0.0)
    halves = cut(agent, segment, 3)
    whole, _ = segment_loss(agent, segment, config)
    assert abs(whole.item() - sum(segment_loss(agent, half, config)[0].item() for half in halves) / 2) < 1e-12
    mean = sum(gradients(agent, half, config) for half in halves) / 2
    assert (gradients(agent, segment, config) - mean).abs().max() > 1e-3


def cut(agent: Agent, segment: Segment, t: int) -> list[Segment]:
    """Two segments, the state carried from the first to the second."""
    with torch.no_grad():
        _, carried = agent.unroll(segment.observations[:t], segment.core_state, segment.is_first[:t])
    first = changed(segment, lambda rows: rows[: t + len(rows) - segment.rewards.shape[0]])  # one row more of some
    return [first, changed(segment, lambda rows: rows[t:])._replace(core_state=carried)]


# --- numbers


def test_the_loss_of_an_undecided_agent_by_hand():
    """All weights 0: π = 1/2, V = 0. Every step ends with reward 3: G = Â = 3, so the policy loss is 3 log 2, the
    value loss 9, the entropy log 2, and with c_v = 1/2 and c_e = 0.1 the loss is 3 log 2 + 4.5 − 0.1 log 2."""
    config = small_config(entropy_coefficient=0.1)
    agent, segment = lively_agent(config, 3), random_segment(config)
    with torch.no_grad():
        for parameter in agent.parameters():
            parameter.zero_()
    segment.terminated[:], segment.truncated[:], segment.rewards[:] = True, False, 3.0
    segment.truncation_values[:] = 0.0
    loss, metrics = segment_loss(agent, segment, config)
    assert loss.item() == pytest.approx(4.5 + 2.9 * math.log(2), abs=1e-12)
    expected = {"policy_loss": 3 * math.log(2), "value_loss": 9.0, "entropy": math.log(2)}
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_explained_variance_is_1_for_a_perfect_critic_and_0_for_a_constant_one():
    config = small_config(gae_lambda=0.0, discount=0.0)
    agent, segment = lively_agent(config, 3), random_segment(config, ends=0.0)
    with torch.no_grad():
        values = agent.unroll(segment.observations, segment.core_state, segment.is_first)[0].values
    perfect = segment._replace(rewards=values[:-1] + 5.0)  # a constant error explains as much
    assert segment_loss(agent, perfect, config)[1]["explained_variance"] == pytest.approx(1, abs=1e-9)
    with torch.no_grad():
        agent.value_head.weight.zero_()
    assert segment_loss(agent, segment, config)[1]["explained_variance"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("kind", "steps", "batch"), [("one step", 1, 1), ("equal", 4, 3), ("all ended", 4, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normalised_advantages_of_one_step_or_of_equal_ones_give_a_finite_loss_and_gradient(kind, steps, batch, dtype):
    sizes = {"segment_length": steps, "envs_per_worker": batch, "mode": "sync", "workers": 2}
    config = small_config(**sizes, normalise_advantages=True, dtype=dtype)
    agent, segment = lively_agent(config, 3), random_segment(config, ends=0.0)
    precision = getattr(torch, dtype)
    segment = changed(segment, lambda rows: rows.to(precision) if rows.is_floating_point() else rows)
    segment = segment._replace(core_state=tuple(part.to(precision) for part in segment.core_state))
    if kind != "one step":
        with torch.no_grad():
            agent.value_head.weight.zero_()
        segment.rewards[:] = 1.0
    if kind == "all ended":
        segment.terminated[:] = True
    loss, metrics = segment_loss(agent, segment, config)
    del metrics["explained_variance"]  # undefined where returns are equal
    assert loss.isfinite() and all(math.isfinite(number) for number in metrics.values())
    assert gradients(agent, segment, config).isfinite().all()


def test_advantages_1_2_3_6_have_mean_3_and_variance_3_5():
    """(4 + 1 + 0 + 9) / 4 = 3.5. One advantage alone becomes 0."""
    advantages = torch.tensor([[1.0, 2.0], [3.0, 6.0]], dtype=torch.float64)
    expected = (advantages - 3) / 3.5**0.5
    torch.testing.assert_close(normalised(advantages, moments(advantages)), expected, rtol=0, atol=1e-7)
    assert normalised(torch.tensor([[5.0]]), moments(torch.tensor([[5.0]]))).tolist() == [[0.0]]


def test_two_workers_of_2_environments_normalise_as_one_of_4():
    torch.manual_seed(0)
    advantages = 1 + torch.randn(5, 4, dtype=torch.float64)
    halves = advantages[:, :2], advantages[:, 2:]
    together = [normalised(half, sum(map(moments, halves))) for half in halves]
    torch.testing.assert_close(torch.cat(together, 1), normalised(advantages, moments(advantages)), rtol=0, atol=1e-12)


@every_core
@pytest.mark.parametrize("detach_critic", [True, False])
def test_a_detached_critic_moves_no_parameter_of_torso_and_core(core, detach_critic):
    """The loss with c_v = 1 less the loss with c_v = 0 is the value loss, and so are the gradients."""
    config = small_config(core=core, detach_critic=detach_critic)
    agent, segment = lively_agent(config, 3), random_segment(config)
    of_value = {}
    for coefficient in (0.0, 1.0):
        agent.zero_grad()
        segment_loss(agent, segment, small_config(core=core, value_coefficient=coefficient))[0].backward()
        for name, parameter in agent.named_parameters():
            of_value[name] = parameter.grad - of_value.get(name, 0.0)
    shared = [gradient for name, gradient in of_value.items() if name.startswith(("torso.", "core."))]
    assert len(shared) == (4 if core == "mlp" else 6)
    assert all((gradient.abs().max() < 1e-14) == detach_critic for gradient in shared)
    assert of_value["value_head.weight"].abs().max() > 0.1
    assert of_value["policy_head.weight"].abs().max() < 1e-14


@pytest.mark.parametrize("part", ["observations", "rewards"])
def test_a_nan_in_observations_or_rewards_raises_and_says_where_to_look(part):
    config = small_config()
    agent, segment = lively_agent(config, 3), random_segment(config)
    getattr(segment, part)[1, 0] = torch.nan
    with pytest.raises(FloatingPointError, match="look for nan or inf in observations and rewards"):
        segment_loss(agent, segment, config)


class Faulty(VectorWrapper):
    """Sees or earns a number too bad to learn from, from its second step on."""

    def __init__(self, environments, part, number):
        super().__init__(environments)
        self.part, self.number, self.count = part, number, 0

    def step(self, actions):
        observations, rewards, *rest = self.env.step(actions)
        self.count += 1
        if self.count > 1:
            broken = observations if self.part == "observations" else rewards
            broken[0] = self.number
        return observations, rewards, *rest


@every_core
@again_or_recorded
@pytest.mark.parametrize(
    ("part", "number", "message"),
    [
        ("observations", np.nan, "the loss is nan: policy nan, value nan, entropy nan"),
        ("rewards", np.nan, r"the loss is nan: policy nan, value nan, entropy 0\.\d+"),
        ("rewards", 1e200, r"the loss is inf: policy -?[0-9.]+e\+\d+, value inf, entropy 0\.\d+"),  # its square is inf
    ],
)
def test_a_loss_that_is_not_finite_is_the_same_error_on_both_paths(monkeypatch, core, unroll, part, number, message):
    """And no parameter has a gradient of it. The Collector would refuse such a segment already."""
    monkeypatch.setattr("rl.acting.collector.require_finite", lambda *_rows: None)
    config = small_config(core=core, unroll=unroll, env="Count-v0")
    collector = small_collector(config, lambda environments: Faulty(environments, part, number))
    segment = collector.collect()
    hint = "; look for nan or inf in observations and rewards, or lower --learning-rate$"
    with pytest.raises(FloatingPointError, match=f"^{message}{hint}"):
        differentiate(collector, segment, config)
    assert all(parameter.grad is None for parameter in collector.agent.parameters())


def test_the_reward_scale_multiplies_the_environments_rewards_in_the_loss_and_leaves_the_segments_alone():
    config = small_config(reward_scale=0.1)
    agent, segment = lively_agent(config, 3), random_segment(config, ends=0.0)
    rewards = segment.rewards.clone()
    scaled, _ = segment_loss(agent, segment, config)
    assert torch.equal(segment.rewards, rewards)
    same, _ = segment_loss(agent, segment._replace(rewards=rewards / 10), small_config(reward_scale=1.0))
    assert abs(scaled.item() - same.item()) < 1e-12


# --- the distribution over actions


@pytest.mark.parametrize("entropy", [None, 0.0, -0.3])
def test_a_categorical_distributions_way_back_is_autograds(entropy):
    """log π, H and ∂L/∂logits of 5 actions at 4 x 3 steps, written out and by autograd, also where π is nearly 1."""
    head = 3.0 * torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    head[0, 0] = torch.tensor([40.0, 0.0, 0.0, 0.0, 0.0])
    actions = torch.randint(5, (4, 3), generator=torch.Generator().manual_seed(2))
    d_log_probs = torch.randn(4, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    written, defined = Categorical(5).taken(head, actions), by_autograd(Categorical(5), head, actions)
    torch.testing.assert_close(written[:2], defined[:2], rtol=0, atol=1e-12)
    one, other = (way.backward(d_log_probs, entropy) for way in (written, defined))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    assert one.abs().max() > 0.1
