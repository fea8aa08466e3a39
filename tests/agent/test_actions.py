"""Distributions over actions: what is written out is what it is defined to be, and what is sampled has its shares."""

import itertools
import math

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from rl.acting.randomness import ActionNoise
from rl.agent.actions.distribution import by_autograd
from rl.agent.actions.gaussian import Gaussian
from rl.agent.actions.make import make_actions
from rl.config import Config

BOUNDED = Box(np.array([-2.0, 0.0, 1.0], np.float32), np.array([2.0, 1.0, 5.0], np.float32))
ENTRIES = Box(np.array([-2.0, 0.0, -np.inf, -np.inf], np.float32), np.array([4.0, np.inf, 3.0, np.inf], np.float32))
COUNTABLE = {
    "one of 5": Discrete(5),
    "alike": MultiDiscrete([3, 3]),
    "unlike": MultiDiscrete([2, 4, 3]),
    "table": MultiDiscrete([[2, 3], [3, 2]]),
    "bits": MultiBinary(4),
    "table of bits": MultiBinary([2, 2]),
}
CASES = {name: (space, {}) for name, space in COUNTABLE.items()}
for bounds, std in itertools.product(("clip", "tanh"), ("parameter", "head")):
    options = {"action_bounds": bounds, "action_std": std}
    CASES[f"bounded {bounds} {std}"] = BOUNDED, options
    CASES[f"entries {bounds} {std}"] = ENTRIES, {**options, "action_std_init": 0.4}
    CASES[f"number {bounds} {std}"] = Box(-1.0, 3.0, ()), options
every_case = pytest.mark.parametrize(("space", "options"), CASES.values(), ids=CASES)


def distribution_of(space, options):
    return make_actions(space, Config(**{**({"action_std_init": 1.0} if isinstance(space, Box) else {}), **options}))


def some(distribution, steps=4, batch=3, strength=1.0, seed=0):
    """A head [steps, batch, head] and actions that were sampled from it."""
    head = torch.randn(steps, batch, distribution.head_size, generator=torch.Generator().manual_seed(seed)).double()
    head *= strength
    noise = torch.from_numpy(ActionNoise(seed, 0, range(batch)).draw(steps, distribution))
    return head, torch.stack([distribution.sample(*row) for row in zip(head, noise, strict=True)])


@pytest.mark.parametrize("strength", [0.1, 1.0, 6.0])
@every_case
def test_what_is_written_out_is_what_autograd_says(space, options, strength):
    """log π, H and ∂L/∂head at 4 x 3 steps, also where π is nearly 1; the gradient with and without an entropy term."""
    distribution = distribution_of(space, options)
    head, actions = some(distribution, strength=strength)
    if isinstance(distribution, Gaussian):
        head[..., distribution.size :].clamp_(-3, 3)
    written, defined = distribution.taken(head, actions), by_autograd(distribution, head, actions)
    for name in ("log_probs", "entropies"):
        torch.testing.assert_close(getattr(written, name), getattr(defined, name), rtol=1e-12, atol=1e-12)
    d_log_probs = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)).double()
    for d_entropy in (-0.3, None):
        taken = written.backward(d_log_probs, d_entropy)
        defined = by_autograd(distribution, head, actions)
        torch.testing.assert_close(taken, defined.backward(d_log_probs, d_entropy), rtol=1e-10, atol=1e-10)
        assert taken.shape == head.shape and taken.abs().max() > 1e-3


@every_case
def test_kl_is_the_mean_of_log_ratios_and_0_from_a_policy_to_itself(space, options):
    """Of 20,000 sampled actions, to 5 standard errors."""
    distribution = distribution_of(space, options)
    head, other = (0.5 * some(distribution, seed=seed)[0][:1, 0] for seed in (0, 1))
    many = head.expand(20_000, -1)
    noise = torch.from_numpy(distribution.draw([np.random.default_rng(0)], 20_000)[:, 0])
    actions = distribution.sample(many, noise)
    ratios = distribution.log_probs(many, actions) - distribution.log_probs(other.expand_as(many), actions)
    kl, error = distribution.kl(head, other).item(), ratios.std().item() / 20_000**0.5
    assert kl > 5 * error and abs(ratios.mean().item() - kl) < 5 * error
    assert distribution.kl(head, head).item() == pytest.approx(0.0, abs=1e-15)


@every_case
def test_what_autograd_says_is_what_finite_differences_say(space, options):
    """In float64, of log π and of H by each number of the head, in steps of 1e-6."""
    distribution = distribution_of(space, options)
    head, actions = some(distribution, steps=1, batch=2)
    for name, of in (("log π", lambda one: distribution.log_probs(one, actions)), ("H", distribution.entropies)):
        live = head.clone().requires_grad_()
        [gradient] = torch.autograd.grad(of(live).sum(), live)
        for place in range(distribution.head_size):
            step = torch.zeros_like(head)
            step[..., place] = 1e-6
            slope = (of(head + step) - of(head - step)) / 2e-6
            torch.testing.assert_close(gradient[..., place], slope, rtol=1e-6, atol=1e-7, msg=f"{name} by {place}")


def all_actions(space):
    """Every action of a countable space [action, *shape]."""
    if isinstance(space, Discrete):
        return torch.arange(int(space.n))
    counts = np.ravel(space.nvec) if isinstance(space, MultiDiscrete) else [2] * math.prod(space.shape)
    rows = list(itertools.product(*(range(int(count)) for count in counts)))
    return torch.tensor(rows).view(-1, *space.shape)


@pytest.mark.parametrize("space", COUNTABLE.values(), ids=COUNTABLE)
def test_probabilities_of_all_actions_add_up_to_1_and_their_entropy_is_that_of_the_definition(space):
    """Over all of them: Σ π = 1 and H = −Σ π log π. The mode is the one with the largest π."""
    distribution, actions = distribution_of(space, {}), all_actions(space)
    head, _ = some(distribution, steps=1, batch=1)
    log_probs = distribution.log_probs(head[0].expand(len(actions), -1), actions)
    assert math.isclose(log_probs.exp().sum().item(), 1.0, rel_tol=1e-12)
    entropy = -(log_probs.exp() * log_probs).sum().item()
    assert math.isclose(distribution.entropies(head).item(), entropy, rel_tol=1e-12)
    mode = distribution.mode(head[0])
    assert mode.shape == (1, *distribution.shape) and mode.dtype == distribution.dtype
    assert torch.equal(mode[0], actions[log_probs.argmax()].to(mode.dtype))


@pytest.mark.parametrize("space", COUNTABLE.values(), ids=COUNTABLE)
def test_actions_are_sampled_in_these_shares(space):
    """Of 40,000 samples each action has its share within four standard deviations."""
    distribution, actions = distribution_of(space, {}), all_actions(space)
    head, _ = some(distribution, steps=1, batch=1)
    probs = distribution.log_probs(head[0].expand(len(actions), -1), actions).exp()
    noise = torch.from_numpy(ActionNoise(3, 0, range(1)).draw(40_000, distribution))[:, 0]
    sampled = distribution.sample(head[0].expand(40_000, -1), noise)
    assert sampled.dtype == distribution.dtype and sampled.shape == (40_000, *distribution.shape)
    same = (sampled[:, None] == actions[None]).reshape(40_000, len(actions), -1).all(-1)
    shares, spread = same.double().mean(0), (probs * (1 - probs) / 40_000).sqrt()
    assert same.sum() == 40_000 and ((shares - probs).abs() < 4 * spread + 1e-4).all()


@pytest.mark.parametrize("std", ["parameter", "head"])
def test_a_normal_number_is_sampled_with_its_mean_and_deviation(std):
    """μ = 0.3 and −2, log σ = log 0.5 + (0.2 and −1): 100,000 samples, within five standard errors."""
    distribution = distribution_of(Box(-1, 1, (2,)), {"action_std": std, "action_std_init": 0.5})
    head = torch.tensor([0.3, -2.0, 0.2, -1.0], dtype=torch.float64)
    noise = torch.from_numpy(ActionNoise(3, 0, range(1)).draw(100_000, distribution))[:, 0]
    sampled = distribution.sample(head.expand(100_000, -1), noise).double()
    std = 0.5 * torch.tensor([0.2, -1.0]).double().exp()
    assert ((sampled.mean(0) - head[:2]).abs() < 5 * std / 100_000**0.5).all()
    assert ((sampled.std(0) / std - 1).abs() < 5 / 200_000**0.5).all()
    assert distribution.mode(head).tolist() == pytest.approx([0.3, -2.0])


@pytest.mark.parametrize("bounds", ["clip", "tanh"])
def test_the_density_is_the_slope_of_the_share_of_actions_below(bounds):
    """P(y < Y) = Φ((u(Y) − μ) / σ), with u(Y) = atanh Y or Y itself: its finite difference is π(Y), in float64."""
    distribution = distribution_of(Box(-1, 1, (1,)), {"action_bounds": bounds})
    distribution.dtype = torch.float64
    inverse = math.atanh if bounds == "tanh" else float
    for mean, log_std in ((0.0, 0.0), (0.7, -1.0), (-1.5, 0.4)):
        head = torch.tensor([mean, log_std], dtype=torch.float64)

        def below(y, mean=mean, log_std=log_std):
            return 0.5 * math.erfc(-(inverse(y) - mean) / math.exp(log_std) / 2**0.5)

        for y in (-0.99, -0.5, 0.0, 0.3, 0.9):
            slope = (below(y + 1e-6) - below(y - 1e-6)) / 2e-6
            said = distribution.log_probs(head, torch.tensor([inverse(y)], dtype=torch.float64)).exp().item()
            assert said == pytest.approx(slope, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(("log_std", "near"), [(-2.0, 1e-6), (-0.7, 1e-4), (0.0, 1e-3), (1.0, 0.06)])
@pytest.mark.parametrize("mean", [-2.0, 0.0, 0.4])
def test_the_entropy_of_a_squashed_number_is_that_of_its_density(mean, log_std, near):
    """−∫ π log π over 200,000 points. A number without a bound has the entropy of a normal number."""
    distribution = distribution_of(ENTRIES, {"action_bounds": "tanh"})
    head = torch.tensor([mean, 0.0, 0.0, 0.0, log_std, 0.0, 0.0, 0.0], dtype=torch.float64)
    points = torch.linspace(-12, 12, 200_001, dtype=torch.float64) * math.exp(log_std) + mean
    normal = torch.distributions.Normal(mean, math.exp(log_std)).log_prob(points)
    slopes = torch.log1p(-points.tanh().square().clamp(max=1 - 1e-16))
    log_density = normal - torch.where(points.abs() < 15, slopes, 2 * (math.log(2) - points.abs()))
    entropy = -(normal.exp() * log_density).sum().item() * (points[1] - points[0]).item()
    others = 3 * (0.5 + 0.5 * math.log(2 * math.pi))
    assert distribution.entropies(head).item() - others == pytest.approx(entropy, abs=near)
    assert entropy < math.log(2) + 1e-9  # the maximum: uniform from −1 to 1


@every_case
def test_noise_is_each_environments_own_however_it_is_cut(space, options):
    """Eight steps are three and five; environments 1 and 2 draw by themselves what they draw beside others."""
    distribution = distribution_of(space, options)
    whole, cut = ActionNoise(1, 0, range(4)), ActionNoise(1, 0, range(1, 3))
    drawn = whole.draw(8, distribution)
    parts = np.concatenate([cut.draw(steps, distribution) for steps in (3, 5)])
    assert np.array_equal(drawn[:, 1:3], parts) and np.isfinite(drawn).all()
    assert len(np.unique(drawn)) == drawn.size


@every_case
def test_an_action_is_written_into_the_place_that_is_given(space, options):
    """Of float32 heads, into a row of a segment."""
    distribution = distribution_of(space, options)
    head, _ = some(distribution)
    noise = torch.from_numpy(ActionNoise(5, 0, range(3)).draw(4, distribution)).float()
    rows = torch.zeros(4, 3, *distribution.shape, dtype=distribution.dtype)
    for row, *drawn in zip(rows, head.float(), noise, strict=True):
        distribution.sample(*drawn, out=row)
        assert torch.equal(row, distribution.sample(*drawn))
    assert rows.double().std() > 0.1


def test_bounds_are_reached_and_kept_and_an_entry_without_them_is_what_was_sampled():
    """−2 to 4 has its middle at 1 and a unit of 3; 0 to ∞ begins at −1, −∞ to 3 ends at 1, each in units of 1."""
    sampled = torch.tensor([[0.0] * 4, [-1.0] * 4, [1.0] * 4, [9.0] * 4, [-9.0] * 4])
    clipped = distribution_of(ENTRIES, {}).for_environment(sampled)
    rows = [[1, 1, 2, 0], [-2, 0, 1, -1], [4, 2, 3, 1], [4, 10, 3, 9], [-2, 0, -7, -9]]
    assert clipped.tolist() == rows and clipped.dtype == torch.float32
    squashed = distribution_of(ENTRIES, {"action_bounds": "tanh"}).for_environment(sampled)
    assert torch.equal(squashed[:, 1:], clipped[:, 1:])
    first = [1 + 3 * math.tanh(u) for u in (0, -1, 1, 9, -9)]
    assert squashed[:, 0].tolist() == pytest.approx(first, rel=1e-6)


@pytest.mark.parametrize("bounds", ["clip", "tanh"])
@pytest.mark.parametrize("space", [Box(-0.1, 0.7, (2, 3)), Box(1e-8, 1e30, ()), Box(3.0, 3.0, (1,)), BOUNDED])
def test_what_an_environment_takes_is_in_its_space(space, bounds):
    """Whatever is sampled, and exactly: not by a rounding more than the bound. A bound of 1e30 is none."""
    distribution = distribution_of(space, {"action_bounds": bounds})
    numbers = torch.linspace(-20, 20, 101)[:, None].expand(-1, distribution.size)
    taken = distribution.for_environment(numbers).numpy()
    assert taken.shape == (101, *space.shape) and all(one in space for one in taken)
    if space.shape == (2, 3):
        assert taken.min() == space.low.min() and taken.max() == space.high.max()


def test_other_spaces_are_one_line_that_names_what_is_supported():
    for space in (
        Dict(move=Discrete(2)),
        Tuple((Discrete(2), Dict(turn=Box(-1, 1, (1,))))),
        Box(0, 255, (2,), np.uint8),
    ):
        with pytest.raises(ValueError, match="supported: Discrete, MultiDiscrete, MultiBinary, Box of float") as error:
            distribution_of(space, {})
        assert "\n" not in str(error.value) and type(space).__name__ in str(error.value)
    for algorithm in ("q_online", "q_replay"):
        with pytest.raises(ValueError, match=rf"^--algorithm {algorithm}: .* Discrete actions are needed, not Box\("):
            distribution_of(BOUNDED, {"algorithm": algorithm})
        assert distribution_of(Discrete(3), {"algorithm": algorithm}).head_size == 3


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"action_bounds": "tanh"}, "--action-bounds tanh"),
        ({"action_std": "head", "action_bounds": "tanh"}, "--action-std head"),
        ({"action_std_init": 0.3}, "--action-std-init 0.3"),
    ],
)
def test_an_option_of_numbers_is_refused_where_actions_are_none(options, line):
    make_actions(BOUNDED, Config(**options))
    with pytest.raises(ValueError) as error:
        make_actions(Discrete(2), Config(**options))
    words = "it is read where actions are numbers (Box), and they are Discrete(2); leave it out"
    assert str(error.value) == f"{line}: {words}"
