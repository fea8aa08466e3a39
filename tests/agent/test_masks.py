"""Action masks: what is forbidden has probability 0 and no gradient, on every path; the rest is a policy by itself."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

from envs.vector.packing import Packed
from rl.acting.policies import EpsilonGreedy, q_values, through_q_values
from rl.acting.randomness import ActionNoise
from rl.agent.actions.categorical import Categorical
from rl.agent.actions.mask import MASKED, mask_of
from rl.agent.agent import AgentOutput
from rl.agent.build import make_agent
from rl.agent.recorded.which import make_unrolled
from tests.support.configs import cartpole_config

STEPS, BATCH, FEATURES = 6, 3, 2
SPACES = {
    "one": (Discrete(4), [4]),
    "several": (MultiDiscrete([2, 3]), [2, 3]),
    "table": (MultiDiscrete([[3], [3]]), [3, 3]),
    "bits": (MultiBinary(3), []),
}
every_space = pytest.mark.parametrize(("space", "parts"), SPACES.values(), ids=SPACES)


def some(space, parts, **options):
    """An agent with strong opinions, and STEPS + 1 rows of observations of which each allows an action of each part."""
    size = int(sum(parts)) or space.n
    boxes = {"observation": Box(-np.inf, np.inf, (FEATURES,)), "action_mask": Box(0, 1, (size,), np.float32)}
    small = {"dtype": "float64", "hidden_size": 5, "torso_size": 4, "core": "lstm", **options}
    agent = make_agent(cartpole_config(**small), Packed(boxes), space)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in agent.parameters():
            parameter.normal_(0.0, 0.8, generator=generator)
    masks = np.random.default_rng(0).random((STEPS + 1, BATCH, size)) < 0.5
    starts = np.cumsum([0, *parts])[:-1]
    for start, count in zip(starts, parts, strict=True):
        none = ~masks[..., start : start + count].any(-1)
        masks[..., start + count - 1] |= none
    seen = torch.randn(STEPS + 1, BATCH, FEATURES, generator=generator, dtype=agent.dtype)
    masks = torch.from_numpy(masks)
    return agent, torch.cat([seen, masks.to(agent.dtype)], dim=-1), masks


def is_first():
    opens = torch.zeros(STEPS + 1, BATCH, dtype=torch.bool)
    opens[0], opens[3, 1] = True, True
    return opens


@every_space
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("core", ["mlp", "rnn", "gru", "lstm"])
def test_step_unroll_and_recording_mask_the_same_logits(space, parts, dtype, core):
    agent, observations, masks = some(space, parts, dtype=dtype, core=core)
    state, opens = agent.initial_state(BATCH), is_first()
    whole, _ = agent.unroll(observations, state, opens)
    assert torch.equal(whole.logits == MASKED, ~masks) and masks.any() and not masks.all()
    recording = make_unrolled(agent, STEPS + 1, BATCH, recorded=True)
    ways = {"recorded unroll": recording.unroll(observations, state, opens).logits.clone()}
    for name, step in (("step", agent.step), ("recorded step", recording.begin())):
        now, rows = state, []
        for row, first in zip(observations, opens, strict=True):
            output, now = step(row, now, first)
            rows.append(output.logits.clone())
        ways[name] = torch.stack(rows)
    for name, logits in ways.items():
        assert torch.equal(logits == MASKED, ~masks), name
        torch.testing.assert_close(logits, whole.logits, rtol=1e-4 if dtype == "float32" else 1e-9, atol=1e-6, msg=name)


@every_space
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_masked_action_has_probability_0_and_is_never_taken(space, parts, dtype):
    """Its own log π is so low that exp gives 0 exactly; of 21,000 samples, and greedily, none is masked."""
    agent, observations, masks = some(space, parts)
    distribution = agent.actions
    with torch.no_grad():
        output, _ = agent.unroll(observations, agent.initial_state(BATCH), is_first())
    logits = output.logits.to(dtype)
    noise = torch.from_numpy(ActionNoise(1, 0, range(21)).draw(1000, distribution)).to(dtype)
    for numbers in (*noise.reshape(1000, 7, 3, -1), torch.full_like(noise[0].reshape(7, 3, -1), -3.6)):
        assert taken_are_allowed(distribution.sample(logits, numbers), masks, parts)
    assert taken_are_allowed(distribution.mode(logits), masks, parts)
    for number in range(distribution.head_size if parts else 0):
        action = option(number, parts).view(space.shape).expand(*logits.shape[:-1], *space.shape)
        log_prob = distribution.log_probs(logits, action)
        assert (log_prob.exp()[~masks[..., number]] == 0).all() and log_prob.isfinite().all()


def taken_are_allowed(actions, masks, parts):
    """Whether each number of actions, and each bit that is on, is allowed."""
    numbers = actions.reshape(*masks.shape[:-1], -1).long()
    if not parts:
        return not (numbers.bool() & ~masks).any()
    starts = torch.from_numpy(np.cumsum([0, *parts])[:-1])
    return masks.gather(-1, numbers + starts).all()


def option(number, parts):
    """The action whose part that has this logit takes it, and whose other parts take 0."""
    action, start = [], 0
    for count in parts:
        action.append(number - start if start <= number < start + count else 0)
        start += count
    return torch.tensor(action)


@every_space
def test_entropy_and_log_probabilities_are_those_of_a_policy_that_knows_no_other_actions(space, parts):
    """Of Discrete: softmax over the allowed logits alone. Several parts are added up, and a masked bit is off."""
    agent, observations, masks = some(space, parts)
    distribution = agent.actions
    with torch.no_grad():
        output, _ = agent.unroll(observations, agent.initial_state(BATCH), is_first())
    actions = distribution.mode(output.logits)
    taken = distribution.taken(output.logits, actions)
    for t in range(STEPS + 1):
        for b in range(BATCH):
            logits, mask, entropy, log_prob = output.logits[t, b], masks[t, b], 0.0, 0.0
            numbers = actions[t, b].reshape(-1).tolist()
            for part, number in zip(logits.split(parts or [1] * len(logits)), numbers, strict=True):
                those, mask = mask[: len(part)], mask[len(part) :]
                if not parts:  # a bit: on and off are two actions
                    part, those = torch.cat([torch.zeros(1), part]), torch.tensor([True, those.item()])
                only = part[those].log_softmax(-1)
                entropy -= (only.exp() * only).sum()
                log_prob += only[those[:number].sum()]
            assert taken.entropies[t, b].item() == pytest.approx(float(entropy), abs=1e-12)
            assert taken.log_probs[t, b].item() == pytest.approx(float(log_prob), abs=1e-12)


@every_space
@pytest.mark.parametrize("core", ["gru", "lstm"])
def test_no_gradient_flows_into_masked_logits_and_the_recorded_way_back_is_autograds(space, parts, core):
    """Even where a loss has one for them. A number that is masked at every step leaves its row of weights alone."""
    agent, observations, masks = some(space, parts, core=core)
    observations[..., FEATURES], masks[..., 0] = 0.0, False  # the first number is never allowed
    agent.zero_grad(set_to_none=False)
    state, opens, generator = agent.initial_state(BATCH), is_first(), torch.Generator().manual_seed(1)
    d_logits, d_values = torch.randn(2, STEPS, BATCH, masks.shape[-1], generator=generator, dtype=torch.float64)
    gradient = AgentOutput(d_logits, d_values[..., 0])
    found = []
    for recorded in (False, True):
        unrolled = make_unrolled(agent, STEPS + 1, BATCH, recorded)
        unrolled.unroll(observations, state, opens)
        unrolled.backward(gradient)
        assert not agent.policy_head.weight.grad[0].any() and not agent.policy_head.bias.grad[0].any()
        assert agent.policy_head.weight.grad[1:].abs().max() > 0.1
        found.append(torch.cat([parameter.grad.flatten() for parameter in agent.parameters()]))
    torch.testing.assert_close(*found, rtol=0, atol=1e-10)


def rows(*logits):
    return torch.tensor(logits, dtype=torch.float64)


def test_the_mean_of_advantages_and_the_best_value_are_of_allowed_actions_only():
    """Advantages 1, 2, 6 without the last have mean 1.5: −0.5 and 0.5 from a value of 10; all three have mean 3."""
    output = AgentOutput(rows([1.0, 2.0, MASKED], [1.0, 2.0, 6.0], [MASKED, MASKED, 6.0]), rows(10.0, 10.0, 7.0))
    q = q_values(output)
    assert q.tolist() == [[9.5, 10.5, MASKED], [8.0, 9.0, 13.0], [MASKED, MASKED, 7.0]]
    assert q.amax(-1).tolist() == [10.5, 13.0, 7.0] and q.float().amax(-1).tolist() == [10.5, 13.0, 7.0]


def test_the_way_back_through_masked_action_values_is_autograds():
    drawn = torch.randn(3, 5, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    forbidden = torch.rand(5, 4, 3, generator=torch.Generator().manual_seed(1)) < 0.4
    forbidden[..., 2] &= ~forbidden[..., :2].all(-1)
    live, values, d_q = drawn[0].requires_grad_(), drawn[1, :, :, 0].clone().requires_grad_(), drawn[2]
    masked = live.masked_fill(forbidden, MASKED)
    chosen = d_q * ~forbidden  # what was taken was allowed
    expected = torch.autograd.grad((q_values(AgentOutput(masked, values)) * chosen).sum(), (live, values))
    said = through_q_values(chosen, masked)
    torch.testing.assert_close(said, AgentOutput(*expected), rtol=0, atol=1e-12)
    assert forbidden.any() and not said.logits[forbidden].any()


def test_random_actions_of_epsilon_greedy_are_allowed_ones():
    """ε = 0.3: with two of three actions allowed 0.15 each, and 0.85 for the best; with one, 1."""
    policy = EpsilonGreedy(torch.full((3,), 0.3, dtype=torch.float64))
    scores = policy.scores(rows([5.0, MASKED, -2.0], [MASKED, -7.0, MASKED], [5.0, 9.0, -2.0]))
    expected = rows([0.85, 0.0, 0.15], [0.0, 1.0, 0.0], [0.1, 0.8, 0.1])
    torch.testing.assert_close(scores.exp(), expected, rtol=0, atol=1e-12)
    assert (scores.exp()[expected == 0] == 0).all()


def test_a_mask_of_another_length_or_of_numbers_is_one_line():
    space = Packed({"observation": Box(-1, 1, (2,)), "action_mask": Box(0, 1, (3,), np.float32)})
    assert mask_of(space, Categorical(3)) and mask_of(Box(-1, 1, (2,)), Categorical(3)) is None
    with pytest.raises(ValueError, match=r"action_mask has shape \(3,\): one number for each of 4 logits is needed"):
        mask_of(space, Categorical(4))
    with pytest.raises(ValueError, match="action_mask goes with Discrete, MultiDiscrete and MultiBinary actions only"):
        make_agent(cartpole_config(), space, Box(-1, 1, (3,)))
