"""Learning from the buffer: targets by hand and by a slow loop, gradients by autograd, nothing else looked at."""

import itertools
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

import envs
from rl.acting.randomness import TRAINING
from rl.acting.segment import first_steps
from rl.loop import Overrides, build_worker, run_segments
from rl.record.checkpoint import load_checkpoint, save_checkpoint
from rl.record.saved_agent import load_agent
from rl.running.run import new_run, resumed_run
from rl.running.setup import set_up
from tests.support.action_envs import CASES, FEW
from tests.support.bits import assert_bit_equal
from tests.support.configs import cartpole_config
from tests.support.replay_small import (
    SEQUENCES,
    Replay,
    differentiated,
    flat_gradient,
    learnt_reward,
    looks,
    own_copy,
    plain_q,
    replay_config,
    slow_q_learning,
    windows_of,
)
from tests.support.rl_small import differentiate, small_config
from tests.support.runs import SERIAL, read_rows, train

every_core = pytest.mark.parametrize("core", ["mlp", "rnn", "gru", "lstm"])
few_cores = pytest.mark.parametrize(
    "core", ["mlp", "lstm", *(pytest.param(core, marks=pytest.mark.slow) for core in ("rnn", "gru"))]
)
again_or_recorded = pytest.mark.parametrize("unroll", ["again", "recorded"])


def priority(errors):
    """0.9 of the largest error and 0.1 of their mean."""
    return (0.9 * errors.abs().amax(0) + 0.1 * errors.abs().mean(0)).tolist()


# --- Q-learning: the targets


GOES_ON, TERMINATED, TRUNCATED, BOTH = "goes on", "terminated", "truncated", "both"


def constant(agent, value, advantages):
    """Say the same of whatever it sees."""
    with torch.no_grad():
        for parameter in agent.parameters():
            parameter.zero_()
        agent.value_head.bias[:] = value
        agent.policy_head.bias[:] = torch.tensor(advantages)


@pytest.mark.parametrize(
    ("first", "second", "double", "expected"),
    [
        (GOES_ON, GOES_ON, True, 1 + 3 / 2 + 8 / 4),
        (GOES_ON, GOES_ON, False, 1 + 3 / 2 + 16 / 4),
        (GOES_ON, TERMINATED, True, 1 + 3 / 2),
        (GOES_ON, BOTH, True, 1 + 3 / 2),
        (GOES_ON, TRUNCATED, True, 1 + 3 / 2 + 8 / 4),
        (GOES_ON, TRUNCATED, False, 1 + 3 / 2 + 16 / 4),
        (TERMINATED, GOES_ON, True, 1),
        (BOTH, TRUNCATED, False, 1),
        (TRUNCATED, TERMINATED, True, 1 + 8 / 2),
        (TRUNCATED, TRUNCATED, False, 1 + 16 / 2),
    ],
)
@pytest.mark.parametrize("way", ["transitions", "stored"])
def test_a_target_of_two_steps_by_hand(way, first, second, double, expected):
    """Rewards 1 and 3, γ = 1/2. The target network says 8 of the first action and 16 of the second, wherever it is;
    the online network prefers the first, and says 0 of it, so that the error is the target. vwxyzjn/cleanrl#198: a
    truncated step was treated as a terminated one; where both flags are set the fall is real."""
    config = replay_config(replay_way=way, sequence_length=1, target_steps=2, discount=0.5, double_q=double, core="gru")
    replay = Replay(config, 6)
    constant(replay.use_target(), 12.0, [-4.0, 4.0])
    constant(replay.experience.agent, -1.0, [1.0, -1.0])
    window = replay.experience.draw()
    for row, end in enumerate((first, second)):
        window.terminated[row], window.truncated[row] = end in (TERMINATED, BOTH), end in (TRUNCATED, BOTH)
    window.rewards[:] = torch.tensor([[1.0], [3.0]])
    window.actions[0] = 0
    losses, _, priorities = differentiated(replay, window)
    assert priorities.tolist() == pytest.approx([expected] * 7, abs=1e-12)
    assert losses["td_loss"] == pytest.approx(expected**2 / 2, abs=1e-12) and losses["q_values"] == 0.0


SIZES = [  # burn-in, sequence, n
    *itertools.product((0, 1, 3), (1, 4), (1, 3)),
    (2, 3, 2),
    (0, 2, 5),
    (3, 4, 4),
]


@pytest.mark.parametrize(
    "sizes",
    [pytest.param(sizes, marks=pytest.mark.slow if place % 3 else ()) for place, sizes in enumerate(SIZES)],
    ids=str,
)
@pytest.mark.parametrize("way", SEQUENCES)
def test_q_learning_of_sequences_equals_a_slow_loop_in_loss_gradient_and_priorities(way, sizes):
    """Each target added up reward by reward, with ends anywhere, from stored states and from zeros, with no burn-in, a
    row of it and more; the ring has gone round. opendilab/DI-engine#52, ray-project/ray#26833: states and flags were
    wrong by a row, or wrong where there was no burn-in."""
    burn_in, sequence, n = sizes
    core = ("rnn", "gru", "lstm")[sum(sizes) % 3]
    unroll, double = ("again", "recorded")[burn_in % 2], n != 3
    config = replay_config(
        replay_way=way,
        burn_in=burn_in,
        sequence_length=sequence,
        target_steps=n,
        core=core,
        unroll=unroll,
        double_q=double,
        reward_scale=0.5,
    )
    assert_equals_the_slow_loop(Replay(config, 9))


def assert_equals_the_slow_loop(replay):
    target, window = replay.use_target(), replay.experience.draw()
    slow = slow_q_learning(replay, window, own_copy(replay.experience.agent), target)
    losses, gradient, priorities = differentiated(replay, window)
    assert losses["td_loss"] == pytest.approx(slow.loss, rel=1e-12)
    torch.testing.assert_close(gradient, slow.gradient, rtol=1e-10, atol=1e-10)
    assert priorities.tolist() == pytest.approx(priority(slow.errors), rel=1e-12)
    assert gradient.abs().max() > 1e-3
    return window


@few_cores
@pytest.mark.parametrize(
    "options",
    [
        {"unroll": "again"},
        {"unroll": "recorded"},
        {"unroll": "recorded", "loss_reduction": "sum", "double_q": False},
        {"unroll": "recorded", "clip_rewards": True},
        pytest.param({"unroll": "recorded", "torso_layers": 0}, marks=pytest.mark.slow),
        {"torso_layers": 2, "core_layers": 2},
        {"unroll": "recorded", "priority_exponent": 0.9, "importance_exponent": 0.6},
    ],
    ids=str,
)
def test_it_does_so_with_every_core_by_both_ways_and_with_importance_weights(core, options):
    replay = Replay(replay_config(core=core, replay_batch=15, **options), 9)
    priorities = replay.experience.buffer.priorities
    priorities *= np.random.default_rng(0).uniform(0.1, 1.0, priorities.shape)
    window = assert_equals_the_slow_loop(replay)
    assert (window.weights.unique().numel() > 1) == ("importance_exponent" in options)
    fell, cut = window.terminated[3:], window.truncated[3:]  # else agreement would say less:
    assert all(flags.any() for flags in (fell & ~cut, cut & ~fell, fell & cut, ~fell & ~cut))


@pytest.mark.parametrize("where", ["infos", pytest.param("entry", marks=pytest.mark.slow)])
@pytest.mark.parametrize("way", ["transitions", "stored_burn_in", pytest.param("zero", marks=pytest.mark.slow)])
@pytest.mark.parametrize("double_q", [True, pytest.param(False, marks=pytest.mark.slow)])
@again_or_recorded
def test_it_does_so_where_actions_are_masked(way, double_q, unroll, where):
    """The mean of the advantages and every best action, of both networks and of final observations too, are those of
    allowed actions, one in five of which are alone."""
    options = CASES[f"masked one {where}"] | {"replay_way": way, "double_q": double_q, "unroll": unroll}
    replay = Replay(replay_config(**options, core="mlp" if way == "transitions" else "gru", replay_batch=15), 9)
    assert_equals_the_slow_loop(replay)


@pytest.mark.product
@every_core
@again_or_recorded
@pytest.mark.parametrize("n", [1, 3])
def test_transitions_are_learnt_from_as_the_textbook_has_it_each_seen_from_a_fresh_state(core, unroll, n):
    """n-step double DQN; without memory it is nothing else, and with one each observation is the first of its life."""
    assert_equals_the_slow_loop(
        Replay(replay_config(replay_way="transitions", core=core, unroll=unroll, target_steps=n, replay_batch=20), 9)
    )


# --- nothing else is looked at


def needed(window, config):
    """Which final observations a loss may look at: [rows − 1, batch]."""
    where = window.truncated & ~window.terminated
    where[: config.burn_in_rows] = False
    return where


def spoilt(window, config):
    """A copy in which all that must not be read is nan, or no action that there is, or another flag."""
    first = config.burn_in_rows
    window = window._replace(
        **{
            name: getattr(window, name).clone()
            for name in ("final_observations", "rewards", "actions", "log_probs", "terminated", "truncated")
        }
    )
    window.final_observations[~needed(window, config)] = torch.nan
    window.rewards[:first] = window.log_probs[:first] = torch.nan
    window.actions[:first] = 10**9
    window.terminated[:first] = ~window.terminated[:first]
    window.truncated[:first] = True
    if config.algorithm == "q_replay":
        window.log_probs[:] = torch.nan
        window.actions[first + config.trained_rows :] = 10**9  # of steps that only their rewards matter of
    if not config.replay_way.startswith("stored"):
        for part in window.core_state:
            part[:] = torch.nan
    return window


@pytest.mark.product
@pytest.mark.parametrize("core", ["mlp", "lstm"])
@again_or_recorded
@pytest.mark.parametrize(
    ("algorithm", "way"),
    [*(("q_replay", way) for way in ("transitions", *SEQUENCES)), *(("a2c_replay", way) for way in SEQUENCES)],
)
def test_what_must_not_be_read_may_be_nan_and_everything_stays_bit_identical(core, unroll, algorithm, way):
    """Stable-Baselines-Team/stable-baselines3-contrib#75: entries that do not count must not be counted."""
    config = replay_config(algorithm=algorithm, replay_way=way, core=core, unroll=unroll, replay_batch=30)
    replay = Replay(config, 9)
    replay.use_target()
    window = replay.experience.draw()
    assert needed(window, config).any() and not needed(window, config).all()
    one, other = (differentiated(replay, which) for which in (window, spoilt(window, config)))
    assert one[0] == other[0] and all(np.isfinite(value) for value in other[0].values())
    assert torch.equal(one[1], other[1]) and other[1].isfinite().all() and one[1].abs().max() > 0
    assert one[2].tolist() == other[2].tolist()


@pytest.mark.parametrize(
    ("algorithm", "way"),
    [("q_replay", "transitions"), ("q_replay", "stored_burn_in"), ("a2c_replay", "stored_burn_in")],
)
def test_rows_of_the_buffer_that_are_not_drawn_may_be_nan(algorithm, way):
    """The same draw again, from a buffer in which only its windows are left."""
    config = replay_config(algorithm=algorithm, replay_way=way, core="lstm", replay_batch=3)
    replay = Replay(config, 9)
    replay.use_target()
    buffer = replay.experience.buffer
    state = buffer.generator.bit_generator.state
    losses = replay.experience.differentiate()
    gradient = replay.experience.flat.gradient.clone()

    buffer.generator.bit_generator.state = state
    slots = replay.experience.draw().slots
    kept = np.zeros((buffer.rows, buffer.batch), bool)
    for start, column in slots.T:
        rows = (start + np.arange(config.sequence_span)) % buffer.rows
        kept[rows[[0, -1]] if way == "transitions" else rows, column] = True
    buffer.observations[~kept] = np.nan
    kept[:] = False
    for start, column in slots.T:
        kept[(start + np.arange(config.sequence_span - 1)) % buffer.rows, column] = True
    buffer.rewards[~kept] = buffer.log_probs[~kept] = buffer.final_observations[~kept] = np.nan
    for states in buffer.core_states:
        for segment, column in itertools.product(range(len(states)), range(buffer.batch)):
            if (segment * config.segment_length, column) not in set(map(tuple, slots.T.tolist())):
                states[segment, :, column] = np.nan
    assert np.isnan(buffer.observations).mean() > 0.2

    buffer.generator.bit_generator.state = state
    assert replay.experience.differentiate() == losses
    assert torch.equal(replay.experience.flat.gradient, gradient)


# --- actor-critic


def slow_vtrace(replay, window, agent):
    """Loss, gradient and errors of the equations of Espeholt et al. 2018, §4.1 and §4.2, summed up term by term."""
    config, losses, all_errors = replay.config, [], []
    policy_terms, value_terms, entropies, advantages_of = [], [], [], []
    for rows, state in windows_of(replay, window):
        seen = looks(agent, rows, state, config.burn_in_rows, fresh=False)
        first, steps = config.burn_in_rows, config.trained_rows
        values = [look.output.values[0].item() for look in seen]
        ratio, delta, discount = {}, {}, {}
        for t in range(first, first + steps):
            step = rows[t]
            log_prob = agent.actions.log_probs(seen[t].output.logits, step.action[None])
            ratio[t] = min(1.0, (log_prob - step.log_prob).exp().item())
            ended = step.terminated or step.truncated
            discount[t] = 0.0 if ended else config.discount
            cut = step.truncated and not step.terminated
            following = seen[t].final.values[0].item() if cut else 0.0 if ended else values[t + 1]
            delta[t] = learnt_reward(step, config) + config.discount * following - values[t]
        corrected = {first + steps: values[first + steps]}
        for s in range(first, first + steps):
            total, weight = values[s], 1.0
            for t in range(s, first + steps):
                total += weight * ratio[t] * delta[t]
                weight *= discount[t] * config.gae_lambda * ratio[t]
            corrected[s] = total
        for t in range(first, first + steps):
            after = delta[t] + discount[t] * (corrected[t + 1] - values[t + 1])
            advantages_of.append(ratio[t] * after)
            policy_terms.append(-agent.actions.log_probs(seen[t].output.logits, rows[t].action[None])[0])
            value_terms.append((seen[t].output.values[0] - corrected[t]).square())
            entropies.append(agent.actions.entropies(seen[t].output.logits)[0])
            all_errors.append(corrected[t] - values[t])
    advantages = torch.tensor(advantages_of, dtype=torch.float64)
    if config.normalise_advantages:
        advantages = (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)
    loss = sum(term * a for term, a in zip(policy_terms, advantages, strict=True))
    loss = loss + config.value_coefficient * sum(value_terms) - config.entropy_coefficient * sum(entropies)
    losses = {
        "policy_loss": sum(t * a for t, a in zip(policy_terms, advantages, strict=True)).item() / len(advantages),
        "value_loss": (sum(value_terms) / len(advantages)).item(),
        "entropy": (sum(entropies) / len(advantages)).item(),
    }
    errors = torch.tensor(all_errors, dtype=torch.float64).view(-1, config.trained_rows).T
    return losses, flat_gradient(agent, loss / len(advantages)), errors


def test_n_step_returns_from_a_buffer_are_v_trace_with_lambda_1_whatever_gae_lambda_is():
    gradients = []
    for options in ({"returns": "n_step", "gae_lambda": 0.3}, {"gae_lambda": 1.0}, {"gae_lambda": 0.3}):
        replay = Replay(replay_config(algorithm="a2c_replay", core="lstm", **options), 9)
        replay.experience.differentiate()
        gradients.append(replay.experience.flat.gradient.clone())
    assert torch.equal(gradients[0], gradients[1]) and not torch.equal(gradients[0], gradients[2])


@pytest.mark.product
@pytest.mark.parametrize(
    ("core", "way"),
    [*(("lstm", way) for way in SEQUENCES), *((core, "stored_burn_in") for core in ("mlp", "rnn", "gru"))],
)
@again_or_recorded
@pytest.mark.parametrize(
    "options",
    [{}, {"normalise_advantages": True, "gae_lambda": 0.8, "entropy_coefficient": 0.1, "clip_rewards": True}],
    ids=["plain", "all"],
)
def test_actor_critic_from_a_buffer_equals_a_slow_loop_over_the_equations_of_v_trace(core, unroll, way, options):
    """The policy has moved since it acted, so that ratios lie on both sides of 1."""
    config = replay_config(algorithm="a2c_replay", replay_way=way, core=core, unroll=unroll, **options)
    assert_equals_the_equations(Replay(config, 9))


@pytest.mark.parametrize("unroll", ["recorded", pytest.param("again", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [one if one in FEW else pytest.param(one, marks=pytest.mark.slow) for one in CASES])
def test_it_does_so_with_actions_of_every_kind(name, unroll):
    options = {"normalise_advantages": True, "entropy_coefficient": 0.1, "unroll": unroll, **CASES[name]}
    assert_equals_the_equations(Replay(replay_config(algorithm="a2c_replay", core="gru", **options), 9))


def assert_equals_the_equations(replay):
    with torch.no_grad():
        replay.experience.flat.parameters += 0.2 * torch.randn(
            len(replay.experience.flat), generator=torch.Generator().manual_seed(3), dtype=torch.float64
        )
    window = replay.experience.draw()
    expected, gradient, errors = slow_vtrace(replay, window, own_copy(replay.experience.agent))
    losses, got, priorities = differentiated(replay, window)
    assert {name: losses[name] for name in expected} == pytest.approx(expected, rel=1e-10, abs=1e-12)
    torch.testing.assert_close(got, gradient, rtol=1e-10, atol=1e-10)
    assert priorities.tolist() == pytest.approx(priority(errors), rel=1e-10)
    assert got.abs().max() > 1e-3


@pytest.mark.product
@every_core
@again_or_recorded
@pytest.mark.parametrize("normalise", [False, True])
def test_from_a_buffer_that_holds_just_what_was_acted_actor_critic_is_what_it_is_online(core, unroll, normalise):
    """π = μ and λ = 1: V-trace's returns are n-step returns, so the gradient is that of the segment's 15 steps, their
    terminations and truncations included."""
    options = {"segment_length": 16, "normalise_advantages": normalise, "entropy_coefficient": 0.1, "core": core}
    config = replay_config(
        algorithm="a2c_replay",
        replay_way="stored",
        sequence_length=15,
        replay_batch=3,
        replay_capacity=48,
        gae_lambda=1.0,
        unroll=unroll,
        **options,
    )
    replay = Replay(config, 1)
    replay.experience.buffer.generator = type("Each", (), {"integers": lambda _, n, size: np.arange(size)})()
    losses = replay.experience.differentiate()
    gradient = replay.experience.flat.gradient.clone()
    segment = first_steps(replay.segments[0], 15)
    assert segment.truncation_values.count_nonzero() > 0 and segment.terminated.any()
    online = small_config(returns="n_step", discount=0.9, **options)
    expected = differentiate(replay.experience.agent, segment, online)
    torch.testing.assert_close(gradient, replay.experience.flat.gradient, rtol=0, atol=1e-10)
    assert {name: losses[name] for name in expected} == pytest.approx(expected, rel=1e-10)
    assert losses["state_age"] == 0.0 and gradient.abs().max() > 1e-2


def test_advantages_from_buffers_are_normalised_over_all_workers_that_update_together():
    """The other worker's 28 have mean 3 and mean square 50, so those of this one are shifted and scaled otherwise."""
    replay, asked = Replay(replay_config(algorithm="a2c_replay", normalise_advantages=True), 9), []
    window = replay.experience.draw()

    def with_another_worker(moments):
        asked.append(moments.tolist())
        return moments + torch.tensor([28.0, 3.0 * 28, 50.0 * 28], dtype=torch.float64)

    alone = differentiated(replay, window)
    replay.learner.sum_over_workers = with_another_worker
    together = differentiated(replay, window)
    assert len(asked) == 1 and asked[0][0] == 28
    assert (alone[1] - together[1]).abs().max() > 0.01


# --- whole episodes


@pytest.mark.product
@pytest.mark.parametrize("core", ["mlp", "gru", "lstm"])
@again_or_recorded
@pytest.mark.parametrize("algorithm", ["q_replay", "a2c_replay"])
def test_the_state_carried_from_reading_to_reading_is_that_of_one_long_unroll(core, unroll, algorithm):
    """12 readings of 3 rows without an update between: outputs of every row, and the state behind the last one, equal
    those of the rows of all readings in one; so do the target network's."""
    config = replay_config(algorithm=algorithm, replay_way="episodes", core=core, unroll=unroll, sequence_length=3)
    replay = Replay(config, 9)
    experience = replay.experience
    target = replay.use_target() if algorithm == "q_replay" else None
    read, said = [], []
    read_on, unroll_now = experience.reader.read, experience.unrolled.unroll

    def noting_read(trained, following):
        read.append(read_on(trained, following))
        return read[-1]

    def noting_unroll(*arguments):
        output = unroll_now(*arguments)
        said.append(output.values.clone())
        return output

    experience.reader.read, experience.unrolled.unroll = noting_read, noting_unroll
    for _ in range(12):
        experience.differentiate()
    observations = torch.cat([window.observations[:3] for window in read])
    is_first = torch.cat([window.is_first[:3] for window in read])
    start = experience.agent.initial_state(config.replay_batch)
    with torch.no_grad():
        output, state = experience.agent.unroll(observations, start, is_first)
        torch.testing.assert_close(torch.cat([values[:3] for values in said]), output.values, rtol=0, atol=1e-12)
        torch.testing.assert_close(experience.state_read, state, rtol=0, atol=1e-12)
        if target is not None:
            _, state = target.unroll(observations, start, is_first)
            torch.testing.assert_close(experience.target_state_read, state, rtol=0, atol=1e-12)
    assert is_first[0].all() and is_first[1:].any() and not is_first[3::3].all()


@pytest.mark.parametrize("core", ["gru", "lstm"])
def test_where_an_episode_is_left_its_state_is_left_too(core):
    """All rows were overwritten between two readings: every column opens another episode, and a state full of nan, the
    online network's and the target's, does not survive it."""
    replay = Replay(replay_config(replay_way="episodes", core=core), 6)
    replay.experience.differentiate()
    for _ in range(6):
        replay.act()
    for state in (replay.experience.state_read, replay.experience.target_state_read):
        for part in state:
            part[:] = torch.nan
    losses = replay.experience.differentiate()
    assert all(np.isfinite(value) for value in losses.values())
    assert replay.experience.flat.gradient.isfinite().all()


@pytest.mark.parametrize(("capacity", "enough"), [(2 * 504 - 1, False), (2 * 504, True)])
def test_a_buffer_that_cannot_hold_the_longest_episode_is_refused(capacity, enough, tmp_path):
    """500 steps of CartPole begin anywhere in a segment of 4: with the 3 before them they take 126 segments."""
    config = replay_config(
        env="CartPole-v1", replay_way="episodes", envs_per_worker=2, replay_capacity=capacity, run_dir=str(tmp_path)
    )
    if enough:
        new_run(config, envs.make_vector)
    else:
        line = "--replay-capacity 1007: whole episodes of 500 steps, one of every environment, take 1008 env steps, "
        with pytest.raises(ValueError, match=f"^{line}at least that is needed$"):
            new_run(config, envs.make_vector)
    new_run(replace(config, replay_way="stored"), envs.make_vector)


def test_without_a_whole_episode_nothing_is_due():
    """Episodes of 1000 steps in a buffer of 24 rows."""
    replay = Replay(replay_config(replay_way="episodes", env="Count-v0", env_arg=("length=1000",)))
    assert [replay.act() for _ in range(8)] == [0] * 8


# --- when, and with which parameters


@pytest.mark.parametrize(
    ("ratio", "batch", "expected"),
    [
        (1.0, 3, [0, 0, 1, 1, 1, 1, 1, 1]),  # 12 steps come, and 12 are trained on
        (2.0, 3, [0, 0, 2, 2, 2, 2, 2, 2]),
        (0.25, 3, [0, 0, 0, 0, 0, 1, 0, 0]),
        (1.0, 2, [0, 0, 1, 2, 1, 2, 1, 2]),  # 12 for 8
        (1.0, 6, [0, 0, 0, 1, 0, 1, 0, 1]),
    ],
)
def test_updates_are_due_as_the_replay_ratio_has_it_once_the_buffer_is_warm(ratio, batch, expected):
    """Warm after 30 env steps, the third segment of 12."""
    replay = Replay(replay_config(replay_ratio=ratio, replay_batch=batch, replay_warm_up=30, burn_in=0))
    assert [replay.act() for _ in range(8)] == expected


def test_a_transition_is_one_step_that_is_trained_on():
    """12 steps come with every segment, 6 are a batch."""
    replay = Replay(replay_config(replay_way="transitions", replay_ratio=1.0, replay_batch=6))
    assert [replay.act() for _ in range(4)] == [2, 2, 2, 2]


@pytest.mark.parametrize(("way", "expected"), [("transitions", 3), ("stored", 6), ("stored_burn_in", 9)])
def test_no_update_is_due_before_there_is_a_window(way, expected):
    """Segments of 1 row, windows of 1 + 2, 4 + 2, and 3 + 4 + 2 rows. Nothing is to be warmed up."""
    config = replay_config(replay_way=way, segment_length=1, replay_warm_up=0, replay_batch=1, replay_ratio=10.0)
    replay = Replay(config)
    due = [replay.act() for _ in range(12)]
    assert not any(due[: expected - 1]) and all(due[expected - 1 :])


def test_the_warm_up_counts_the_env_steps_of_all_workers():
    """Two workers of 3 environments: 48 env steps are 2 segments of 4 steps."""
    replay = Replay(
        replay_config(
            mode="async",
            workers=2,
            replay_capacity=144,
            replay_warm_up=48,
            burn_in=0,
            sequence_length=2,
            replay_batch=1,
        )
    )
    assert [bool(replay.act()) for _ in range(4)] == [False, True, True, True]


def test_the_target_network_has_the_parameters_of_every_third_update():
    """Copied before updates 0, 3 and 6, from those that the worker has pulled."""
    replay = Replay(replay_config(target_interval=3), 6)
    experience, learner, kept = replay.experience, replay.learner, []
    for number in range(8):
        learner.pull(experience.flat)
        pulled = experience.flat.parameters.clone()
        if number % 3 == 0:
            kept.append(pulled)
        losses = experience.differentiate()
        assert torch.equal(experience.target.parameters, kept[-1])
        assert torch.equal(experience.flat.parameters, pulled)
        learner.push(experience.flat.gradient, 0, losses, [])
        assert not torch.equal(learner.parameters, pulled)
    assert len(kept) == 3


def test_a_worker_of_several_that_misses_the_very_update_copies_at_its_next():
    """An asynchronous worker sees versions 2, 4 and 5 of an interval of 3."""
    replay = Replay(replay_config(target_interval=3), 6)
    experience = replay.experience
    for version, renewed in ((2, True), (4, True), (5, False), (6, True)):
        replay.learner.pulled_version = version
        experience.flat.parameters += 1.0
        experience.renew_target()
        assert torch.equal(experience.target.parameters, experience.flat.parameters) is renewed


def test_the_age_of_a_state_is_counted_in_updates_since_its_segment_was_acted():
    """Segments 0 to 4 were acted at versions 0, 10, … 40; all of those from which a window of 4 + 2 rows can start, 0
    to 3, are drawn, at version 100: ages 100, 90, 80, 70."""
    replay = Replay(replay_config(replay_way="stored", replay_batch=12))
    for number in range(5):
        replay.setup.ledger.pages.now.updates[0] = 10 * number
        replay.act()
    replay.learner.pulled_version = 100
    replay.experience.buffer.generator = type("Each", (), {"integers": lambda _, n, size: np.arange(size)})()
    assert replay.experience.differentiate()["state_age"] == 85.0


def test_new_priorities_are_those_of_the_windows_that_were_drawn():
    """η max + (1 − η) mean with η = 0.9 (R2D2, §2.3), at the slot of each; all others keep theirs."""
    replay = Replay(replay_config(priority_exponent=0.7, replay_batch=2), 9)
    replay.use_target()
    buffer = replay.experience.buffer
    window = replay.experience.draw()
    slow = slow_q_learning(replay, window, own_copy(replay.experience.agent), replay.experience.target.agent)
    replay.experience.draw = lambda: window
    before = buffer.priorities.copy()
    replay.experience.differentiate()
    expected = np.array(priority(slow.errors)) + 1e-6
    assert buffer.priorities[tuple(window.slots)] == pytest.approx(expected, rel=1e-10)
    assert (buffer.priorities != before).sum() == len(set(map(tuple, window.slots.T.tolist())))


def test_a_priority_is_nine_tenths_of_the_largest_error_and_a_tenth_of_their_mean():
    from rl.learning.replay.experience import sequence_priorities

    errors = torch.tensor([[1.0, 0.0], [-3.0, 0.0]])  # mean 2, largest 3
    assert sequence_priorities(errors).tolist() == pytest.approx([0.9 * 3 + 0.1 * 2, 0.0], abs=1e-6)


def test_a_loss_that_is_not_finite_is_an_error_that_says_where_to_look():
    replay = Replay(replay_config(), 6)
    window = replay.experience.draw()
    window.rewards[:] = torch.nan
    with pytest.raises(FloatingPointError, match="the loss is nan: look for nan or inf in observations and rewards"):
        differentiated(replay, window)


# --- whole runs


CARTPOLE = {
    **SERIAL,
    "env": "MaskedVelocityCartPole-v1",
    "total_env_steps": 1600,
    "log_interval": 160,
    "replay_capacity": 2048,
    "replay_warm_up": 320,
    "replay_batch": 8,
    "sequence_length": 8,
    "burn_in": 4,
    "target_steps": 3,
    "target_interval": 5,
    "learning_rate": 1e-2,
    "reward_scale": 0.1,
}
WAYS = [  # those that have no other like them, and the rest
    *(("q_replay", "stored_burn_in"), ("a2c_replay", "episodes"), ("q_online", "stored")),
    *(
        pytest.param(algorithm, way, marks=pytest.mark.slow)
        for algorithm, way in [
            *(("q_replay", way) for way in ("transitions", "zero", "zero_burn_in", "stored", "episodes")),
            *(("a2c_replay", way) for way in SEQUENCES),
        ]
    ),
]


@pytest.mark.parametrize(("algorithm", "way"), WAYS)
def test_the_same_seed_is_the_same_run_bit_for_bit_and_its_agent_can_be_loaded_and_played(tmp_path, algorithm, way):
    """ray-project/ray#18245: same seed, other result. 50 segments of 32 env steps."""
    options = {"algorithm": algorithm, "replay_way": way}
    first, again = (train(tmp_path / name, small=CARTPOLE, **options) for name in ("first", "again"))
    assert_bit_equal(first.learnt, again.learnt)
    assert first.rows == again.rows and len(first.rows) == 10
    assert first.summary["eval_sampled"] == again.summary["eval_sampled"] and first.summary["eval_greedy"] >= 1
    agent, config, env_steps = load_agent(tmp_path / "first", envs.make_vector)
    assert (config.algorithm, config.replay_way, env_steps) == (algorithm, way, 1600)
    loaded = torch.cat([parameter.detach().flatten() for parameter in agent.parameters()])
    assert torch.equal(loaded, first.learnt["parameters"])
    start = set_up(config, envs.make_vector).learner.parameters
    assert not torch.equal(start, first.learnt["parameters"])  # it learnt


def test_steps_of_the_warm_up_are_in_the_record_without_updates_and_losses(tmp_path):
    """Warm at 320 of 1600 env steps, which is the 10th of 50 segments; 32 env steps are one update from there on, 41
    in all, and each is one step of Adam."""
    run, summary, rows, _ = train(tmp_path / "run", small=CARTPOLE, algorithm="q_replay", replay_ratio=2.0)
    assert [row["global_step"] for row in rows] == list(range(160, 1601, 160))
    assert [row["losses/updates"] for row in rows] == [0, 1, *[5] * 8]
    loss_keys = {
        "losses/td_loss",
        "losses/q_values",
        "losses/explained_variance",
        "losses/grad_norm",
        "charts/learning_rate",
        "worker/staleness",
        "replay/state_age",
    }
    assert not loss_keys & rows[0].keys() and all(loss_keys < row.keys() for row in rows[1:])
    assert "charts/episodes" in rows[0] and "losses/policy_loss" not in rows[1]
    assert (
        summary["updates"]
        == sum(row["losses/updates"] for row in rows)
        == 41
        == run.setup.learner.vectors["step"].item()
    )
    assert summary["staleness"] == [41] and summary["env_steps"] == 1600


def test_every_update_is_in_a_row_where_a_segment_makes_several(tmp_path):
    """At a ratio of 8 a segment makes 4; a run ends with the update that completes its env steps."""
    _, summary, rows, _ = train(tmp_path / "run", small=CARTPOLE, algorithm="q_replay", replay_ratio=8.0)
    assert summary["updates"] == sum(row["losses/updates"] for row in rows) == 40 * 4 + 1
    assert summary["env_steps"] == 1600 == rows[-1]["global_step"]


@pytest.mark.parametrize("mode", ["async", pytest.param("sync", marks=pytest.mark.slow)])
def test_with_one_worker_every_mode_is_the_serial_run_bit_for_bit(tmp_path, mode):
    options = {"algorithm": "q_replay", "priority_exponent": 0.9, "importance_exponent": 0.6, "replay_ratio": 3.0}
    serial, other = (train(tmp_path / name, small=CARTPOLE, mode=name, **options) for name in ("serial", mode))
    assert_bit_equal(serial.learnt, other.learnt)
    assert serial.rows == other.rows and serial.summary["eval_sampled"] == other.summary["eval_sampled"]
    assert serial.summary["updates"] == other.summary["updates"] > 50


def trained_by_threads(**options):
    """A sync run without its processes: threads stand for them, the learner cannot tell."""
    config = cartpole_config(**{**CARTPOLE, "mode": "sync", "workers": 2, "envs_per_worker": 2, **options})
    setup = set_up(config, envs.make_vector)
    workers = [build_worker(rank, config, envs.make_vector, setup.memory, TRAINING) for rank in range(2)]
    threads = [threading.Thread(target=run_segments, args=(*worker, lambda _left: None)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads) and setup.ledger.env_steps == 1600
    return setup, workers


SOME_WAYS = pytest.mark.parametrize(
    ("algorithm", "way"),
    [
        ("q_replay", "episodes"),
        *(
            pytest.param(*names, marks=pytest.mark.slow)
            for names in (("q_replay", "stored_burn_in"), ("a2c_replay", "stored"), ("q_online", "stored"))
        ),
    ],
)


@SOME_WAYS
def test_two_workers_that_update_together_repeat_themselves(algorithm, way):
    """Each learns from its own environments, so that they draw differently."""
    options = {"algorithm": algorithm, "replay_way": way, "replay_ratio": 3.0}
    (first, workers), (again, _) = trained_by_threads(**options), trained_by_threads(**options)
    assert_bit_equal(first.learner.vectors, again.learner.vectors)
    assert first.ledger.updates == again.ledger.updates > 20
    if algorithm != "q_online":
        one, other = (experience.buffer for _, _, experience in workers)
        assert not np.array_equal(one.observations, other.observations)
        assert one.generator.random() != other.generator.random()


@pytest.mark.slow
def test_two_workers_that_update_together_do_so_in_processes_too(tmp_path):
    """At a ratio of 3 a segment makes 1 or 2 updates, the second of them without new env steps."""
    options = {"algorithm": "q_replay", "replay_way": "episodes", "replay_ratio": 3.0}
    processes = {"mode": "sync", "workers": 2, "envs_per_worker": 2}
    trained = train(tmp_path / "run", small=CARTPOLE, **processes, **options)
    summary, rows = trained.summary, trained.rows
    setup, _ = trained_by_threads(**options)
    assert_bit_equal(trained.learnt, setup.learner.vectors)
    assert summary["updates"] == setup.ledger.updates == sum(row["losses/updates"] for row in rows)


def test_workers_that_update_together_wait_until_each_has_a_whole_episode_to_read(monkeypatch):
    """One worker's episodes last 8 steps, the other's 200: its buffer of 400 rows has the first whole one 25 segments
    later. Were the first to begin alone, its gradients would be added to what the other last left."""
    config = cartpole_config(
        **{
            **CARTPOLE,
            "algorithm": "q_replay",
            "replay_way": "episodes",
            "mode": "sync",
            "workers": 2,
            "envs_per_worker": 2,
            "env": "Count-v0",
            "replay_capacity": 1600,
            "replay_ratio": 4.0,
        }
    )
    lengths = iter([8, 200])

    def make_environments(env, number, **options):
        return envs.make_vector(env, number, **{**options, "env_args": {"length": next(lengths)}})

    setup = set_up(config, envs.make_vector)
    workers = [build_worker(rank, config, make_environments, setup.memory, TRAINING) for rank in range(2)]
    updates, due = [[], []], []
    for rank, (_, _, experience) in enumerate(workers):
        add = experience.add
        monkeypatch.setattr(
            experience, "add", lambda segment, add=add, mine=updates[rank]: mine.append(add(segment)) or mine[-1]
        )
    threads = [threading.Thread(target=run_segments, args=(*worker, lambda _left: None)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    due = [[segment for segment, count in enumerate(mine) if count] for mine in updates]
    assert due[0] == due[1] and due[0][0] == 24
    assert setup.ledger.updates == sum(updates[0]) == sum(updates[1])


@SOME_WAYS
def test_a_checkpoint_of_before_there_were_workers_goes_on_with_an_empty_buffer(tmp_path, algorithm, way):
    """Stopped at 800 of 1600 env steps, without the buffer: updates pause until it holds 320 env steps again."""
    folder = tmp_path / "run"
    config = cartpole_config(**{**CARTPOLE, "algorithm": algorithm, "replay_way": way, "run_dir": str(folder)})
    run = new_run(config, envs.make_vector)
    stopped = run.execute(print, lambda row: run.outcome.note_signal(15) if row["global_step"] == 800 else None)
    assert stopped["exit_code"] == 143 and 800 <= stopped["env_steps"] < 900
    _, state = load_checkpoint(folder / "checkpoint.pt")
    for name in ("workers", "restarts", "config", "format"):
        del state[name]
    for name in ("rows", "pending"):
        del state["ledger"][name]
    for name in ("attempt", "evaluation_due"):
        del state["ledger"]["arrays"][name]
    save_checkpoint(folder / "checkpoint.pt", config, state)
    again, said = resumed_run(folder, envs.make_vector), []
    assert_bit_equal(again.setup.learner.vectors, run.setup.learner.vectors)
    summary = again.execute(said.append)
    empty = "" if algorithm == "q_online" else "; the buffer of worker 0 is empty"
    assert said == [
        f"going on from {state['env_steps']} env steps, not bit by bit: environments of worker 0 begin "
        f"their next episodes{empty}"
    ]
    rows = read_rows(folder)
    assert summary["exit_code"] == 0 and summary["env_steps"] == 1600
    assert summary["updates"] == sum(row["losses/updates"] for row in rows) > stopped["updates"]
    updates = {row["global_step"]: row["losses/updates"] for row in rows}
    assert (updates[1120] == 0) == (algorithm != "q_online") and updates[1600] > 0  # 960 to 1120: warming up


def test_a_checkpoint_of_before_there_were_cpu_seconds_goes_on(tmp_path):
    folder = tmp_path / "run"
    train(folder, small=CARTPOLE, algorithm="q_online", total_env_steps=320)
    _, state = load_checkpoint(folder / "checkpoint.pt")
    del state["ledger"]["arrays"]["cpu_seconds"], state["config"], state["format"]
    longer = cartpole_config(**{**CARTPOLE, "algorithm": "q_online", "total_env_steps": 640, "run_dir": str(folder)})
    save_checkpoint(folder / "checkpoint.pt", longer, state)
    assert resumed_run(folder, envs.make_vector).execute(print)["env_steps"] == 640


def test_an_experiments_targets_are_refused_where_there_is_a_buffer(tmp_path):
    """They are made for segments as they come; rl.learning.replay would leave them out silently."""
    config = cartpole_config(**CARTPOLE, algorithm="a2c_replay", run_dir=str(tmp_path / "run"))
    with pytest.raises(ValueError, match=r"^--algorithm a2c_replay: an experiment's targets .* is needed$"):
        new_run(config, envs.make_vector, Overrides(targets=print))
    assert list(tmp_path.iterdir()) == []


def test_plain_q_is_the_definition_that_the_slow_loop_uses():
    """V = 2, advantages 1 and 5: 2 + 1 − 3 and 2 + 5 − 3."""
    from rl.agent.agent import AgentOutput

    assert plain_q(AgentOutput(torch.tensor([[1.0, 5.0]]), torch.tensor([2.0]))).tolist() == [0.0, 4.0]
