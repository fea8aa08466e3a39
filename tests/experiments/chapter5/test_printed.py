"""The faults of the chapter's listings, each by hand, and the arms that repair them one at a time."""

import dataclasses
import itertools
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor

import envs
from experiments.chapter5 import first_45_seconds, n_steps, policy_gradients, printed, repairs
from experiments.chapter5.printed import (
    AS_PRINTED,
    MONTE_CARLO_AS_PRINTED,
    PRINTED_ENV,
    OwnAdamLearner,
    listed,
    listed_returns,
)
from experiments.lab.digest import described, digest
from rl.acting.segment import Segment
from rl.config import Config
from rl.learning.returns import targets
from rl.loop import NO_OVERRIDES, Overrides
from rl.parameters.learner import Learner
from rl.presets import PRESETS
from rl.running.preflight import require_importable
from rl.running.run import new_run
from rl.shared.learner_memory import LearnerMemory
from tests.support.configs import cartpole_config

GOES_ON, TERMINATES, TRUNCATES, BOTH = "goes on", "terminates", "is truncated", "does both"
HALF = cartpole_config(discount=0.5, returns="n_step", reward_scale=1.0, dtype="float64")
NO_FAULT = {"off_by_one": False, "kept_at_end": False, "normalised": False}


def column(numbers: list[float]) -> Tensor:
    """[time, 1]."""
    return torch.tensor(numbers, dtype=torch.float64)[:, None]


def segment_of(rewards: Tensor, end: str, final_value: float = 8.0) -> Segment:
    """Steps of one environment, the last of which ends in this way; a final observation worth `final_value`."""
    terminated, truncated = torch.zeros(2, *rewards.shape, dtype=torch.bool)
    terminated[-1], truncated[-1] = end in (TERMINATES, BOTH), end in (TRUNCATES, BOTH)
    final_values = torch.zeros_like(rewards)
    final_values[-1] = final_value if end == TRUNCATES else 0.0
    nothing = torch.zeros(1)
    return Segment(nothing, nothing, nothing, rewards, terminated, truncated, final_values, ())


def returns_by_hand(steps: int, end: str, config: Config = HALF, **faults: bool) -> list[float]:
    """Returns of rewards 1, 2, 3 with γ = 1/2; values 10, 20, 30, and 40 of what follows the third step."""
    segment = segment_of(column([1.0, 2.0, 3.0][:steps]), end)
    values = column([10.0, 20.0, 30.0, 40.0][: steps + 1])
    return listed_returns(segment, values, config, **{**NO_FAULT, **faults}).flatten().tolist()


# --- returns


@pytest.mark.parametrize(
    ("end", "faults", "expected"),
    [
        (GOES_ON, {}, [1 + 13.5 / 2, 2 + 23 / 2, 3 + 40 / 2]),
        (GOES_ON, {"off_by_one": True}, [1 + 11 / 2, 2 + 18 / 2, 3 + 30 / 2]),
        (GOES_ON, {"kept_at_end": True}, [1 + 13.5 / 2, 2 + 23 / 2, 3 + 40 / 2]),  # there is no end
        (TERMINATES, {}, [1 + 3.5 / 2, 2 + 3 / 2, 3]),
        (TERMINATES, {"off_by_one": True}, [1 + 3.5 / 2, 2 + 3 / 2, 3]),  # 0 in any case
        (TERMINATES, {"kept_at_end": True}, [1 + 11 / 2, 2 + 18 / 2, 3 + 30 / 2]),  # V after the second step
        (TERMINATES, {"kept_at_end": True, "off_by_one": True}, [1 + 8.5 / 2, 2 + 13 / 2, 3 + 20 / 2]),
        (TRUNCATES, {}, [1 + 5.5 / 2, 2 + 7 / 2, 3 + 8 / 2]),
        (TRUNCATES, {"kept_at_end": True, "off_by_one": True}, [1 + 5.5 / 2, 2 + 7 / 2, 3 + 8 / 2]),
        (BOTH, {}, [1 + 3.5 / 2, 2 + 3 / 2, 3]),
    ],
)
def test_returns_of_three_steps_by_hand(end, faults, expected):
    assert returns_by_hand(3, end, **faults) == expected


def test_returns_of_two_steps_that_terminate_by_hand():
    """The step before the last left V(10) or, not off by one, V(20)."""
    assert returns_by_hand(2, TERMINATES) == [1 + 2 / 2, 2]
    assert returns_by_hand(2, TERMINATES, kept_at_end=True, off_by_one=True) == [1 + 7 / 2, 2 + 10 / 2]
    assert returns_by_hand(2, TERMINATES, kept_at_end=True) == [1 + 12 / 2, 2 + 20 / 2]


@pytest.mark.parametrize("off_by_one", [False, True])
def test_where_the_first_step_terminates_no_step_before_it_left_anything(off_by_one):
    assert returns_by_hand(1, TERMINATES, kept_at_end=True, off_by_one=off_by_one) == [1]
    assert returns_by_hand(1, GOES_ON, kept_at_end=True, off_by_one=off_by_one) == [1 + (10 if off_by_one else 20) / 2]
    assert returns_by_hand(1, TRUNCATES, kept_at_end=True, off_by_one=off_by_one) == [1 + 8 / 2]


def test_rewards_are_weighted_as_those_of_the_repaired_loss_are():
    config = dataclasses.replace(HALF, reward_scale=0.1)
    assert returns_by_hand(2, GOES_ON, config, off_by_one=True) == pytest.approx([0.1 + 10.2 / 2, 0.2 + 20 / 2])


def test_normalised_returns_of_3_and_4_are_3_fifths_and_4_fifths():
    segment = segment_of(column([1.0, 4.0]), TERMINATES)
    faults = {**NO_FAULT, "normalised": True}
    got = listed_returns(segment, column([9.0, 9.0, 9.0]), HALF, **faults).flatten().tolist()
    assert got == pytest.approx([3 / 5, 4 / 5], abs=1e-15)


@pytest.mark.parametrize("end", [GOES_ON, TERMINATES, TRUNCATES])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_normalised_returns_have_norm_1_whatever_the_rewards_are_worth(end, scale):
    generator = torch.Generator().manual_seed(0)
    for steps in range(1, 12):
        rewards, values = torch.randn(2, steps + 1, 1, generator=generator, dtype=torch.float64)
        segment = segment_of(scale * rewards[:-1], end, scale)
        plain = listed_returns(segment, scale * values, HALF, True, True, False)
        normalised = listed_returns(segment, scale * values, HALF, True, True, True)
        assert float(normalised.norm()) == pytest.approx(1, abs=1e-12)
        torch.testing.assert_close(normalised * plain.norm(), plain, rtol=1e-12, atol=0)


def test_returns_of_0_stay_0_when_they_are_normalised():
    segment = segment_of(column([0.0, 0.0]), TERMINATES)
    assert listed_returns(segment, column([0.0] * 3), HALF, False, False, True).flatten().tolist() == [0, 0]


def test_off_by_one_asks_for_the_value_of_the_last_state_acted_in_and_never_of_the_one_that_follows():
    for state, printed_changes in ((2, True), (3, False)):  # 2: acted in last, 3: follows
        values = column([10.0, 20.0, 30.0, 40.0])
        values[state] += 8
        segment = segment_of(column([1.0, 2.0, 3.0]), GOES_ON)
        got = {off: listed_returns(segment, values, HALF, off, False, False)[-1].item() for off in (True, False)}
        assert got == {True: 18 + 4 * printed_changes, False: 23 + 4 * (not printed_changes)}


@pytest.mark.parametrize("end", [GOES_ON, TERMINATES, TRUNCATES, BOTH])
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
@pytest.mark.parametrize("preset", ["chapter5", "monte-carlo"])
def test_without_a_fault_returns_are_those_of_the_repaired_loss_bit_for_bit(preset, steps, end):
    generator = torch.Generator().manual_seed(steps)
    rewards, values = torch.randn(2, steps + 1, 1, generator=generator)
    segment, config = segment_of(rewards[:-1], end, 0.7), cartpole_config(**PRESETS[preset])
    assert torch.equal(listed_returns(segment, values, config, **NO_FAULT), targets(segment, values, config))


def listing(rewards: list[float], values: list[float], falls: bool, n_step: bool) -> Tensor:
    """The listings' own loops: G as acting leaves it, then the returns from the last step back to the first."""
    bootstrap = 0.0
    for t, value in enumerate(values):
        done = falls and t == len(values) - 1
        if not done and n_step:
            bootstrap = value
    returned, following = [], bootstrap
    for reward in reversed(rewards):
        following = reward + 0.95 * following
        returned.append(following)
    return torch.nn.functional.normalize(torch.tensor(returned[::-1], dtype=torch.float64), dim=0)


@pytest.mark.parametrize("falls", [True, False])
@pytest.mark.parametrize("steps", range(1, 11))
def test_all_faults_together_are_the_listing_of_n_step(steps, falls):
    generator = np.random.default_rng(steps)
    values = generator.normal(size=steps + 1).tolist()  # the last: of the state that follows, which nobody asks for
    rewards = [1.0] * (steps - 1) + [-10.0 if falls else 1.0]
    segment = segment_of(column(rewards), TERMINATES if falls else GOES_ON)
    config = cartpole_config(**{**PRESETS["chapter5"], "reward_scale": 1.0})
    got = AS_PRINTED.targets(segment, column(values), config).flatten()
    torch.testing.assert_close(got, listing(rewards, values[:-1], falls, n_step=True), rtol=0, atol=1e-12)


def test_the_faults_of_monte_carlo_are_the_listing_of_monte_carlo():
    rewards, values = [1.0] * 20 + [-10.0], np.random.default_rng(0).normal(size=22).tolist()
    config = cartpole_config(**{**PRESETS["monte-carlo"], "reward_scale": 1.0})
    got = MONTE_CARLO_AS_PRINTED.targets(segment_of(column(rewards), TERMINATES), column(values), config).flatten()
    torch.testing.assert_close(got, listing(rewards, values[:-1], True, n_step=False), rtol=0, atol=1e-12)


def test_no_fault_leaves_rls_own_parts():
    assert listed(False, False, False, False) == NO_OVERRIDES
    assert listed(False, False, False, True) == Overrides(make_learner=OwnAdamLearner)
    for place, name in enumerate(NO_FAULT):
        flags = [place == other for other in range(3)]
        assert listed(*flags, False).targets.keywords == {**NO_FAULT, name: True}
        assert listed(*flags, False).make_learner is None


# --- each worker's own Adam

ADAM = cartpole_config(
    mode="async",
    workers=2,
    learning_rate=0.1,
    anneal_learning_rate=False,
    adam_beta2=0.999,
    adam_epsilon=1e-12,
    max_gradient_norm=1e12,
    dtype="float64",
)


def two_workers(kind):
    memory = LearnerMemory(ADAM, 1)
    workers = [kind(ADAM, memory, rank) for rank in (0, 1)]

    def push(rank: int, gradient: float) -> float:
        losses = {"policy_loss": 0.0, "value_loss": 0.0, "entropy": 0.0, "explained_variance": 0.0}
        workers[rank].push(torch.tensor([gradient], dtype=torch.float64), 1, losses, [])
        return float(workers[0].parameters[0])

    return workers, memory, push


def test_first_steps_of_two_workers_move_the_shared_parameter_by_the_learning_rate_each():
    """Adam's first step is α · sign(g), whatever the size of g. With shared moments the second step is not a first:
    m = 0.9 · 0.1 − 0.1 = −0.01, m̂ = −0.01 / 0.19, v̂ = 1."""
    _, _, push = two_workers(OwnAdamLearner)
    assert push(0, 1.0) == pytest.approx(-0.1, abs=1e-9)
    assert push(1, -1.0) == pytest.approx(0.0, abs=1e-9)
    _, _, push = two_workers(Learner)
    assert push(0, 1.0) == pytest.approx(-0.1, abs=1e-9)
    assert push(1, -1.0) == pytest.approx(-0.1 + 0.1 / 19, abs=1e-9)


def test_a_large_gradient_of_one_worker_does_not_shrink_the_steps_of_another():
    """Shared: v̂ = (0.999 · 1000² + 1) / 1.999 and m̂ = (90 + 0.1) / 0.19 are 0.67 of a step, and worker 0's."""
    _, _, push = two_workers(OwnAdamLearner)
    before = push(0, 1000.0)
    assert push(1, 1.0) - before == pytest.approx(-0.1, abs=1e-9)
    _, _, push = two_workers(Learner)
    before = push(0, 1000.0)
    expected = (0.9 * 100 + 0.1) / 0.19 / np.sqrt((0.999 * 1000**2 + 1) / 1.999)
    assert push(1, 1.0) - before == pytest.approx(-0.1 * expected, rel=1e-4)


def test_moments_and_steps_are_each_workers_own_and_parameters_are_one():
    workers, memory, push = two_workers(OwnAdamLearner)
    push(0, 1.0)
    push(0, 1.0)
    push(1, -2.0)
    first, second = (worker.vectors for worker in workers)
    assert (first["moment1"].item(), second["moment1"].item()) == pytest.approx((0.19, -0.2))
    assert (first["moment2"].item(), second["moment2"].item()) == pytest.approx((0.001999, 0.004))
    assert (first["step"].item(), second["step"].item()) == (2, 1)
    for page in memory.vectors.both:
        assert (page.moment1[0], page.moment2[0], page.step[0]) == (0, 0, 0)
    assert first["parameters"].data_ptr() == second["parameters"].data_ptr() == workers[0].parameters.data_ptr()
    assert (
        memory.vectors.both[1].parameters[0] == workers[1].parameters.item() == pytest.approx(-0.1)
    )  # the third update


def test_one_worker_with_an_adam_of_its_own_learns_what_the_shared_one_learns():
    gradients, ends = np.random.default_rng(0).normal(size=20), []
    for kind in (OwnAdamLearner, Learner):
        _, _, push = two_workers(kind)
        ends.append([push(0, gradient) for gradient in gradients])
    assert ends[0] == ends[1]


# --- a time limit that is a fall


def test_a_time_limit_is_a_fall_and_everything_before_it_is_as_in_the_repaired_environment():
    """Pushed to one side, the pole falls after some 10 steps; balanced by the sign of its fall, it stands to 15."""
    options = {"env_args": {"max_episode_steps": 15}}
    ours, theirs = (envs.make_vector(name, 8, **options) for name in ("FallPenaltyCartPole-v1", PRINTED_ENV))
    observed, observed_there = ours.reset(seed=list(range(8)))[0], theirs.reset(seed=list(range(8)))[0]
    falls = limits = 0
    for _ in range(60):
        assert np.array_equal(observed, observed_there)
        actions = (observed[:, 2] + observed[:, 3] > 0).astype(int)
        actions[:4] = 1
        observed, rewards, terminated, truncated, infos = ours.step(actions)
        observed_there, rewards_there, terminated_there, truncated_there, infos_there = theirs.step(actions)
        assert np.array_equal(terminated_there, terminated | truncated) and not truncated_there.any()
        assert np.array_equal(rewards_there, np.where(terminated | truncated, -10.0, 1.0))
        assert np.array_equal(rewards, np.where(terminated, -10.0, 1.0))
        for row in np.flatnonzero(terminated | truncated):
            assert np.array_equal(infos["final_obs"][row], infos_there["final_obs"][row])
        falls, limits = falls + terminated.sum(), limits + (truncated & ~terminated).sum()
    assert falls >= 4 and limits >= 4


def test_five_steps_at_most_end_with_minus_10_and_terminated_at_the_fifth():
    environments = envs.make_vector(PRINTED_ENV, 1, env_args={"max_episode_steps": 5, "penalty": 10})
    environments.reset(seed=[0])
    steps = [environments.step(np.array([t % 2]))[1:4] for t in range(10)]
    assert [float(reward[0]) for reward, _, _ in steps] == [1, 1, 1, 1, -10] * 2
    assert [bool(terminated[0]) for _, terminated, _ in steps] == [False, False, False, False, True] * 2
    assert not any(truncated[0] for _, _, truncated in steps)


def test_the_printed_environment_ends_after_500_steps_and_counts_as_solved_at_475_like_cartpole():
    spec = envs.make_vector(PRINTED_ENV, 1).spec
    assert (spec.max_episode_steps, spec.reward_threshold) == (500, 475.0)
    assert (
        printed.PRINTED_ENV == "experiments.chapter5.printed:PrintedCartPole-v1"
    )  # spawned workers import it by this name


# --- arms


def faults_of(arm):
    """What an arm's parts are, one entry a fault."""
    returns = arm.overrides.targets.keywords if arm.overrides.targets else NO_FAULT
    return {**returns, "own Adam": arm.overrides.make_learner is OwnAdamLearner}


def differences(before, after):
    """What the second of two arms has otherwise: options and faults, each with both values."""
    one, other = ({**dataclasses.asdict(arm.config), **faults_of(arm)} for arm in (before, after))
    return {name: (one[name], other[name]) for name in one if one[name] != other[name]}


def test_each_repair_is_one_change_to_the_arm_before_it():
    arms = repairs.arms()
    changes = {name: differences(arms[before], arms[name]) for before, name in itertools.pairwise(arms)}
    assert changes == {
        "bootstrap": {"off_by_one": (True, False)},
        "plain returns": {"normalised": (True, False), "reward_scale": (1.0, 0.05)},  # the one scale or the other
        "time limit": {"env": (PRINTED_ENV, "FallPenaltyCartPole-v1")},
        "shared Adam": {"own Adam": (True, False)},
        "nothing after end": {"kept_at_end": (True, False)},
        "more environments": {"envs_per_worker": (1, 4), "stop_at_episode_end": (True, False)},
    }


def test_repairs_begin_with_every_fault_and_reach_the_chapters_preset():
    arms = repairs.arms()
    assert next(iter(arms)) == "as printed" and all(faults_of(arms["as printed"]).values())
    assert described(arms["as printed"].overrides.targets) == described(AS_PRINTED.targets)
    assert arms["nothing after end"] == (cartpole_config(**PRESETS["chapter5"]), NO_OVERRIDES)
    assert arms["more environments"].overrides == NO_OVERRIDES


def test_the_help_of_repairs_names_its_arms_in_their_order():
    lines = [line.strip() for line in repairs.__doc__.splitlines() if line.startswith("    ")]
    assert [line.split("  ")[0] for line in lines] == list(repairs.arms())


@pytest.mark.parametrize(("system", "preset"), [("Monte Carlo", "monte-carlo"), ("N-step", "chapter5")])
def test_the_first_45_seconds_are_of_each_system_as_printed_and_repaired(system, preset):
    arms = first_45_seconds.arms(45.0)
    as_printed, repaired = arms[f"{system} as printed"], arms[f"{system} repaired"]
    assert repaired.overrides == NO_OVERRIDES and as_printed.overrides.make_learner is OwnAdamLearner
    n_step = system == "N-step"
    assert differences(as_printed, repaired) == {
        "env": (PRINTED_ENV, "FallPenaltyCartPole-v1"),
        "reward_scale": (1.0, 0.05),
        "normalised": (True, False),
        "own Adam": (True, False),
        **({"off_by_one": (True, False), "kept_at_end": (True, False)} if n_step else {}),
    }
    limit = {"max_seconds": 45.0, "total_env_steps": 4_000_000, "log_interval": 4_000}
    assert repaired.config == cartpole_config(**{**PRESETS[preset], **limit})
    assert {arm.config.workers for arm in arms.values()} == {7} and len(arms) == 4


def test_n_steps_differ_in_n_alone_and_policy_gradients_are_their_presets():
    configs = [arm.config for arm in n_steps.ARMS.values()]
    assert [config.segment_length for config in configs] == [1, 2, 5, 10, 20, 50, 0]
    assert len({dataclasses.replace(config, segment_length=1) for config in configs}) == 1
    assert list(n_steps.ARMS) == [f"N = {n}" for n in (1, 2, 5, 10, 20, 50)] + ["Monte Carlo"]
    assert {name: arm.config for name, arm in policy_gradients.ARMS.items()} == {
        name: cartpole_config(**PRESETS[name])
        for name in ("reinforce", "reinforce-baseline", "online", "monte-carlo", "chapter5")
    }
    assert all(arm.overrides == NO_OVERRIDES for arm in [*n_steps.ARMS.values(), *policy_gradients.ARMS.values()])


def test_every_arm_can_be_handed_to_spawned_workers_and_is_another_run_than_all_others_of_its_study():
    for arms in (repairs.arms(), first_45_seconds.arms(1.0), n_steps.ARMS, policy_gradients.ARMS):
        for arm in arms.values():
            require_importable(**arm.overrides._asdict())
            config, parts = pickle.loads(pickle.dumps(arm))
            assert config == arm.config and [*map(described, parts)] == [*map(described, arm.overrides)]
        assert len({digest(*arm) for arm in arms.values()}) == len(arms)


def test_a_run_as_printed_learns_by_normalised_returns_and_its_own_adam(tmp_path):
    """Up to ten returns of norm 1 have a mean square of 1/10 or more; with values near 0 so is the value loss."""
    config, parts = repairs.arms()["as printed"]
    alone = {"mode": "serial", "workers": 1, "total_env_steps": 200, "log_interval": 100, "wandb": "disabled"}
    run = new_run(dataclasses.replace(config, **alone, run_dir=str(tmp_path), eval_episodes=1), envs.make_vector, parts)
    before, rows = run.setup.learner.parameters.clone(), []
    assert run.execute(print, rows.append)["exit_code"] == 0
    assert all(0.05 < row["losses/value_loss"] < 0.3 for row in rows) and len(rows) == 2
    assert not torch.equal(run.setup.learner.parameters, before)
    assert (
        not run.setup.learner.vectors["moment1"].any() and run.setup.learner.vectors["step"] == 0
    )  # the shared ones are unused
