"""FallPenaltyCartPole differs from CartPole by the reward of a fall only. Its two forms are equal bit for bit."""

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import SyncVectorEnv

import envs
from envs.cartpole.cartpole import CartPoleVectorEnv
from envs.cartpole.fall_penalty import FallPenalty, FallPenaltyCartPoleVectorEnv
from tests.support.bits import assert_bit_equal
from tests.support.envs_slow_loop import Trajectory, random_actions, run_singles, run_vector

ID = "FallPenaltyCartPole-v1"


def single(**kwargs) -> gymnasium.Env:
    return gymnasium.make(ID, **kwargs)


def pushed_right(steps: int, batch: int) -> np.ndarray:
    """Return actions [time, batch] under which every pole falls after 8 to 11 steps."""
    return np.ones((steps, batch), dtype=np.int64)


def alternating(steps: int, batch: int) -> np.ndarray:
    """Return actions [time, batch] under which every pole stands for more than 20 steps."""
    return np.tile(np.arange(steps)[:, None] % 2, (1, batch))


def fined(trajectory: Trajectory, penalty: float) -> Trajectory:
    """Return the trajectory with the reward of each fall replaced by −penalty."""
    rewards = trajectory.rewards.copy()
    for step, column in np.argwhere(trajectory.terminated):
        rewards[step, column] = -penalty
    return trajectory._replace(rewards=rewards)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"penalty": 2.5},
        {"max_episode_steps": 13},
        {"max_episode_steps": 20, "penalty": 3},
        {"max_episode_steps": -1},
    ],
    ids=str,
)
def test_the_vector_form_equals_the_single_form_step_by_step_over_24_seeds(arguments):
    seeds, actions = range(24), random_actions(300, 24)
    expected = run_singles(lambda: single(**arguments), seeds, actions)
    assert expected.terminated.sum() > 50 and expected.rewards.min() == -arguments.get("penalty", 10)
    assert expected.truncated.any() == (arguments.get("max_episode_steps") in (13, 20))
    assert_bit_equal(run_vector(FallPenaltyCartPoleVectorEnv(24, **arguments), seeds, actions), expected)
    vector = envs.make_vector(ID, 24, env_args=arguments)
    assert isinstance(vector.unwrapped, FallPenaltyCartPoleVectorEnv)
    assert_bit_equal(run_vector(vector, seeds, actions), expected)


@pytest.mark.parametrize("penalty", [10.0, 0.5, 0.0])
def test_everything_but_the_reward_of_a_fall_equals_cartpole(penalty):
    actions = random_actions(1000, 7)
    plain = run_vector(CartPoleVectorEnv(7, max_episode_steps=30), range(7), actions)
    assert (plain.terminated & ~plain.truncated).sum() > 100 and (plain.truncated & ~plain.terminated).sum() > 10
    assert (plain.rewards == 1).all()
    arguments = {"max_episode_steps": 30, "penalty": penalty}
    assert_bit_equal(run_vector(FallPenaltyCartPoleVectorEnv(7, **arguments), range(7), actions), fined(plain, penalty))
    assert_bit_equal(run_singles(lambda: single(**arguments), range(7), actions), fined(plain, penalty))


def test_a_step_earns_1_and_a_fall_minus_10():
    """Seed 0 pushed to one side falls at its eighth step: 7 · 1 − 10 = −3, and the next episode starts."""
    for trajectory in (
        run_singles(single, [0], pushed_right(12, 1)),
        run_vector(FallPenaltyCartPoleVectorEnv(1), [0], pushed_right(12, 1)),
    ):
        assert trajectory.rewards[:, 0].tolist() == [1] * 7 + [-10, 1, 1, 1, 1]
        assert trajectory.terminated[:, 0].nonzero()[0].tolist() == [7] and not trajectory.truncated.any()


def test_a_step_cut_by_a_time_limit_earns_1():
    for trajectory in (
        run_singles(lambda: single(max_episode_steps=5), [0], alternating(12, 1)),
        run_vector(FallPenaltyCartPoleVectorEnv(1, max_episode_steps=5), [0], alternating(12, 1)),
    ):
        assert trajectory.truncated[:, 0].nonzero()[0].tolist() == [4, 9] and not trajectory.terminated.any()
        assert trajectory.rewards[:, 0].tolist() == [1] * 12


def test_a_fall_on_the_last_step_before_the_limit_sets_both_flags_and_earns_minus_10():
    """With a limit of 8, seed 0 falls at the step that the limit cuts."""
    for trajectory in (
        run_singles(lambda: single(max_episode_steps=8), [0], pushed_right(8, 1)),
        run_vector(FallPenaltyCartPoleVectorEnv(1, max_episode_steps=8), [0], pushed_right(8, 1)),
    ):
        assert trajectory.terminated[7, 0] and trajectory.truncated[7, 0]
        assert trajectory.rewards[:, 0].tolist() == [1] * 7 + [-10]


def test_only_the_columns_that_fell_pay():
    """Column 0 is pushed to one side and falls at its eighth step; the others do not fall."""
    actions = alternating(8, 3)
    actions[:, 0] = 1
    trajectory = run_vector(FallPenaltyCartPoleVectorEnv(3), range(3), actions)
    assert trajectory.rewards[:7].tolist() == [[1, 1, 1]] * 7 and trajectory.rewards[7].tolist() == [-10, 1, 1]


def test_the_ids_spec_has_cartpoles_limit_and_threshold_in_both_forms():
    spec, plain = gymnasium.spec(ID), gymnasium.spec("CartPole-v1")
    assert (spec.max_episode_steps, spec.reward_threshold) == (500, 475)
    assert (plain.max_episode_steps, plain.reward_threshold) == (500, 475)
    assert envs.make_vector(ID, 2).spec.reward_threshold == 475
    env, vector = gymnasium.make(ID), gymnasium.make_vec(ID, 3)
    assert isinstance(vector, FallPenaltyCartPoleVectorEnv)
    full = gymnasium.make("CartPole-v1")
    assert env.observation_space == vector.single_observation_space == full.observation_space
    assert env.action_space == vector.single_action_space == full.action_space


def test_the_wrapper_changes_the_terminal_rewards_of_any_environment_and_its_spec_makes_it_again():
    """Around a time limit the wrapper sees both kinds of end; in the second environment both come in one step."""
    env = FallPenalty(gymnasium.make("CartPole-v1", max_episode_steps=4), penalty=7)
    assert run_singles(lambda: env, [0], alternating(8, 1)).rewards[:, 0].tolist() == [1] * 8
    env = FallPenalty(gymnasium.make("CartPole-v1", max_episode_steps=8), penalty=7)
    both = run_singles(lambda: env, [0], pushed_right(8, 1))
    assert both.terminated[7, 0] and both.truncated[7, 0] and both.rewards[:, 0].tolist() == [1] * 7 + [-7]
    env = FallPenalty(gymnasium.make("CartPole-v1"), penalty=7)
    for spec in (env.spec, EnvSpec.from_json(env.spec.to_json())):
        again = gymnasium.make(spec)
        assert run_singles(lambda: again, [0], pushed_right(8, 1)).rewards[:, 0].tolist() == [1] * 7 + [-7]  # noqa: B023
    assert run_singles(lambda: FallPenalty(gymnasium.make("CartPole-v1")), [0], pushed_right(8, 1)).rewards[7] == -10


def test_an_argument_of_the_single_form_only_makes_single_environments_with_the_same_penalty():
    """With `sutton_barto_reward` a step earns 0 instead of 1."""
    vector = envs.make_vector(ID, 2, env_args={"sutton_barto_reward": True, "penalty": 4})
    assert isinstance(vector.unwrapped, SyncVectorEnv)
    rewards = run_vector(vector, [0, 0], pushed_right(8, 2)).rewards
    assert rewards[:, 0].tolist() == rewards[:, 1].tolist() == [0] * 7 + [-4]


def test_arrays_that_were_returned_may_be_written_to():
    one, other = FallPenaltyCartPoleVectorEnv(2), FallPenaltyCartPoleVectorEnv(2)
    one.reset(seed=0), other.reset(seed=0)
    for action in pushed_right(30, 2):
        expected, earned = one.step(action)[1].copy(), other.step(action)[1]
        assert (expected == earned).all()
        earned[:] = np.nan
