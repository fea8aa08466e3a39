"""The gradient that is carried across segments is exact: segments that follow each other learn as one long segment.

The loss is Σ w · y over all steps, with random w, so every step weighs differently. All numbers are float64.
"""

import pytest
import torch

from rl.agent.agent import AgentOutput
from rl.agent.recorded.which import make_unrolled
from rl.names import CORES, DIAGONAL, load
from tests.support.configs import cartpole_config
from tests.support.rl_small import make_agent

FEATURES, HIDDEN, BATCH, N = 3, 4, 3, 5
every_diagonal_core = pytest.mark.parametrize("name", DIAGONAL)


def make_core(name, seed=1):
    """A core in float64 with large random parameters, some of whose units remember for long."""
    torch.manual_seed(seed)
    core = load(name, CORES)(FEATURES, HIDDEN).double()
    with torch.no_grad():
        for parameter in core.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return core


def make_steps(time=2 * N, opening=None, seed=2):
    """Inputs, flags and weights [time, batch, ...]; environment 1 opens an episode at one step, or all do anywhere."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(time, BATCH, FEATURES, generator=generator, dtype=torch.float64)
    weights = torch.randn(time, BATCH, HIDDEN, generator=generator, dtype=torch.float64)
    is_first = torch.zeros(time, BATCH, dtype=torch.bool)
    if opening == "anywhere":
        is_first = torch.rand(time, BATCH, generator=generator) < 0.25
    elif opening is not None:
        is_first[opening, 1] = True
    return inputs, is_first, weights


def gradient_of(core, steps, lengths, carries):
    """Σ of the gradients of segments of these lengths that follow each other, as one vector, and the last state."""
    core.carries_gradient = carries
    state, total, start = core.initial_state(BATCH), 0.0, 0
    for length in lengths:
        inputs, is_first, weights = (part[start : start + length] for part in steps)
        outputs, after = core.unroll(inputs, state, is_first)
        gradients = torch.autograd.grad((outputs * weights).sum(), list(core.parameters()))
        total = total + torch.cat([gradient.flatten() for gradient in gradients])
        state, start = tuple(part.detach() for part in after), start + length
    return total, state


@every_diagonal_core
@pytest.mark.parametrize("opening", [None, *range(2 * N), "anywhere"])
def test_two_segments_of_5_have_the_gradient_of_one_of_10_wherever_an_episode_opens(name, opening):
    """The cut gradient differs by more than 0.1, unless environment 1 alone would tell."""
    core, steps = make_core(name), make_steps(opening=opening)
    whole, _ = gradient_of(core, steps, [2 * N], carries=False)
    carried, _ = gradient_of(core, steps, [N, N], carries=True)
    cut, _ = gradient_of(core, steps, [N, N], carries=False)
    assert (carried - whole).abs().max() <= 1e-10
    assert (cut - whole).abs().max() > 0.1


@every_diagonal_core
def test_segments_of_one_step_over_a_whole_episode_are_full_backpropagation(name):
    core, steps = make_core(name), make_steps(time=24)
    whole, _ = gradient_of(core, steps, [24], carries=False)
    by_one, _ = gradient_of(core, steps, [1] * 24, carries=True)
    assert (by_one - whole).abs().max() <= 1e-10 and whole.abs().max() > 1.0


@every_diagonal_core
def test_sensitivities_are_the_derivatives_of_the_state_by_finite_differences(name):
    """Each parameter that is recurrent is moved by 1e-6 both ways; the mixing layer has no part in the state."""
    core, (inputs, is_first, _) = make_core(name), make_steps(opening=3)
    core.carries_gradient = True
    fresh = core.initial_state(BATCH)
    with torch.no_grad():
        _, (_, sensitivities) = core.unroll(inputs, fresh, is_first)
    cell = core.cells[0]
    attached = cell.attached(torch.zeros(BATCH, cell.state_size, dtype=torch.float64), sensitivities[0])
    for key, parameter in cell.named_parameters():
        if key.startswith("mix."):
            continue
        for place in range(0, parameter.numel(), 3):
            ends = []
            for shift in (1e-6, -1e-6):
                with torch.no_grad():
                    parameter.view(-1)[place] += shift
                    ends.append(core.unroll(inputs, fresh[:1], is_first)[1][0][0])
                    parameter.view(-1)[place] -= shift
            for b in range(BATCH):
                for unit in range(0, cell.state_size, 3):
                    [by] = torch.autograd.grad(attached[b, unit], parameter, retain_graph=True)
                    slope = (ends[0][b, unit] - ends[1][b, unit]).item() / 2e-6
                    assert by.reshape(-1)[place].item() == pytest.approx(slope, abs=1e-7), (key, place, b, unit)


@every_diagonal_core
def test_an_episode_that_opens_leaves_the_sensitivities_of_other_environments_alone(name):
    core = make_core(name)
    _, (h, sensitivities) = gradient_of(core, make_steps(opening=7), [N, N], carries=True)
    _, (h_without, without) = gradient_of(core, make_steps(), [N, N], carries=True)
    assert torch.equal(sensitivities[:, [0, 2]], without[:, [0, 2]]) and torch.equal(h[:, [0, 2]], h_without[:, [0, 2]])
    assert not torch.allclose(sensitivities[:, 1], without[:, 1])
    _, (_, opened) = gradient_of(core, make_steps(opening=9), [N, N], carries=True)  # at the last step
    inputs, is_first, _ = make_steps(time=1)
    inputs[0] = make_steps()[0][9]
    _, (_, of_one) = gradient_of(core, (inputs, is_first, torch.ones(1, BATCH, HIDDEN)), [1], carries=True)
    torch.testing.assert_close(opened[:, 1], of_one[:, 1], rtol=0, atol=1e-12)


def strong_agent(name, carries, torso_layers=1):
    options = {"dtype": "float64", "hidden_size": HIDDEN, "torso_size": 4}
    agent = make_agent(cartpole_config(core=name, torso_layers=torso_layers, **options), FEATURES)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in agent.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    agent.core.carries_gradient = carries
    return agent


def learn(agent, steps, lengths, way):
    """Act and learn over segments; the gradients of each, what was said, and the states between them."""
    unrolled = {length: make_unrolled(agent, length + 1, BATCH, way != "plain") for length in set(lengths)}
    inputs, is_first, weights = steps
    state, start, found = agent.initial_state(BATCH), 0, []
    for length in lengths:
        rows = slice(start, start + length + 1)
        seen, before = (inputs[rows], tuple(part.clone() for part in state), is_first[rows]), state
        form = unrolled[length]
        with torch.no_grad():
            step, said = form.begin(), []
            for t in range(start, start + length):
                output, state = step(inputs[t], state, is_first[t])
                said.append(output.logits.clone())
        state = tuple(part.clone() for part in state)
        output = form.unroll(*seen) if way == "again" else form.acted(*seen)
        chosen = weights[start : start + length]
        form.backward(AgentOutput(chosen[..., :2].contiguous(), chosen[..., 2].contiguous()))
        gradients = {key: parameter.grad.clone() for key, parameter in agent.named_parameters()}
        assert torch.equal(before[0], seen[1][0])
        found.append((gradients, torch.stack(said), output.values.clone(), state))
        start += length
    return found


@pytest.mark.product
@every_diagonal_core
@pytest.mark.parametrize("way", ["acted", "again"])
@pytest.mark.parametrize("torso_layers", [0, 1])
@pytest.mark.parametrize("lengths", [[5, 5], [1, 1, 4, 4]])
def test_the_fast_path_carries_what_the_plain_one_carries(name, way, torso_layers, lengths):
    """Gradients of every parameter, outputs, states and sensitivities, with episodes that open anywhere."""
    steps = make_steps(time=11, opening="anywhere")
    agent = strong_agent(name, True, torso_layers)
    plain = learn(agent, steps, lengths, "plain")
    for one, other in zip(learn(agent, steps, lengths, way), plain, strict=True):
        for key in one[0]:
            torch.testing.assert_close(one[0][key], other[0][key], rtol=0, atol=1e-12)
        for part, expected in zip((*one[1:3], *one[3]), (*other[1:3], *other[3]), strict=True):
            torch.testing.assert_close(part, expected, rtol=0, atol=1e-12)


@every_diagonal_core
def test_acting_is_the_same_to_the_bit_whether_the_gradient_is_carried_or_not(name):
    steps = make_steps(time=11, opening="anywhere")
    carried, cut = (learn(strong_agent(name, carries), steps, [5, 5], "acted") for carries in (True, False))
    for one, other in zip(carried, cut, strict=True):
        assert torch.equal(one[1], other[1]) and torch.equal(one[2], other[2]) and torch.equal(one[3][0], other[3][0])
    first, second = carried[0][0], carried[1][0]
    assert all(torch.equal(first[key], cut[0][0][key]) for key in first)  # nothing lies before the first segment
    differ = {key for key in second if not torch.equal(second[key], cut[1][0][key])}
    recurrent = {f"core.cells.0.{key}" for key, _ in carried_parameters(name)}
    assert differ == recurrent


def carried_parameters(name):
    """Parameters of the recurrence; torso, mixing layer and heads have no others' past to learn from."""
    cell = make_core(name).cells[0]
    return [(key, parameter) for key, parameter in cell.named_parameters() if not key.startswith("mix.")]


@pytest.mark.parametrize("layers", [2])
def test_the_gradient_is_carried_through_one_layer(layers):
    core = load("rtu", CORES)(FEATURES, HIDDEN, layers)
    core.carries_gradient = True
    with pytest.raises(ValueError, match="through one layer, not 2"):
        core.initial_state(BATCH)


def test_a_decay_stays_below_1_and_its_gain_exact_where_it_is_nearly_1():
    """r = exp(−e^ν) is 1 to float32 at ν = −20, where √(1 − r²) would be 0 and its derivative infinite."""
    core = load("rtu", CORES)(FEATURES, HIDDEN)
    with torch.no_grad():
        core.cells[0].nu[:] = torch.tensor([-20.0, 0.0, 2.0, 5.0])
    r, _, gain = core.cells[0].recurrence()
    assert (r <= 1.0).all() and gain[0].item() == pytest.approx((2.0 * 2.06115e-9) ** 0.5, rel=1e-4)
    assert all(derivative.isfinite().all() for derivative in core.cells[0].derivatives())
