"""The fast path equals the plain one: recorded activations and the written-out backward pass against `Agent.unroll`."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

import envs
from rl.acting.collector import Collector
from rl.acting.randomness import ActionNoise
from rl.agent.actions.categorical import Categorical
from rl.agent.agent import Agent, AgentOutput
from rl.agent.cores import GRUCore, LSTMCore, RNNCore
from rl.agent.flat import FlatAgent
from rl.agent.recorded.which import can_record, is_written, make_unrolled
from rl.names import CORES, load
from tests.support.configs import cartpole_config
from tests.support.rl_small import (
    assert_same_segment,
    differentiate,
    is_recorded,
    make_agent,
    small_collector,
    small_config,
)

STEPS, BATCH, FEATURES, ACTIONS = 6, 4, 3, 2
SLOW = ("rnn", "mingru")  # each has a nearest kin among the others
every_core = pytest.mark.parametrize(
    "core", ["gru", "lstm", "rtu", *(pytest.param(core, marks=pytest.mark.slow) for core in SLOW)]
)


class Lesson(NamedTuple):
    """What a segment is played from, and ∂L/∂logits and ∂L/∂values of some loss of it."""

    observations: Tensor  # [time + 1, batch, feature]
    core_state: tuple[Tensor, ...]  # before observations[0]
    is_first: Tensor  # [time + 1, batch]
    d_logits: Tensor  # [time, batch, action]
    d_values: Tensor  # [time, batch]


def strong_agent(core="lstm", features=FEATURES, actions=ACTIONS, **options):
    """An agent with large random parameters, biases too."""
    small = {"dtype": "float64", "hidden_size": 5, "torso_size": 4}
    agent = make_agent(cartpole_config(core=core, **{**small, **options}), features, actions)
    redraw(agent, seed=7)
    return agent


@torch.no_grad()
def redraw(agent, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in agent.parameters():
        parameter.normal_(0.0, 1.5 / agent.core.hidden_size**0.5, generator=generator)


def resets(pattern, steps=STEPS, batch=BATCH):
    """Nowhere, everywhere, anywhere, or in environment 1 at one step."""
    is_first = torch.zeros(steps + 1, batch, dtype=torch.bool)
    if pattern == "random":
        is_first = torch.rand(steps + 1, batch, generator=torch.Generator().manual_seed(9)) < 0.3
    elif pattern == "all":
        is_first[:] = True
    elif pattern != "none":
        is_first[int(pattern), 1] = True
    return is_first


def lesson(agent, pattern="random", seed=8, steps=STEPS, batch=BATCH):
    """Of random numbers; each logit and each value but the bootstrap's has a gradient of its own."""
    features = agent.torso[0].in_features if len(agent.torso) else agent.core.input_size
    generator, kind = torch.Generator().manual_seed(seed), agent.policy_head.weight.dtype

    def normal(*size):
        return torch.randn(*size, generator=generator, dtype=kind)

    return Lesson(
        normal(steps + 1, batch, features),
        tuple(normal(*part.shape) for part in agent.core.initial_state(batch)),
        resets(pattern, steps, batch),
        normal(steps, batch, agent.policy_head.out_features),
        normal(steps, batch),
    )


def play(recording, lesson):
    """Step through a segment and its bootstrap: what each step said, and the states that it gave, as it gave them."""
    step, state, said, states = recording.begin(), lesson.core_state, [], []
    for observation, is_first in zip(lesson.observations, lesson.is_first, strict=True):
        output, state = step(observation, state, is_first)
        said.append([part.clone() for part in output])
        states.append(state)
    return [torch.stack(parts) for parts in zip(*said, strict=True)], states


def learn(recording, lesson):
    """Play and go back: logits, values and the gradient of each parameter."""
    play(recording, lesson)
    recording.backward(AgentOutput(lesson.d_logits, lesson.d_values))
    return [*(part.clone() for part in recording.output), *gradients(recording.agent)]


def gradients(agent):
    return [parameter.grad.clone() for parameter in agent.parameters()]


def learn_by_autograd(agent, lesson):
    """The definition: the same of the unroll."""
    output, _ = agent.unroll(lesson.observations, lesson.core_state, lesson.is_first)
    loss = (output.logits[:-1] * lesson.d_logits).sum() + (output.values[:-1] * lesson.d_values).sum()
    gradient = torch.autograd.grad(loss, list(agent.parameters()))
    return [output.logits.detach(), output.values.detach(), *gradient]


def assert_learns_as_autograd_does(recording, lesson):
    learnt, expected = learn(recording, lesson), learn_by_autograd(recording.agent, lesson)
    torch.testing.assert_close(learnt[:2], expected[:2], rtol=0, atol=1e-12)
    torch.testing.assert_close(learnt[2:], expected[2:], rtol=1e-10, atol=1e-10)
    lively = all(gradient.abs().max() > 1e-3 for gradient in expected[2:])  # else equality would say little
    assert lively or lesson.is_first.all()  # then no state is ever used, nor are the weights that it meets


# --- value and gradient


@every_core
@pytest.mark.parametrize("pattern", ["none", "all", "random", *"0123456"])
def test_recorded_activations_equal_the_unroll_in_value_and_gradient(core, pattern):
    agent = strong_agent(core)
    played = lesson(agent, pattern)
    recording = make_unrolled(agent, STEPS + 1, BATCH, True)
    assert_learns_as_autograd_does(recording, played)
    said, states = play(recording, played)
    _, expected = agent.unroll(played.observations, played.core_state, played.is_first)
    torch.testing.assert_close(states[-1], expected, rtol=0, atol=1e-12)
    assert all(torch.equal(one, other) for one, other in zip(said, recording.output, strict=True))


@pytest.mark.product
@every_core
@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("detach", [False, True])
def test_it_holds_for_any_torso_and_for_a_detached_critic(core, layers, detach):
    agent = strong_agent(core, torso_layers=layers, detach_critic=detach)
    assert_learns_as_autograd_does(make_unrolled(agent, STEPS + 1, BATCH, True), lesson(agent))


@every_core
@pytest.mark.parametrize(
    ("steps", "batch", "features", "actions", "hidden", "torso"),
    [(40, 33, 7, 5, 64, 48), (3, 2, 9, 6, 4, 11), (1, 1, 1, 2, 1, 1), (1, 5, 2, 3, 4, 3), (9, 1, 4, 2, 3, 8)],
)
def test_it_holds_in_any_size(core, steps, batch, features, actions, hidden, torso):
    agent = strong_agent(core, features, actions, hidden_size=hidden, torso_size=torso, torso_layers=2)
    played = lesson(agent, steps=steps, batch=batch)
    learnt = learn(make_unrolled(agent, steps + 1, batch, True), played)
    torch.testing.assert_close(learnt, learn_by_autograd(agent, played), rtol=1e-10, atol=1e-10)


@every_core
def test_it_holds_in_float32_to_its_precision(core):
    agent = strong_agent(core, dtype="float32")
    played = lesson(agent)
    learnt = learn(make_unrolled(agent, STEPS + 1, BATCH, True), played)
    assert all(tensor.dtype == torch.float32 for tensor in learnt)
    torch.testing.assert_close(learnt, learn_by_autograd(agent, played), rtol=1e-4, atol=1e-4)


@every_core
def test_the_written_out_backward_pass_agrees_with_finite_differences(core):
    """Of Σ sin(logits) + Σ cos(values), whose derivatives are cos and −sin. Each parameter in turn is moved by 1e-6 to
    either side, three of every matrix and bias: independent of autograd altogether."""
    agent = strong_agent(core)
    played, recording = lesson(agent), make_unrolled(agent, STEPS + 1, BATCH, True)

    def loss():
        play(recording, played)
        return (recording.output.logits[:-1].sin().sum() + recording.output.values[:-1].cos().sum()).item()

    loss()
    recording.backward(AgentOutput(recording.output.logits[:-1].cos(), -recording.output.values[:-1].sin()))
    analytic = gradients(agent)
    for parameter, gradient in zip(agent.parameters(), analytic, strict=True):
        flat = parameter.data.view(-1)
        for index in {0, flat.numel() // 2, flat.numel() - 1}:
            there = flat[index].item()
            flat[index] = there + 1e-6
            above = loss()
            flat[index] = there - 1e-6
            below = loss()
            flat[index] = there
            assert gradient.reshape(-1)[index].item() == pytest.approx((above - below) / 2e-6, abs=1e-6, rel=1e-6)


@every_core
@pytest.mark.parametrize("options", [{}, {"entropy_coefficient": 0.01, "returns": "n_step", "torso_layers": 2}])
def test_a_collector_that_records_trains_like_one_that_does_not(core, options):
    """Five updates on masked CartPole, episodes ending inside segments: the same parameters to 1e-10."""

    def trained(record):
        config = cartpole_config(core=core, dtype="float64", hidden_size=8, torso_size=8, segment_length=16, **options)
        agent = make_agent(config, 2, 2)
        environments = envs.make_vector("MaskedVelocityCartPole-v1", 5)
        unrolled = make_unrolled(agent, 17, 5, record)
        collector = Collector(environments, agent, ActionNoise(1, 0, range(5)), range(5), 16, unrolled=unrolled)
        optimizer = torch.optim.SGD(agent.parameters(), lr=0.1)
        numbers = []
        for _ in range(5):
            segment = collector.collect()
            assert is_recorded(collector) == record
            numbers += differentiate(collector, segment, config).values()
            optimizer.step()
        assert segment.is_first[1:-1].any()
        return [*agent.parameters(), torch.tensor(numbers, dtype=torch.float64)]

    torch.testing.assert_close(trained(record=True), trained(record=False), rtol=0, atol=1e-10)


# --- buffers are used again


@every_core
@pytest.mark.parametrize("layers", [0, 2])
def test_every_segment_of_a_recording_is_exact_whatever_was_played_before(core, layers):
    """Other parameters, observations, states and resets each time: bit for bit what a new recording gives."""
    agent = strong_agent(core, torso_layers=layers)
    used = make_unrolled(agent, STEPS + 1, BATCH, True)
    for seed, pattern in enumerate(["all", "none", "random", "3", "none", "all", "0", "random"]):
        redraw(agent, seed)
        played = lesson(agent, pattern, seed)
        assert_learns_as_autograd_does(used, played)
        again, new = (learn(recording, played) for recording in (used, make_unrolled(agent, STEPS + 1, BATCH, True)))
        assert all(torch.equal(one, other) for one, other in zip(again, new, strict=True))


@every_core
@pytest.mark.parametrize("pattern", ["none", "random"])
def test_a_segment_full_of_nan_and_one_left_in_the_middle_leave_nothing_behind(core, pattern):
    """Parameters, observations, state and gradients are all nan, so every number that could be kept is one too."""
    agent = strong_agent(core, torso_layers=2)
    played, recording = lesson(agent, pattern), make_unrolled(agent, STEPS + 1, BATCH, True)
    expected = learn(recording, played)
    sick = lesson(agent, "none")
    for tensor in (*sick.core_state, *sick[:1], *sick[3:]):
        tensor[:] = torch.nan
    with torch.no_grad():
        for parameter in agent.parameters():
            parameter[:] = torch.nan
    assert all(tensor.isnan().all() for tensor in learn(recording, sick))
    redraw(agent, seed=7)
    step = recording.begin()
    for t in range(3):
        step(sick.observations[t], sick.core_state, ~sick.is_first[t])
    assert all(torch.equal(one, other) for one, other in zip(learn(recording, played), expected, strict=True))


@every_core
def test_a_gradient_is_set_and_never_added_to_what_was_there(core):
    """After none, after nan, and after itself; in place, since a FlatAgent's gradients are views of one vector."""
    agent = strong_agent(core)
    played, recording = lesson(agent), make_unrolled(agent, STEPS + 1, BATCH, True)
    assert all(parameter.grad is None for parameter in agent.parameters())
    learn(recording, played)
    first = gradients(agent)
    for parameter in agent.parameters():
        parameter.grad *= 2.0  # as clipping does: no two share memory, so none is doubled twice
    assert all(torch.equal(parameter.grad, 2 * one) for parameter, one in zip(agent.parameters(), first, strict=True))
    recording.backward(AgentOutput(played.d_logits, played.d_values))
    assert all(torch.equal(one, other) for one, other in zip(gradients(agent), first, strict=True))
    for parameter in agent.parameters():
        parameter.grad[:] = torch.nan
    kept = [parameter.grad for parameter in agent.parameters()]
    recording.backward(AgentOutput(played.d_logits, played.d_values))
    assert all(torch.equal(one, other) for one, other in zip(gradients(agent), first, strict=True))
    assert all(parameter.grad is one for parameter, one in zip(agent.parameters(), kept, strict=True))
    flat = FlatAgent(agent)
    flat.gradient[:] = 5.0
    learn(recording, played)
    assert torch.equal(flat.gradient, torch.cat([gradient.flatten() for gradient in first]))


# --- states and resets


@every_core
@pytest.mark.parametrize("t", range(STEPS + 1))
def test_nan_in_a_state_before_a_reset_does_not_survive_it(core, t):
    """In the middle of the segment too, where the caller hands it in. All else stays as it is in every bit, and so does
    what the caller gave: its nan is still there afterwards."""
    agent = strong_agent(core)
    played, recording = lesson(agent, str(t)), make_unrolled(agent, STEPS + 1, BATCH, True)
    expected = learn(recording, played)
    step, state = recording.begin(), played.core_state
    for row in range(STEPS + 1):
        state = tuple(part.clone() for part in state)
        if row == t:
            for part in state:
                part[0, 1] = torch.nan
        given = played.observations[row].clone(), *(part.clone() for part in state), played.is_first[row].clone()
        _, following = step(played.observations[row], state, played.is_first[row])
        after = played.observations[row], *state, played.is_first[row]
        torch.testing.assert_close(after, given, rtol=0, atol=0, equal_nan=True)
        state = following
    recording.backward(AgentOutput(played.d_logits, played.d_values))
    learnt = [*recording.output, *gradients(agent)]
    assert all(torch.equal(one, other) for one, other in zip(learnt, expected, strict=True))
    assert all(tensor.isfinite().all() for tensor in learnt)


@every_core
@pytest.mark.parametrize("pattern", ["none", "all", "random"])
def test_the_state_after_a_step_is_still_right_when_later_steps_have_consumed_it(core, pattern):
    """The value of a truncated episode's last observation is computed from it; also while episodes open elsewhere."""
    agent = strong_agent(core)
    played = lesson(agent, pattern)
    _, states = play(make_unrolled(agent, STEPS + 1, BATCH, True), played)
    expected = played.core_state
    for t in range(STEPS + 1):
        with torch.no_grad():
            _, expected = agent.step(played.observations[t], expected, played.is_first[t])
        torch.testing.assert_close(states[t], expected, rtol=0, atol=1e-12)


def test_an_incomplete_recording_cannot_be_learnt_from():
    agent = strong_agent()
    played, recording = lesson(agent), make_unrolled(agent, STEPS + 1, BATCH, True)
    play(recording, played)
    step = recording.begin()  # what the last segment said is gone
    for t in range(STEPS + 1):
        with pytest.raises(RuntimeError, match=f"{t} of 6 steps and the bootstrap are recorded"):
            _ = recording.output
        step(played.observations[t], played.core_state, played.is_first[t])
    assert recording.output.values.shape == (STEPS + 1, BATCH)


def test_agents_without_a_fast_path_are_unrolled():
    class OwnCore(LSTMCore):
        """A user's own core may step in any way."""

    class OwnAgent(Agent):
        """So may a user's own agent, with heads of its own for example."""

    for core in ("rnn", "gru", "lstm"):
        assert can_record(make_agent(cartpole_config(core=core), 3, 2))
    assert not can_record(OwnAgent(nn.Sequential(), LSTMCore(3, 4), Categorical(2)))
    assert not can_record(make_agent(cartpole_config(core="mlp"), 3, 2))
    assert not can_record(make_agent(cartpole_config(core="gru", core_layers=2), 3, 2))
    assert not can_record(Agent(nn.Sequential(), OwnCore(3, 4), Categorical(2)))


class OwnTorso(nn.Module):
    """A torso of a user's own, which sees images of 2 x 3."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, observations):
        return self.layer(observations.flatten(-2)).sin()


@pytest.mark.product
@every_core
@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize(
    "torso",
    [
        lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU()),
        lambda: nn.Sequential(nn.Linear(3, 4)),
        lambda: nn.Sequential(nn.Tanh(), nn.Linear(3, 4)),
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 4)), nn.Tanh()),
        lambda: nn.Sequential(nn.Linear(3, 4).requires_grad_(False), nn.Tanh()),
        OwnTorso,
    ],
    ids=["relu", "linear", "tanh first", "weight norm", "frozen", "own"],
)
def test_a_recording_stands_behind_any_torso_whose_gradient_autograd_finds(core, torso, first):
    """Stepped and unrolled, the outputs and all gradients are those of `Agent.unroll`; a frozen torso has none."""
    agent = Agent(torso(), load(core, CORES)(4, 5), Categorical(ACTIONS)).double()
    redraw(agent, seed=7)
    recording = make_unrolled(agent, STEPS + 1, BATCH, True, first)
    assert can_record(agent) and not is_written(agent.torso)
    generator = torch.Generator().manual_seed(8)
    shape = (2, 3) if isinstance(agent.torso, OwnTorso) else (3,)
    observations = torch.randn(STEPS + 1, BATCH, *shape, generator=generator, dtype=torch.float64)
    fresh = agent.initial_state(BATCH)
    state = tuple(torch.randn(part.shape, generator=generator, dtype=torch.float64) for part in fresh)
    learning, is_first = [p for p in agent.parameters() if p.requires_grad], resets("random")
    with torch.no_grad():
        _, carried = agent.unroll(observations[:first], state, is_first[:first]) if first else (None, state)
    output, _ = agent.unroll(observations[first:], carried, is_first[first:])
    d_logits, d_values = torch.randn_like(output.logits[:-1]), torch.randn_like(output.values[:-1])
    loss = (output.logits[:-1] * d_logits).sum() + (output.values[:-1] * d_values).sum()
    expected = torch.autograd.grad(loss, learning)
    for acted in (False, True):
        if acted:
            step, now = recording.begin(), state
            for t in range(STEPS):
                _, now = step(observations[t], now, is_first[t])
        said = (recording.acted if acted else recording.unroll)(observations, state, is_first)
        torch.testing.assert_close(said.values[first:], output.values, rtol=0, atol=1e-12)
        recording.backward(AgentOutput(d_logits, d_values))
        torch.testing.assert_close([p.grad for p in learning], list(expected), rtol=1e-10, atol=1e-10)
    assert all(p.grad is None for p in agent.parameters() if not p.requires_grad)


@every_core
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"detach_critic": True},
        {"initialisation": "torch"},
        {"torso_layers": 0},
        {"activation": "relu"},
        {"activation": "relu", "torso_layers": 0},
    ],
    ids=str,
)
def test_these_options_keep_the_fast_path(core, options):
    """A torso of relus keeps autograd; without torso layers there is nothing for relu to change."""
    assert can_record(make_agent(cartpole_config(core=core, **options), 3, 2))


@every_core
@pytest.mark.parametrize(
    "options",
    [
        {"separate_critic": True},
        {"value_hidden_size": 3},
        {"bounded_values": True},
        {"core_layers": 2},
        {"activation": "relu", "value_hidden_size": 3, "bounded_values": True, "detach_critic": True},
    ],
    ids=str,
)
def test_these_options_have_no_fast_path_and_learn_the_same_whichever_way_was_asked_for(core, options):
    """`--unroll recorded` is then `--unroll again`: three updates on the same segments, with the same gradients."""
    recorded, again = (
        small_collector(small_config(core=core, unroll=way, env="Dice-v0", **options)) for way in ("recorded", "again")
    )
    assert not can_record(recorded.agent) and not is_recorded(recorded)
    for _ in range(3):
        segments = [collector.collect() for collector in (recorded, again)]
        assert_same_segment(*segments)
        learnt = []
        for collector, segment in zip((recorded, again), segments, strict=True):
            losses = differentiate(collector, segment, small_config(core=core, **options))
            learnt.append((losses, gradients(collector.agent)))
            torch.optim.SGD(collector.agent.parameters(), lr=0.1).step()
        assert learnt[0][0] == learnt[1][0]
        assert all(torch.equal(one, other) for one, other in zip(learnt[0][1], learnt[1][1], strict=True))
        assert all(gradient.abs().max() > 0 for gradient in learnt[0][1])


@torch.no_grad()
def test_a_simple_recurrent_network_of_relus_is_unrolled():
    """torch's RNNCell has two nonlinearities, and the recording knows one."""
    agent = make_agent(cartpole_config(core="rnn"), 3, 2)
    assert can_record(agent)
    agent.core.cells[0].nonlinearity = "relu"
    assert agent.step(torch.full((1, 3), 9.0), agent.initial_state(1), torch.tensor([True]))[1][0].max() > 1
    assert not can_record(agent)


@pytest.mark.parametrize(("core", "cell"), [(RNNCore, nn.GRUCell), (GRUCore, nn.RNNCell)])
def test_a_core_with_another_cores_cell_is_unrolled(core, cell):
    """RNN and GRU have the same state, so that either core steps the other's cell; its recording cannot."""
    agent = Agent(nn.Sequential(), core(3, 4), Categorical(2))
    assert can_record(agent)
    agent.core.cells[0] = cell(3, 4)
    output, _ = agent.step(torch.ones(2, 3), agent.initial_state(2), torch.zeros(2, dtype=torch.bool))
    assert output.logits.shape == (2, 2)
    assert not can_record(agent)


IN_THE_TORSO = ("frozen", "weight_norm", "shared", "hook", "gradient hook")


@pytest.mark.parametrize(
    "change", [*IN_THE_TORSO, "cell weight_norm", "subclass", "no bias", "pruned", "tied", "own forward", "across"]
)
def test_a_layer_that_learns_in_its_own_way_is_not_written_out(change):
    """The written-out gradient would be set where none is wanted, or lost: such a torso keeps autograd, and an agent
    with such a core or head is unrolled."""

    class OwnLinear(nn.Linear):
        """Its forward pass may be anything."""

    agent = make_agent(cartpole_config(core="lstm", torso_layers=2), 64, 2)
    assert can_record(agent) and is_written(agent.torso)
    if change == "frozen":
        agent.torso[0].weight.requires_grad_(False)
    elif change == "weight_norm":
        nn.utils.parametrizations.weight_norm(agent.torso[0])
    elif change == "cell weight_norm":
        nn.utils.parametrizations.weight_norm(agent.core.cells[0], "weight_hh")
    elif change == "shared":
        agent.torso[2] = agent.torso[0]
    elif change == "subclass":
        agent.policy_head = OwnLinear(64, 2)
    elif change == "pruned":
        prune.random_unstructured(agent.policy_head, "weight", 0.5)
    elif change == "hook":
        agent.torso[0].register_forward_hook(lambda _module, _inputs, output: 2 * output)
    elif change == "tied":
        agent.core.cells[0].bias_ih = agent.core.cells[0].bias_hh
    elif change == "own forward":
        agent.value_head.forward = torch.square
    elif change == "gradient hook":
        agent.torso[0].weight.register_hook(lambda gradient: 2 * gradient)
    elif change == "across":
        agent.value_head.bias = nn.Parameter(torch.zeros(1))
        agent.torso.extra = agent.value_head.bias
    else:
        agent.value_head = nn.Linear(64, 1, bias=False)
    assert can_record(agent) == (change in IN_THE_TORSO)
    assert change not in IN_THE_TORSO or not is_written(agent.torso)
