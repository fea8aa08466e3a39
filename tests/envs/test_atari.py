"""Atari games under the contract: the vector form of ALE beside single games, and both beside Gymnasium's own game."""

import os
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.seeding import np_random
from gymnasium.vector import SyncVectorEnv

import envs
from rl.agent.build import agent_for
from rl.agent.torsos.images import ConvTorso
from rl.config import Config
from rl.presets import PRESETS
from rl.running.probe import time_limit, try_out
from tests.support.bits import assert_bit_equal
from tests.support.envs_slow_loop import Trajectory, random_actions, run_singles, run_vector
from tests.support.runs import TINY, train

pytest.importorskip("ale_py")
PONG, BREAKOUT, FREEWAY = "ALE/Pong-v5", "ALE/Breakout-v5", "ALE/Freeway-v5"  # cars drive from the first frame on
SMALL = {"size": 42}


def games(env_id, number, **arguments):
    return envs.make_vector(env_id, number, env_args=SMALL | arguments)


def single(env_id, **arguments):
    from envs.atari.single import make_atari

    return make_atari(**{**gymnasium.spec(env_id).kwargs, **SMALL, **arguments})


def play(env_id, seeds, steps, actions_seed=0, **arguments):
    vector = games(env_id, len(seeds), **arguments)
    actions = random_actions(steps, len(seeds), vector.single_action_space.n, actions_seed)
    return run_vector(vector, seeds, actions)


def column(whole, place):
    return Trajectory(whole.first[place, None], *(rows[:, place, None] for rows in whole[1:]))


# --- the two forms, and Gymnasium's


@pytest.mark.parametrize(
    ("env_id", "steps", "arguments"),
    [
        (BREAKOUT, 300, {}),
        (BREAKOUT, 300, {"episodic_life": True, "repeat_action_probability": 0.0, "size": 84}),
        (BREAKOUT, 300, {"max_episode_steps": 13, "blank_probability": 0.3, "frameskip": 3}),
        (BREAKOUT, 300, {"episodic_life": True, "max_num_frames_per_episode": 150, "blank_probability": 0.3}),
        pytest.param(PONG, 2000, {}, marks=pytest.mark.slow),
        pytest.param("ALE/MsPacman-v5", 2000, {"full_action_space": True, "size": 60}, marks=pytest.mark.slow),
        pytest.param("ALE/SpaceInvaders-v5", 2000, {"frameskip": 3, "size": 160}, marks=pytest.mark.slow),
        pytest.param("ALE/Seaquest-v5", 2000, {"episodic_life": True, "size": 84}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_vector_form_of_ale_equals_single_games_bit_for_bit_pictures_and_final_ones_included(
    env_id, steps, arguments
):
    vector, seeds = games(env_id, 2, **arguments), (3, 2**62)
    actions = random_actions(steps, 2, vector.single_action_space.n)
    expected = run_singles(lambda: single(env_id, **arguments), seeds, actions)
    assert (expected.terminated | expected.truncated).sum() >= 2 and len(np.unique(expected.successors)) > 20
    found = run_vector(vector, seeds, actions)
    assert type(vector.unwrapped).__name__ == "AtariVectorEnv"
    assert_bit_equal(found, expected)


def by_area(picture, size):
    """The mean of what each new pixel covers: each old one is drawn `size` times as large first, side by side."""
    for axis in (0, 1):
        large = np.moveaxis(picture.repeat(size, axis), axis, 0)
        picture = np.moveaxis(large.reshape(size, -1, large.shape[1]).mean(axis=1, dtype=np.float64), 0, axis)
    return picture


@pytest.mark.parametrize(("env_id", "steps"), [(BREAKOUT, 700), pytest.param(PONG, 3000, marks=pytest.mark.slow)])
def test_rewards_and_ends_are_those_of_gymnasiums_game_and_pixels_lie_within_1_of_an_areas_mean(env_id, steps):
    """Gymnasium's game shows every frame in grey; a step adds up 4 rewards and takes the brighter of frames 3 and 4.
    ALE rounds halves as its float32 falls, so pixels may differ by 1."""
    env = gymnasium.make(env_id, frameskip=1, obs_type="grayscale", repeat_action_probability=0.25).unwrapped
    env.ale.setInt("random_seed", int(np_random(5)[0].integers(2**31 - 1)))
    env.load_game()
    vector = games(env_id, 1)
    shown, worst, ends, points = vector.reset(seed=[5])[0], 0.0, 0, 0.0
    frames = [env.reset()[0]] * 2
    for [action] in random_actions(steps, 1, vector.single_action_space.n):
        if len(frames) == 2:  # where an end came before them, the last picture stays
            picture = by_area(np.maximum(*frames), 42)
        worst = max(worst, np.abs(shown[0, ..., 0] - picture).max())
        frames, reward, over = [], 0.0, False
        for number in range(4):
            frame, earned, over, _, _ = env.step(action)
            reward += earned
            if over:
                break
            frames += [frame] if number >= 2 else []
        shown, rewards, terminated, truncated, _ = vector.step(np.array([action]))
        assert (rewards[0], terminated[0], truncated[0]) == (reward, over, False)
        ends, points = ends + over, points + abs(reward)
        if over:
            frames = [env.reset()[0]] * 2
    assert worst <= 1.0 and ends >= 2 and points >= 5


def test_gymnasiums_preprocessing_shows_the_same_within_1_of_255():
    pytest.importorskip("cv2")
    raw = gymnasium.make(BREAKOUT, frameskip=1, repeat_action_probability=0.0)
    slow = gymnasium.wrappers.AtariPreprocessing(raw, noop_max=0, screen_size=42, grayscale_newaxis=True)
    vector, ends = games(BREAKOUT, 1, repeat_action_probability=0.0), 0
    pictures = slow.reset(seed=0)[0][None], vector.reset(seed=0)[0]
    for action in random_actions(700, 1, 4):
        assert np.abs(np.subtract(*pictures, dtype=np.int64)).max() <= 1
        seen, reward, terminated, truncated, _ = slow.step(action[0])
        shown, rewards, over, cut, infos = vector.step(action)
        assert (rewards[0], over[0], cut[0]) == (reward, terminated, truncated)
        if terminated:
            assert np.abs(np.subtract(infos["final_obs"][0], seen, dtype=np.int64)).max() <= 1
            seen, ends = slow.reset()[0], ends + 1
        pictures = seen[None], shown
    assert ends >= 2


# --- ends


def test_a_run_knows_that_half_an_hour_of_108000_frames_is_27000_steps_and_says_nothing_of_a_missing_limit():
    for arguments, limit in (({}, 27_000), ({"frameskip": 5}, 21_600), ({"max_episode_steps": 100}, 100)):
        config = Config(env=PONG, env_arg=tuple(f"{name}={value}" for name, value in arguments.items()))
        vector = games(PONG, 1, **arguments)
        assert time_limit(config, vector) == limit and try_out(config, vector) == ()


def test_the_final_observation_of_an_episode_cut_at_7_steps_is_what_the_7th_step_shows_without_a_limit():
    """ALE's own limit would leave out the last frames. What follows is a new game, which is cut 7 steps later."""
    cut, whole = (play(FREEWAY, (0, 1), 14, max_episode_steps=limit) for limit in (7, -1))
    assert cut.truncated.any(axis=1).nonzero()[0].tolist() == [6, 13] and not whole.truncated.any()
    assert np.array_equal(cut.successors[6], whole.observations[6])
    assert all(not np.array_equal(cut.observations[6][place], cut.successors[6][place]) for place in (0, 1))
    assert np.array_equal(cut.observations[6], cut.first)  # no game of Freeway begins in another way


def test_the_final_observation_of_a_game_that_is_over_is_of_the_old_game_and_never_of_the_next():
    """Breakout's last ball falls, and the wall has holes: the final picture is nearly that of the step before."""
    played = play(BREAKOUT, (0, 1, 2), 500, repeat_action_probability=0.0)
    places = np.argwhere(played.terminated)
    assert len(places) >= 3
    for step, place in places:
        final, before = (played.successors[now, place].astype(int) for now in (step, step - 1))
        following = played.observations[step, place]
        assert np.array_equal(following, played.first[place]) and (final != following).sum() > 10
        assert (final != before).sum() < 10


def test_a_lost_life_ends_an_episode_where_it_is_asked_to_and_the_same_game_goes_on():
    """Breakout has five lives. Pictures and rewards of the first game are the same, with five ends instead of one."""
    plain, by_life = (play(BREAKOUT, (0,), 300, episodic_life=lives) for lives in (False, True))
    over = plain.terminated[:, 0].argmax() + 1
    assert plain.terminated[:over].sum() == 1 and by_life.terminated[:over].sum() == 5
    assert np.array_equal(plain.successors[:over], by_life.successors[:over])
    assert np.array_equal(plain.rewards, by_life.rewards) and not by_life.truncated.any()


def test_rewards_are_the_games_own_points_5_or_10_or_more_for_a_space_invader():
    assert {0.0, 5.0, 10.0} <= set(np.unique(play("ALE/SpaceInvaders-v5", (0, 1, 2), 200).rewards))


# --- seeds


def test_a_column_depends_on_its_seed_and_actions_alone_over_all_its_episodes():
    """Whatever its neighbours are, and how columns are divided: sticky actions, blanks and first frames are its own."""
    chance = {"noops": 9, "blank_probability": 0.2, "max_episode_steps": 60, "episodic_life": True}
    vector = games(BREAKOUT, 3, **chance)
    actions = random_actions(200, 3, 4)
    whole = run_vector(vector, [3, 1, 4], actions)
    assert whole.truncated.sum() >= 6 and whole.terminated.any()
    assert_bit_equal(run_vector(vector, [3, 1, 4], actions), whole)  # from the middle of three games
    for places in ([0, 2], [1]):
        part = run_vector(games(BREAKOUT, len(places), **chance), np.array([3, 1, 4])[places], actions[:, places])
        for number, place in enumerate(places):
            assert_bit_equal(column(part, number), column(whole, place))
    other = run_vector(vector, [3, 1, 5], actions)
    assert_bit_equal(column(other, 0), column(whole, 0))
    assert not np.array_equal(other.successors[:, 2], whole.successors[:, 2])


def test_a_seed_of_none_keeps_the_random_numbers_of_a_column():
    vector = games(FREEWAY, 2, noops=30)
    first = vector.reset(seed=[1, 2])[0]
    again = [vector.reset(seed=seeds)[0] for seeds in ([1, None], [1, 2], [1, None])]
    assert all(np.array_equal(shown[0], first[0]) for shown in again)
    assert not np.array_equal(again[0][1], first[1]) and np.array_equal(again[0][1], again[2][1])
    assert len(np.unique(games(FREEWAY, 4, noops=30).reset()[0], axis=0)) > 1


def test_up_to_30_frames_without_an_action_make_first_pictures_differ_and_0_make_them_the_same():
    kinds = [len(np.unique(games(FREEWAY, 4, noops=most).reset(seed=0)[0], axis=0)) for most in (30, 0)]
    assert kinds[0] > 2 and kinds[1] == 1


# --- what is shown


def test_half_of_the_pictures_are_black_by_chance_and_the_others_are_those_without_blanks():
    plain, flickers = (play(BREAKOUT, (0, 1), 120, blank_probability=chance) for chance in (0.0, 0.5))
    shown = np.concatenate((flickers.first[None], flickers.observations))
    blank = (shown == 0).all(axis=(2, 3, 4))
    assert 0.4 < blank.mean() < 0.6 and len(np.unique(blank, axis=1).T) == 2
    true = np.concatenate((plain.first[None], plain.observations))
    assert np.array_equal(shown[~blank], true[~blank]) and true.any(axis=(2, 3, 4)).all()
    assert np.array_equal(plain.rewards, flickers.rewards)


@pytest.mark.parametrize(
    ("arguments", "stack", "shape", "actions"),
    [
        ({}, 1, (42, 42, 1), 6),
        ({"size": 84, "full_action_space": True}, 1, (84, 84, 1), 18),
        ({}, 4, (42, 42, 4), 6),
        ({"render_mode": "rgb_array"}, 1, (42, 42, 1), 6),
        ({"mode": 1, "difficulty": 1}, 2, (42, 42, 2), 6),
    ],
    ids=str,
)
def test_a_picture_of_pong_is_bytes_of_the_size_that_was_asked_for(arguments, stack, shape, actions):
    """Options of the single form alone make single games with the same pictures."""
    vector = envs.make_vector(PONG, 2, env_args=SMALL | arguments, frame_stack=stack)
    assert (vector.single_observation_space.shape, vector.single_observation_space.dtype) == (shape, np.uint8)
    assert vector.single_action_space.n == actions and vector.spec.id == PONG
    assert isinstance(vector.unwrapped, SyncVectorEnv) == ("mode" in arguments or "render_mode" in arguments)
    shown = vector.reset(seed=0)[0]
    assert shown.shape == (2, *shape) and shown.max() > 100 and vector.state_dict() is None


def test_gymnasiums_default_of_84_is_ours_and_the_module_may_be_named():
    assert envs.make_vector("ale_py:ALE/Pong-v5", 1).single_observation_space.shape == (84, 84, 1)


# --- what is refused


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"size": 4}, "size must be a whole number from 8 to 160, got 4"),
        ({"size": "large"}, "size must be a whole number from 8 to 160, got 'large'"),
        ({"frameskip": (2, 5)}, "frameskip must be a whole number of at least 1, got (2, 5)"),
        ({"noops": -1}, "noops must be a whole number of at least 0, got -1"),
        ({"max_episode_steps": 0}, "max_episode_steps must be a whole number of at least 1, got 0"),
        ({"blank_probability": 1.5}, "blank_probability must be a number from 0 to 1, got 1.5"),
        ({"repeat_action_probability": -0.1}, "repeat_action_probability must be a number from 0 to 1, got -0.1"),
        ({"episodic_life": "false"}, "episodic_life must be True or False, got 'false'"),
        ({"full_action_space": 1}, "full_action_space must be True or False, got 1"),
    ],
)
def test_a_wrong_argument_is_one_line(arguments, line):
    with pytest.raises(ValueError) as error:
        envs.make_vector(PONG, 1, env_args=arguments)
    assert str(error.value) == f"cannot make environment '{PONG}' with {arguments}: {line}"


@pytest.mark.parametrize(
    ("env_id", "arguments", "words"),
    [
        (PONG, {"sise": 42}, "an Atari game has no option 'sise', but size, frameskip, "),
        (PONG, {"obs_type": "ram"}, "an Atari game has no option 'obs_type', but size, frameskip, "),
        ("ALE/Pnog-v5", {}, "Did you mean: `Pong`?"),
        ("ALE/Pong", {}, "the id needs its version: ALE/Pong-v5"),
    ],
)
def test_an_unknown_name_is_one_line_that_has_the_right_ones(env_id, arguments, words):
    with pytest.raises(ValueError) as error:
        envs.make_vector(env_id, 1, env_args=arguments)
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("action", [-1, 6])
def test_an_action_that_pong_has_not_is_refused_where_ale_would_wait_for_ever(action):
    vector = games(PONG, 2)
    with pytest.raises(gymnasium.error.ResetNeeded):
        vector.step(np.array([0, 1]))
    vector.reset(seed=0)
    with pytest.raises(ValueError, match=rf"^actions must be from 0 to 5, got \[0, {action}\]$"):
        vector.step(np.array([0, action]))
    assert vector.step(np.array([0, 5]))[1].tolist() == [0, 0]


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted as Linux lists them")
def test_nine_games_have_one_thread_which_ends_with_them():
    before = len(os.listdir("/proc/self/task"))
    vector = games(PONG, 9)
    vector.reset(seed=0)
    assert len(os.listdir("/proc/self/task")) == before + 1
    vector.close()
    assert len(os.listdir("/proc/self/task")) == before


# --- the preset


def test_preset_pong_is_16_games_of_42_pixels_by_the_small_convolutions_and_trains(tmp_path):
    config = Config(**PRESETS["pong"])
    assert (config.total_environments, config.segment_length, config.clip_rewards) == (16, 128, True)
    options = {"mode": "serial", "workers": 1, "segment_length": 4, "total_env_steps": 64, "eval_max_steps": 3}
    run = train(tmp_path / "run", small={**TINY, **PRESETS["pong"], **options, "eval_episodes": 1, "wandb": "disabled"})
    assert run.summary["env_steps"] == 64
    agent = agent_for(config, envs.make_vector(config.env, 1, **config.environment_options))
    assert isinstance(agent.torso, ConvTorso) and agent.core.hidden_size == 128
