"""The Collector: exact transitions, the value of what a limit hid, and a state that only `collect` moves."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorWrapper
from torch import nn

import envs
from rl.acting.collector import Collector
from rl.acting.evaluate import evaluate
from rl.acting.randomness import TRAINING, ActionNoise, environment_seeds
from rl.acting.segment import Segment
from rl.agent.actions.categorical import Categorical
from rl.agent.actions.mask import MASKED
from rl.learning.returns import targets
from tests.support.rl_small import (
    Count,
    Dice,
    assert_same_segment,
    differentiate,
    joined,
    small_collector,
    small_config,
)

DICE = {"env": "Dice-v0", "segment_length": 16}
every_core = pytest.mark.parametrize("core", ["mlp", "gru", "lstm"])
again_or_recorded = pytest.mark.parametrize("unroll", ["again", "recorded"])
every_recurrent_core = pytest.mark.parametrize("core", ["gru", "lstm"])


def collected(collector: Collector, segments: int) -> Segment:
    return joined([collector.collect() for _ in range(segments)])


def slow_loop(collector: Collector, segment: Segment, env: gymnasium.Env, seeds: list[int]) -> list[list[tuple]]:
    """What `segment.actions` lead to in a single environment, played once with each seed and a state of its own.

    A row for each step: observation, is_first, reward, terminated, truncated, V(what the step led to).
    """
    agent, dtype, columns = collector.agent, collector.dtype, []

    def value(observation, state, is_first):
        with torch.no_grad():
            inputs = torch.tensor(np.array(observation)[None], dtype=dtype)
            output, state = agent.step(inputs, state, torch.tensor([is_first]))
        return output.values.item(), state

    for column, seed in enumerate(seeds):
        observation, _ = env.reset(seed=seed)
        is_first, state, rows = True, agent.initial_state(1), []
        for action in segment.actions[:, column].tolist():
            _, state = value(observation, state, is_first)
            following, reward, terminated, truncated, _ = env.step(action)
            rows.append(
                (np.array(observation), is_first, reward, terminated, truncated, value(following, state, False)[0])
            )
            is_first = terminated or truncated
            observation = env.reset()[0] if is_first else following
        columns.append(rows)
    return columns


# --- transitions


@pytest.mark.parametrize("end", ["terminated", "truncated", "both"])
def test_two_segments_of_4_hold_the_transitions_of_episodes_of_3_and_nothing_else(end):
    """vwxyzjn/cleanrl#475, sail-sg/envpool#194: a garbage row after each episode, action ignored, reward 0."""
    config = small_config(env="Count-v0", env_arg=("length=3", f"end={end}"), envs_per_worker=1)
    segment = collected(small_collector(config), 2)
    assert (segment.observations[:, 0] * 8).tolist() == [
        [0, 0],
        [0, 1],
        [0, 2],
        [1, 0],
        [1, 1],
        [1, 2],
        [2, 0],
        [2, 1],
        [2, 2],
    ]
    opens = [True, False, False]
    last = [False, False, True] * 2 + [False, False]
    assert segment.is_first.flatten().tolist() == opens * 3
    assert segment.rewards.flatten().tolist() == [1, 2, 3, 1, 2, 3, 1, 2]
    assert segment.terminated.flatten().tolist() == [flag and end != "truncated" for flag in last]
    assert segment.truncated.flatten().tolist() == [flag and end != "terminated" for flag in last]


@every_core
@again_or_recorded
def test_every_row_and_every_truncation_value_equals_those_of_a_slow_loop_over_single_environments(core, unroll):
    """Three segments of 16 steps, episodes of 4 on average: V is that of the truncated episode's own last observation,
    with the state after o_t. seungeunrho/minimalRL#17: V(s) and V(s') were computed from one and the same state."""
    config = small_config(core=core, unroll=unroll, **DICE)
    collector = small_collector(config)
    segment = collected(collector, 3)
    columns = slow_loop(collector, segment, Dice(), environment_seeds(config.seed, TRAINING, range(3)))
    for column, rows in enumerate(columns):
        for t, (observation, is_first, reward, terminated, truncated, following) in enumerate(rows):
            assert segment.observations[t, column].tolist() == observation.tolist()
            assert bool(segment.is_first[t, column]) == is_first
            assert segment.rewards[t, column] == reward
            assert (bool(segment.terminated[t, column]), bool(segment.truncated[t, column])) == (terminated, truncated)
            expected = following if truncated and not terminated else 0.0
            assert segment.truncation_values[t, column].item() == pytest.approx(expected, rel=0, abs=1e-12)
    assert all(flags.any() for flags in (segment.terminated, segment.truncated, segment.terminated & segment.truncated))


def test_a_vector_environment_that_does_not_reset_in_the_same_step_is_refused():
    config = small_config(env="Count-v0")
    for mode in (AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED):

        def other_mode(_, mode=mode):
            return SyncVectorEnv([Count] * 3, autoreset_mode=mode)

        with pytest.raises(ValueError, match="SAME_STEP, with final observations, is needed"):
            small_collector(config, wrap=other_mode)


def test_gymnasiums_own_vector_environment_that_resets_in_the_same_step_gives_the_same_segments():
    """It reports final observations as an array of arrays, ours as one array."""
    config = small_config(env="Count-v0", env_arg=("end=truncated",))
    theirs = small_collector(
        config, lambda _: SyncVectorEnv([lambda: Count(end="truncated")] * 3, autoreset_mode=AutoresetMode.SAME_STEP)
    )
    ours = small_collector(config)
    for _ in range(3):
        assert_same_segment(theirs.collect(), ours.collect())


def test_a_truncation_without_a_final_observation_is_an_error():
    """leggedrobotics/rsl_rl#151: approximating it by the observation before teaches wrong values."""

    class Secretive(VectorWrapper):
        def step(self, actions):
            return *self.env.step(actions)[:4], {}

    collector = small_collector(small_config(env="Count-v0", env_arg=("end=truncated",)), Secretive)
    with pytest.raises(KeyError, match="truncated without infos"):
        collector.collect()


@pytest.mark.parametrize("frame_stack", [1, 2])
def test_previous_action_and_reward_are_0_where_an_episode_opens_and_else_those_of_the_step_before(frame_stack):
    """ray-project/ray#12118. Three segments of 4, episodes of 3: also over the borders of segments."""
    config = small_config(env="Count-v0", previous_action=True, previous_reward=True, frame_stack=frame_stack)
    segment = collected(small_collector(config), 3)
    actions, rewards = segment.observations[:, :, -3:-1], segment.observations[:, :, -1]
    opens = segment.is_first[1:]
    assert opens.any() and not opens[[3, 7]].any()  # rows 4 and 8 are borders within an episode
    assert actions[0].count_nonzero() == 0 and rewards[0].count_nonzero() == 0
    before = torch.eye(2, dtype=torch.float64)[segment.actions] * ~opens[:, :, None]
    assert torch.equal(actions[1:], before)
    assert torch.equal(rewards[1:], segment.rewards * ~opens)
    assert 0 < segment.actions.sum() < segment.actions.numel()


# --- targets


@pytest.mark.product
@every_core
@again_or_recorded
@pytest.mark.parametrize("limit", range(1, 8))
@pytest.mark.parametrize("inputs", [{}, {"frame_stack": 2, "previous_action": True, "previous_reward": True}])
def test_the_value_of_a_truncated_observation_is_the_value_had_the_episode_gone_on(core, unroll, limit, inputs):
    """pytorch/rl#3771, vwxyzjn/cleanrl#198. The same episodes with limits of t and of 500 steps; nobody falls before
    step 8. After step t the first is worth γ V(final observation), the second its bootstrap, γ V(o_t)."""
    options = {"core": core, "unroll": unroll, "env": "MaskedVelocityCartPole-v1", "segment_length": limit, **inputs}
    short, long = (
        small_collector(small_config(**options, env_arg=(f"max_episode_steps={steps}",))) for steps in (limit, 500)
    )
    cut, whole = short.collect(), long.collect()
    assert torch.equal(cut.actions, whole.actions)
    assert cut.truncated[-1].all() and not whole.truncated.any() and not whole.terminated.any()
    with torch.no_grad():
        values, _ = long.agent.unroll(whole.observations, whole.core_state, whole.is_first)
    torch.testing.assert_close(cut.truncation_values[-1], values.values[-1], rtol=0, atol=1e-12)
    config = small_config(discount=0.9, gae_lambda=0.8)
    one, other = (targets(segment, values.values, config) for segment in (cut, whole))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    assert values.values[-1].abs().min() > 1e-3


@every_core
@pytest.mark.parametrize("t", range(4))
def test_the_target_of_step_t_is_its_reward_and_what_the_ending_leaves(core, t):
    """One-step targets of episodes that end at step t: r where terminated, r + γ V(final observation) where truncated,
    r + γ V(o_t+1) else; where both are set at once, terminated wins."""
    config = small_config(core=core, discount=0.5, gae_lambda=0.0)
    for end in ("terminated", "truncated", "both", "goes on"):
        length = 100 if end == "goes on" else t + 1
        arguments = (f"length={length}", f"end={end}")
        collector = small_collector(small_config(core=core, env="Count-v0", env_arg=arguments))
        segment = collector.collect()
        with torch.no_grad():
            output, _ = collector.agent.unroll(segment.observations, segment.core_state, segment.is_first)
            _, state = collector.agent.unroll(
                segment.observations[: t + 1], segment.core_state, segment.is_first[: t + 1]
            )
            final = torch.tensor([[0.0, (t + 1) / 8]] * 3, dtype=torch.float64)  # (episode, step) / 8
            following, _ = collector.agent.step(final, state, torch.zeros(3, dtype=torch.bool))
        worth = {"truncated": following.values, "goes on": output.values[t + 1]}.get(end, torch.zeros(3))
        got = targets(segment, output.values, config)[t]
        torch.testing.assert_close(got, (t + 1) + 0.5 * worth.double(), rtol=0, atol=1e-12)


def test_where_terminated_and_truncated_are_set_at_once_terminated_wins():
    """A time limit on the very step of a fall: the fall is real, and no value follows it."""
    config = small_config(env="Count-v0", env_arg=("end=both",))
    segment = small_collector(config).collect()
    assert segment.terminated[2].all() and segment.truncated[2].all()
    assert segment.truncation_values.count_nonzero() == 0
    values = torch.full((5, 3), 100.0, dtype=torch.float64)
    assert targets(segment, values, config)[2].tolist() == [3, 3, 3]


@every_core
@again_or_recorded
def test_leaving_out_the_values_of_final_observations_changes_nothing_else_in_the_segments(core, unroll, monkeypatch):
    """leggedrobotics/rsl_rl#130: a call for a value moved the live state, and everything after it."""
    config = small_config(core=core, unroll=unroll, **DICE)
    with_values = collected(small_collector(config), 3)
    without = small_collector(config)
    monkeypatch.setattr(without, "_values_of", lambda final, cut: torch.zeros(3))
    segment = collected(without, 3)
    assert with_values.truncation_values.count_nonzero() > 0
    assert_same_segment(with_values._replace(truncation_values=segment.truncation_values), segment)


def test_rows_of_final_observations_that_did_not_end_by_a_limit_alone_are_never_read():
    """pytorch/rl#2941: entries that mean nothing; here they are nan."""

    class Noisy(VectorWrapper):
        def step(self, actions):
            *rest, terminated, truncated, infos = self.env.step(actions)
            if "final_obs" in infos:
                infos["final_obs"][~truncated | terminated] = np.nan
            return *rest, terminated, truncated, infos

    config = small_config(**DICE)
    clean, noisy = small_collector(config), small_collector(config, Noisy)
    for _ in range(3):
        segment = noisy.collect()
        assert segment.truncation_values.isfinite().all()
        assert_same_segment(segment, clean.collect())


# --- what crosses from one segment to the next


@every_core
@again_or_recorded
def test_differentiating_evaluating_and_reading_episodes_twice_leaves_the_next_segment_bit_identical(core, unroll):
    """leggedrobotics/rsl_rl#130: the bootstrap advanced the live state, and the next rollout saw o_T twice."""
    config = small_config(core=core, unroll=unroll, env="Dice-v0", segment_length=5)
    quiet, busy = small_collector(config), small_collector(config)
    for _ in range(3):
        segment = busy.collect()
        assert_same_segment(segment, quiet.collect())
        for _ in range(2):
            differentiate(busy, segment, config)
            evaluate(busy.agent, config, envs.make_vector, episodes=2, greedy=False)
            busy.take_finished_episodes()
    assert_same_segment(busy.collect(), quiet.collect())


@every_recurrent_core
@again_or_recorded
def test_a_segment_starts_where_the_last_one_stopped(core, unroll):
    """Episodes of 7, segments of 4: the second one starts within an episode, with the state after its 4 steps."""
    collector = small_collector(small_config(core=core, unroll=unroll, env="Count-v0", env_arg=("length=7",)))
    first, second = collector.collect(), collector.collect()
    assert torch.equal(second.observations[0], first.observations[-1])
    assert torch.equal(second.is_first[0], first.is_first[-1]) and not second.is_first[0].any()
    with torch.no_grad():
        _, state = collector.agent.unroll(first.observations[:4], first.core_state, first.is_first[:4])
    for carried, expected in zip(second.core_state, state, strict=True):
        torch.testing.assert_close(carried, expected, rtol=0, atol=1e-12)
        assert carried.abs().min() > 0


@every_recurrent_core
@again_or_recorded
def test_without_carrying_every_segment_starts_from_zeros_and_the_environments_go_on(core, unroll):
    config = small_config(core=core, unroll=unroll, env="Count-v0", env_arg=("length=7",), carry_state=False)
    collector = small_collector(config)
    for opens in ([True] * 3, [False] * 3):
        segment = collector.collect()
        assert all(part.count_nonzero() == 0 for part in segment.core_state)
        assert segment.is_first[0].tolist() == opens
        assert all(part.count_nonzero() == part.numel() for part in collector.core_state)


@pytest.mark.parametrize("dtype", ["float32", "float64"])  # float32 is the environment's own precision
def test_a_segments_tensors_are_its_own(dtype):
    """Farama-Foundation/Gymnasium#1132: environments write into the array that they gave last."""

    class OneBuffer(VectorWrapper):
        def reset(self, **arguments):
            self._buffer, infos = self.env.reset(**arguments)
            return self._buffer, infos

        def step(self, actions):
            observations, *rest = self.env.step(actions)
            self._buffer[:] = observations
            return self._buffer, *rest

    config = small_config(env="Count-v0", dtype=dtype)
    collector, plain = small_collector(config, OneBuffer), small_collector(config)
    segments = [collector.collect() for _ in range(3)]
    for segment in segments:
        assert_same_segment(segment, plain.collect())


# --- episodes


@pytest.mark.parametrize("end", ["terminated", "truncated", "both"])
def test_episodes_of_3_steps_return_1_plus_2_plus_3(end):
    """Farama-Foundation/Gymnasium#1624: every episode after the first was reported one step short."""
    config = small_config(env="Count-v0", env_arg=(f"end={end}",))
    collector = small_collector(config)
    collector.collect()
    assert collector.take_finished_episodes() == [(6.0, 3)] * 3
    assert collector.take_finished_episodes() == []
    collector.collect()
    collector.collect()
    assert collector.take_finished_episodes() == [(6.0, 3)] * 9


def test_returns_sum_to_the_rewards_and_lengths_to_the_env_steps_less_those_of_open_episodes():
    collector = small_collector(small_config(reward_scale=0.1, **DICE))
    segment = collected(collector, 3)
    episodes = collector.take_finished_episodes()
    returns, lengths = (sum(numbers) for numbers in zip(*episodes, strict=True))
    opened_at = [int(segment.is_first[:, column].nonzero().max()) for column in range(3)]
    assert len(episodes) == (segment.terminated | segment.truncated).sum() > 20
    assert lengths == 3 * 48 - sum(48 - row for row in opened_at)
    still_open = sum(segment.rewards[row:, column].sum() for column, row in enumerate(opened_at))
    assert returns == segment.rewards.sum() - still_open and still_open > 0


def test_episodes_come_in_order_of_time_and_then_of_environment():
    """Return and length of each, added up step by step over three segments; more than one ends at some step."""
    collector = small_collector(small_config(**DICE))
    segment = collected(collector, 3)
    expected, earned, lasted = [], [0.0] * 3, [0] * 3
    for rewards, ended in zip(segment.rewards.tolist(), (segment.terminated | segment.truncated).tolist(), strict=True):
        for column in range(3):
            earned[column], lasted[column] = earned[column] + rewards[column], lasted[column] + 1
            if ended[column]:
                expected.append((earned[column], lasted[column]))
                earned[column], lasted[column] = 0.0, 0
    episodes = collector.take_finished_episodes()
    assert episodes == expected
    assert all((type(earned), type(lasted)) == (float, int) for earned, lasted in episodes)
    assert ((segment.terminated | segment.truncated).sum(1) > 1).any()


class Balancer(nn.Module):
    """Keeps the pole up by a rule; it has the shape of an agent without memory."""

    actions = Categorical(2)

    def __init__(self):
        super().__init__()
        self.rule = nn.Parameter(torch.tensor([0.02, 0.1, 1.0, 0.5]))

    def initial_state(self, batch_size):
        return ()

    def step(self, observation, core_state, is_first):
        push = 1e6 * (observation @ self.rule)
        return _Output(torch.stack((-push, push), -1), 0 * push), ()


class _Output:
    def __init__(self, logits, values):
        self.logits, self.values = logits, values


def test_a_perfect_policy_returns_500_in_every_episode_and_never_499():
    """Farama-Foundation/Gymnasium#1624"""
    environments = envs.make_vector("CartPole-v1", 2, observation_scale="none")
    collector = Collector(environments, Balancer(), ActionNoise(0, 0, range(2)), [1, 2], segment_length=501)
    for _ in range(3):
        collector.collect()
    assert collector.take_finished_episodes() == [(500.0, 500)] * 6


def test_a_segment_length_of_0_is_whole_episodes_for_whoever_makes_a_collector():
    """A perfect policy's are as long as the limit, and nothing else needs to be said."""
    environments = envs.make_vector("CartPole-v1", 1, observation_scale="none")
    collector = Collector(environments, Balancer(), ActionNoise(0, 0, range(1)), [1], segment_length=0)
    for _ in range(2):
        segment = collector.collect()
        assert segment.env_steps == 500 and segment.truncated.nonzero().tolist() == [[499, 0]]
        assert segment.is_first.flatten().nonzero().flatten().tolist() == [0, 500]
        assert collector.take_finished_episodes() == [(500.0, 500)]


# --- actions


def test_actions_are_drawn_from_the_softmax_of_the_logits():
    """π = 1/4, 1/4, 1/2: of 40,000 draws 10,000, 10,000 and 20,000, to within four standard deviations of 100."""
    logits = torch.tensor([0.25, 0.25, 0.5], dtype=torch.float64).log() + 7.0  # the softmax does not see the 7
    noise = torch.from_numpy(ActionNoise(3, 0, range(4)).draw(10_000, Categorical(3)))
    actions = Categorical(3).sample(logits.expand(40_000, 3), noise.view(40_000, 3))
    counts = torch.bincount(actions, minlength=3).tolist()
    assert all(abs(count - expected) < 400 for count, expected in zip(counts, [10_000, 10_000, 20_000], strict=True))


class Uniform:
    """Stands for a generator: the same numbers for ever."""

    def __init__(self, *numbers):
        self.numbers = numbers

    def random(self, size):
        return np.broadcast_to(self.numbers, size)


def test_the_noise_is_minus_log_of_minus_log_of_a_uniform_number():
    """u = 1/e gives 0, u = 1/2 gives −log log 2 = 0.3665, the largest number below 1 gives 53 log 2 = 36.7."""
    noise = ActionNoise(0, 0, range(2))
    noise.generators = [Uniform(1 / np.e, 0.5), Uniform(0.5, 1 - 2**-53)]
    expected = [[0, -np.log(np.log(2))], [-np.log(np.log(2)), 53 * np.log(2)]]
    np.testing.assert_allclose(noise.draw(3, Categorical(2)), [expected] * 3, rtol=0, atol=1e-12)


@pytest.mark.filterwarnings("error")
def test_a_uniform_number_of_0_is_finite_noise_so_that_an_action_without_it_is_not_preferred_if_a_mask_forbids_it():
    """NumPy draws from [0, 1), so 0 does come, once in 2⁵³. Its Gumbel number is −log(54 log 2) = −3.62."""
    noise = ActionNoise(0, 0, range(3))
    noise.generators = [Uniform(0.0, 0.5), Uniform(0.5, 0.0), Uniform(0.0, 0.0)]
    drawn = noise.draw(4, Categorical(2))
    unlikely = [[[True, False], [False, True], [True, True]]] * 4
    assert np.isclose(drawn, -np.log(54 * np.log(2)), rtol=1e-12).tolist() == unlikely and np.isfinite(drawn).all()
    for allowed, logits in enumerate((torch.tensor([-9.0, MASKED]), torch.tensor([MASKED, -9.0]))):
        actions = Categorical(2).sample(logits.expand(3, 2), torch.from_numpy(drawn[0]).float())
        assert actions.tolist() == [allowed] * 3


def test_actions_are_written_where_they_are_wanted():
    logits, noise = torch.tensor([[1.0, 2.0, 4.0], [5.0, 2.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
    actions = torch.full((3, 2), 7)
    Categorical(2).sample(logits, noise, out=actions[1])
    assert actions.tolist() == [[7, 7], [2, 1], [7, 7]]


def test_an_impossible_action_is_never_drawn():
    logits = torch.tensor([[0.0, -torch.inf, 0.0]]).expand(1000, 3)
    assert 1 not in Categorical(3).sample(
        logits, torch.from_numpy(ActionNoise(3, 0, range(1)).draw(1000, Categorical(3))[:, 0]).float()
    )


def test_4_environments_are_2_and_2_with_the_same_actions():
    """astooke/rlpyt#134: works with one worker, fails with two. Noise and seeds go with the environment's number."""
    whole = small_collector(small_config(envs_per_worker=4, **DICE))
    halves = [small_collector(small_config(envs_per_worker=2, **DICE), first=first) for first in (0, 2)]
    segment, parts = whole.collect(), [half.collect() for half in halves]
    assert torch.equal(segment.actions, torch.cat([part.actions for part in parts], 1))
    assert torch.equal(segment.observations, torch.cat([part.observations for part in parts], 1))
    values = torch.cat([part.truncation_values for part in parts], 1)
    torch.testing.assert_close(segment.truncation_values, values, rtol=0, atol=1e-12)
    assert not torch.equal(parts[0].actions, parts[1].actions)


# --- what a replay buffer keeps


Q = {"algorithm": "q_replay", "epsilon_first": 0.5, "epsilon_last": 0.5}


@every_core
@again_or_recorded
@pytest.mark.parametrize("algorithm", [{"algorithm": "a2c_replay"}, Q], ids=["a2c", "q"])
def test_for_a_buffer_segments_have_final_observations_and_log_probabilities_of_the_actions(core, unroll, algorithm):
    """Against a slow loop: the final observation where a limit cut an episode that had not ended, zeros elsewhere;
    log μ by hand: the log-softmax, or 0.75 for the best action and 0.25 for the other at an ε of one half."""
    config = small_config(core=core, unroll=unroll, **algorithm, **DICE)
    collector = small_collector(config)
    segments = [collector.collect() for _ in range(3)]
    whole = joined(segments)
    finals, log_probs = (
        torch.cat([getattr(s, name) for s in segments]) for name in ("final_observations", "log_probs")
    )
    for column, seed in enumerate(environment_seeds(config.seed, TRAINING, range(3))):
        env = Dice()
        env.reset(seed=seed)
        for t, action in enumerate(whole.actions[:, column].tolist()):
            following, _, terminated, truncated, _ = env.step(action)
            expected = following if truncated and not terminated else [0.0, 0.0]
            assert finals[t, column].tolist() == list(expected)
            if terminated or truncated:
                env.reset()
    with torch.no_grad():
        output, _ = collector.agent.unroll(whole.observations, whole.core_state, whole.is_first)
    logits, actions = output.logits[:-1], whole.actions
    if algorithm is Q:
        expected = torch.where(actions == logits.argmax(-1), 0.75, 0.25).double().log()
        assert (actions != logits.argmax(-1)).sum() > 10
    else:
        expected = logits.log_softmax(-1).gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(log_probs, expected, rtol=0, atol=1e-12)
    assert (finals.count_nonzero(-1) > 0).any()


def test_what_a_buffer_keeps_changes_nothing_else_and_is_not_there_without_one():
    one, other = (small_collector(small_config(algorithm=which, **DICE)) for which in ("a2c", "a2c_replay"))
    for _ in range(3):
        plain, kept = one.collect(), other.collect()
        assert_same_segment(plain, kept)
        assert plain.final_observations is None and plain.log_probs is None


@every_core
def test_a_truncated_observation_of_q_learning_is_worth_its_best_action(core):
    """Against the slow loop's own agent, whose value head says something else."""
    config = small_config(core=core, algorithm="q_online", epsilon_first=0.5, epsilon_last=0.5, **DICE)
    collector = small_collector(config)
    segment = collected(collector, 2)
    agent, worth = collector.agent, []
    step = agent.step

    def noting(observation, state, is_first):
        output, state = step(observation, state, is_first)
        worth.append((output.values + output.logits.amax(-1) - output.logits.mean(-1)).item())
        return output, state

    agent.step = noting
    rows = slow_loop(collector, segment, Dice(), environment_seeds(config.seed, TRAINING, range(3)))
    best = iter(worth)
    for column, steps in enumerate(rows):
        for t, (*_, terminated, truncated, _) in enumerate(steps):
            next(best)  # of the observation
            following = next(best)  # of what the step led to
            expected = following if truncated and not terminated else 0.0
            assert segment.truncation_values[t, column].item() == pytest.approx(expected, abs=1e-12)
    assert segment.truncation_values.count_nonzero() > 2
