"""Targets: every step against a number worked out by hand, and all patterns of ends against a slow definition."""

import itertools

import pytest
import torch
from torch import Tensor

from rl.acting.segment import Segment
from rl.learning.returns import fixed_n_step_returns, gae_returns, n_step_returns, targets, vtrace_returns
from tests.support.rl_small import small_config

GOES_ON, TERMINATED, TRUNCATED = range(3)


def column(numbers: list[float]) -> Tensor:
    """[time, 1]."""
    return torch.tensor(numbers, dtype=torch.float64)[:, None]


def make_segment(rewards: Tensor, ends: Tensor, final_values: Tensor) -> Segment:
    """A segment of which only what targets are made of matters: ends [time, batch], one of the three above."""
    terminated, truncated = ends == TERMINATED, ends == TRUNCATED
    nothing = torch.zeros(1)
    return Segment(nothing, nothing, nothing, rewards, terminated, truncated, final_values * truncated, ())


# rewards 1, 2, 3, 4; truncated at t = 1 before an observation worth 8, terminated at t = 2; γ = 1/2;
# values 10, 20, 30, 40, and 16 for the observation after the last step.
HAND_ENDS = torch.tensor([[GOES_ON], [TRUNCATED], [TERMINATED], [GOES_ON]])
HAND = make_segment(column([1, 2, 3, 4]), HAND_ENDS, column([8] * 4))
HAND_VALUES = column([10, 20, 30, 40, 16])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"returns": "n_step"}, [1 + 6 / 2, 2 + 8 / 2, 3, 4 + 16 / 2]),
        ({"gae_lambda": 1.0}, [1 + 6 / 2, 2 + 8 / 2, 3, 4 + 16 / 2]),
        ({"gae_lambda": 0.0}, [1 + 20 / 2, 2 + 8 / 2, 3, 4 + 16 / 2]),
        ({"gae_lambda": 0.5}, [(11 + 4) / 2, 2 + 8 / 2, 3, 4 + 16 / 2]),  # halfway between one step and two
        ({"gae_lambda": 0.0, "reward_scale": 10.0}, [10 + 20 / 2, 20 + 8 / 2, 30, 40 + 16 / 2]),  # values as they are
    ],
)
def test_targets_of_four_steps_by_hand(options, expected):
    """vwxyzjn/cleanrl#198: a truncated step was treated as a terminated one, here 2 instead of 2 + 8/2."""
    config = small_config(discount=0.5, **options)
    assert targets(HAND, HAND_VALUES, config).flatten().tolist() == expected


@pytest.mark.parametrize("t", range(4))
@pytest.mark.parametrize("returns", ["n_step", "gae"])
def test_a_step_that_terminates_is_worth_1_one_that_is_truncated_11_and_one_that_goes_on_6(returns, t):
    """All rewards 1, all values 10, the truncated observation 20, γ = 1/2. pytorch/rl#3771: a truncation in the middle
    took its value from the next episode's first observation, here 6."""
    config = small_config(discount=0.5, gae_lambda=0.0, returns=returns)
    for end, expected in [(TERMINATED, 1), (TRUNCATED, 1 + 20 / 2), (GOES_ON, 1 + 10 / 2)]:
        ends = torch.full((4, 1), TERMINATED)  # the other steps end, so that n steps are one step here too
        ends[t] = end
        values = torch.full((5, 1), 10.0, dtype=torch.float64)
        segment = make_segment(column([1, 1, 1, 1]), ends, column([20] * 4))
        got = targets(segment, values, config).flatten().tolist()
        after = 10.0 if returns == "gae" or t == 3 else 1.0  # n steps: the next step's own target
        assert got[t] == (1 + after / 2 if end == GOES_ON else expected)
        assert got[:t] + got[t + 1 :] == [1, 1, 1]


def slow_returns(segment: Segment, values: Tensor, discount: float, gae_lambda: float) -> Tensor:
    """The definition: Σₙ (1 − λ) λⁿ⁻¹ Gₜ⁽ⁿ⁾ for n below the horizon h, and λʰ⁻¹ Gₜ⁽ʰ⁾, each sum written out."""
    steps, batch = segment.rewards.shape
    result = torch.zeros_like(segment.rewards)
    for b, t in itertools.product(range(batch), range(steps)):
        total, earned = 0.0, 0.0
        for n in range(1, steps - t + 1):
            last = t + n - 1
            earned += discount ** (n - 1) * segment.rewards[last, b].item()
            ended = bool(segment.terminated[last, b] or segment.truncated[last, b])
            if segment.terminated[last, b]:
                following = 0.0
            elif segment.truncated[last, b]:
                following = segment.truncation_values[last, b].item()
            else:
                following = values[last + 1, b].item()
            n_step = earned + discount**n * following
            if ended or last == steps - 1:
                total += gae_lambda ** (n - 1) * n_step
                break
            total += (1 - gae_lambda) * gae_lambda ** (n - 1) * n_step
        result[t, b] = total
    return result


def every_pattern(steps: int) -> tuple[Segment, Tensor]:
    """One column for each of the 3ᵀ ways in which T steps can go on, terminate or be truncated; random numbers."""
    ends = torch.tensor(list(itertools.product((GOES_ON, TERMINATED, TRUNCATED), repeat=steps))).T
    generator = torch.Generator().manual_seed(0)
    rewards, final_values = torch.randn(2, *ends.shape, generator=generator, dtype=torch.float64)
    values = torch.randn(steps + 1, ends.shape[1], generator=generator, dtype=torch.float64)
    return make_segment(rewards, ends, final_values), values


@pytest.mark.parametrize("discount", [0.9, 1.0])
@pytest.mark.parametrize("gae_lambda", [0.0, 0.7, 1.0])
def test_all_243_patterns_of_ends_of_5_steps_equal_the_definition(discount, gae_lambda):
    segment, values = every_pattern(5)
    expected = slow_returns(segment, values, discount, gae_lambda)
    config = small_config(discount=discount, gae_lambda=gae_lambda)
    assert expected.shape == (5, 243)
    torch.testing.assert_close(targets(segment, values, config), expected, rtol=0, atol=1e-12)
    if gae_lambda == 1.0:
        n_step = targets(segment, values, small_config(discount=discount, returns="n_step"))
        torch.testing.assert_close(n_step, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("discount", [0.9, 1.0])
def test_n_step_returns_are_gae_of_lambda_1_and_one_step_targets_gae_of_lambda_0(discount):
    segment, values = every_pattern(5)
    discounts = torch.where(segment.terminated | segment.truncated, 0.0, discount).double()
    whole = n_step_returns(segment.rewards, discounts, values[-1])
    torch.testing.assert_close(gae_returns(segment.rewards, discounts, values, 1.0), whole, rtol=0, atol=1e-12)
    one_step = segment.rewards + discounts * values[1:]
    torch.testing.assert_close(gae_returns(segment.rewards, discounts, values, 0.0), one_step, rtol=0, atol=1e-12)


@pytest.mark.parametrize("t", range(5))
@pytest.mark.parametrize("options", [{"returns": "n_step"}, {"gae_lambda": 0.95}])
def test_nothing_after_an_end_enters_a_target_up_to_it(options, t):
    segment, values = every_pattern(5)
    before = targets(segment, values, small_config(**options))
    segment.rewards[t + 1 :] += 1e6
    values[t + 1 :] += 1e6
    after = targets(segment, values, small_config(**options))
    ended = (segment.terminated | segment.truncated)[t]
    assert torch.equal(after[: t + 1, ended], before[: t + 1, ended])
    assert (after[: t + 1, ~ended] != before[: t + 1, ~ended]).any()


# Two states: A earns 1 and leads to B, B earns 0 and leads to A. With γ = 1/2, V(A) = 1 + V(B) / 2 = 4/3 and
# V(B) = V(A) / 2 = 2/3.
A, B = 4 / 3, 2 / 3


@pytest.mark.parametrize("gae_lambda", [0.0, 0.95, 1.0])
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_in_a_world_of_two_states_the_true_values_are_their_own_targets_wherever_a_limit_cuts(limit, gae_lambda):
    """leggedrobotics/rsl_rl#151: a limit hides V(final observation), and the values learnt depend on the limit."""
    state = [t % limit % 2 for t in range(12)]  # every episode opens in A; what follows a step is the other state
    ends = torch.tensor([[TRUNCATED if (t + 1) % limit == 0 else GOES_ON] for t in range(12)])
    rewards, final_values = column([1 - s for s in state]), column([A if s else B for s in state])
    values = column([B if s else A for s in state] + [B if 12 % limit % 2 else A])
    got = targets(make_segment(rewards, ends, final_values), values, small_config(discount=0.5, gae_lambda=gae_lambda))
    torch.testing.assert_close(got, values[:-1], rtol=0, atol=1e-12)


def test_values_moved_onto_their_targets_become_4_thirds_and_2_thirds_though_each_episode_is_cut_after_3_steps():
    ends = torch.tensor([[GOES_ON], [GOES_ON], [TRUNCATED]])
    value = {"A": 0.0, "B": 0.0}
    for _ in range(50):
        values = column([value["A"], value["B"], value["A"], value["A"]])
        segment = make_segment(column([1, 0, 1]), ends, column([value["B"]] * 3))
        first, second, third = targets(segment, values, small_config(discount=0.5)).flatten().tolist()
        value = {"A": (first + third) / 2, "B": second}
    assert value == pytest.approx({"A": A, "B": B}, abs=1e-12)


# --- the same n for every step


def discounts_of(segment: Segment, discount: float) -> Tensor:
    """γ, and 0 where a step ends its episode."""
    ended = segment.terminated | segment.truncated
    return torch.full_like(segment.rewards, discount).masked_fill(ended, 0.0)


@pytest.mark.parametrize(("n", "expected"), [(1, [1 + 20 / 2, 2 + 8 / 2, 3]), (2, [1 + (2 + 8 / 2) / 2, 2 + 8 / 2, 3])])
def test_targets_of_n_steps_by_hand(n, expected):
    """The four steps of above: rewards 1, 2, 3, 4, cut at t = 1 before an observation worth 8, ended at t = 2."""
    rewards = HAND.rewards + 0.5 * HAND.truncation_values
    discounts = discounts_of(HAND, 0.5)
    got = fixed_n_step_returns(rewards[: 2 + n], discounts[: 2 + n], HAND_VALUES[n : n + 3], n)
    assert got.flatten().tolist() == expected


@pytest.mark.parametrize("discount", [0.9, 1.0])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_targets_of_n_steps_equal_their_definition_in_all_patterns_of_ends(n, discount):
    """Σ γᵏ r up to the n-th reward or the end of the episode, and γⁿ V behind it where it goes on."""
    segment, values = every_pattern(5)
    steps, columns = 5 - n + 1, segment.rewards.shape[1]
    ended = segment.terminated | segment.truncated
    rewards = segment.rewards + discount * segment.truncation_values
    got = fixed_n_step_returns(rewards, discounts_of(segment, discount), values[n:], n)
    assert got.shape == (steps, columns)
    for b, t in itertools.product(range(columns), range(steps)):
        total, weight = 0.0, 1.0
        for k in range(n):
            total += weight * segment.rewards[t + k, b].item()
            weight *= discount
            if ended[t + k, b]:
                total += weight * segment.truncation_values[t + k, b].item()  # 0 where it terminated
                break
        else:
            total += weight * values[t + n, b].item()
        assert got[t, b].item() == pytest.approx(total, abs=1e-12)
    whole = fixed_n_step_returns(rewards, discounts_of(segment, discount), values[5:], 5)
    config = small_config(discount=discount, returns="n_step")
    torch.testing.assert_close(whole[0], targets(segment, values, config)[0], rtol=0, atol=1e-12)


def test_targets_of_n_steps_do_not_look_at_values_before_the_nth_observation_or_behind_an_end():
    """The two steps from t = 1 on end at once and at t = 2; nothing of what they were followed by is left."""
    segment, values = every_pattern(5)
    discounts = discounts_of(segment, 0.9)
    before = fixed_n_step_returns(segment.rewards, discounts, values[3:], 3)
    other = values.clone()
    other[3:, (segment.terminated | segment.truncated)[2]] += 100.0
    after = fixed_n_step_returns(segment.rewards, discounts, other[3:], 3)
    ended = (segment.terminated | segment.truncated)[2]
    assert torch.equal(before[:, ended], after[:, ended]) and ended.any()


# --- V-trace


def slow_vtrace(rewards, discounts, values, log_ratios, trace_lambda):
    """vₛ = V(xₛ) + Σₜ γᵗ⁻ˢ (cₛ … cₜ₋₁) ρₜ (rₜ + γ V(xₜ₊₁) − V(xₜ)), as the paper's equation 1 has it, sum by sum."""
    steps, batch = rewards.shape
    returns, advantages = torch.zeros_like(rewards), torch.zeros_like(rewards)
    ratios = log_ratios.exp()
    for b in range(batch):
        for s in range(steps):
            total = values[s, b].item()
            for t in range(s, steps):
                weight = 1.0
                for i in range(s, t):
                    weight *= discounts[i, b].item() * trace_lambda * min(1.0, ratios[i, b].item())
                error = rewards[t, b] + discounts[t, b] * values[t + 1, b] - values[t, b]
                total += weight * min(1.0, ratios[t, b].item()) * error.item()
            returns[s, b] = total
        for s in range(steps):
            following = returns[s + 1, b] if s + 1 < steps else values[steps, b]
            advantage = rewards[s, b] + discounts[s, b] * following - values[s, b]
            advantages[s, b] = min(1.0, ratios[s, b].item()) * advantage
    return returns, advantages


def traced(discount):
    """Rewards, discounts, values of all patterns of ends of 4 steps, and random ratios on both sides of 1."""
    segment, values = every_pattern(4)
    rewards = segment.rewards + discount * segment.truncation_values
    ratios = torch.randn(rewards.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return rewards, discounts_of(segment, discount), values, ratios


@pytest.mark.parametrize("discount", [0.9, 1.0])
@pytest.mark.parametrize("trace_lambda", [0.0, 0.7, 1.0])
def test_v_trace_equals_the_sums_of_the_paper_in_all_patterns_of_ends(discount, trace_lambda):
    arguments = traced(discount)
    got = vtrace_returns(*arguments, trace_lambda)
    torch.testing.assert_close(got, slow_vtrace(*arguments, trace_lambda), rtol=0, atol=1e-12)


def test_on_policy_and_with_lambda_1_v_trace_returns_are_n_step_returns_and_with_0_one_step_targets():
    rewards, discounts, values, ratios = traced(0.9)
    returns, advantages = vtrace_returns(rewards, discounts, values, torch.zeros_like(ratios), 1.0)
    expected = n_step_returns(rewards, discounts, values[-1])
    torch.testing.assert_close(returns, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(advantages, expected - values[:-1], rtol=0, atol=1e-12)
    returns, _ = vtrace_returns(rewards, discounts, values, torch.zeros_like(ratios), 0.0)
    torch.testing.assert_close(returns, rewards + discounts * values[1:], rtol=0, atol=1e-12)


def test_v_trace_of_two_steps_by_hand():
    """γ = 1/2, rewards 4 and 8, values 2, 4, 8; π/μ is 1/2 at the first step, and 3 at the second, which counts as 1.
    Errors: 4 + 4/2 − 2 = 4 and 8 + 8/2 − 4 = 8. v₁ = 4 + 8, v₀ = 2 + (4 + 8/2) / 2; advantages (4 + 12/2 − 2) / 2
    and 8. An action that π never takes changes nothing, and nothing goes through it."""
    rewards, discounts, values = column([4, 8]), column([0.5, 0.5]), column([2, 4, 8])
    returns, advantages = vtrace_returns(rewards, discounts, values, column([0.5, 3.0]).log(), 1.0)
    assert returns.flatten().tolist() == pytest.approx([6.0, 12.0])
    assert advantages.flatten().tolist() == pytest.approx([4.0, 8.0])
    returns, advantages = vtrace_returns(rewards, discounts, values, column([0.0, 1.0]).log(), 1.0)
    assert returns.flatten().tolist() == [2.0, 12.0] and advantages.flatten().tolist() == [0.0, 8.0]
