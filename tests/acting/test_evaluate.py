"""The AgentPlayer carries the state of deployment; evaluation plays fresh episodes and touches nothing of training."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec

import envs
from rl.acting.evaluate import evaluate, play_episodes
from rl.acting.player import AgentPlayer
from rl.acting.randomness import ActionNoise, environment_seeds, evaluation_key, sequence, training_key
from rl.agent.actions.categorical import Categorical
from tests.support.configs import cartpole_config
from tests.support.rl_small import Dice, assert_same_segment, lively_agent, make_agent, small_collector, small_config

every_core = pytest.mark.parametrize("core", ["mlp", "gru", "lstm"])
every_recurrent_core = pytest.mark.parametrize("core", ["gru", "lstm"])
greedy_or_sampled = pytest.mark.parametrize("greedy", [True, False])


def observations(steps: int, batch: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(steps, batch, 3))


def play(player: AgentPlayer, episode: np.ndarray) -> list[list[int]]:
    """Actions [time][batch] of one episode."""
    return [player.act(observation, t == 0).tolist() for t, observation in enumerate(episode)]


# --- AgentPlayer


@every_core
def test_two_episodes_with_a_reset_between_are_those_of_two_fresh_players(core):
    """isaac-sim/IsaacLab#3837: the state was not reset between the episodes of an evaluation."""
    agent = lively_agent(small_config(core=core), 3)
    first, second = observations(6, 2, seed=1), observations(6, 2, seed=2)
    one, other, fresh = (AgentPlayer(agent, 2) for _ in range(3))
    assert play(one, first) == play(other, first)
    assert play(one, second) == play(fresh, second)
    assert all(torch.equal(a, b) for a, b in zip(one.core_state, fresh.core_state, strict=True))


@every_recurrent_core
def test_a_player_carries_its_state_from_call_to_call(core):
    """ray-project/ray#36774: evaluation started from a fresh state at every call."""
    agent = lively_agent(small_config(core=core), 3)
    episode = observations(50, 1)
    carried = play(AgentPlayer(agent), episode)
    player = AgentPlayer(agent)
    restarted = [player.act(observation, True).tolist() for observation in episode]
    assert carried[0] == restarted[0] and carried != restarted
    with torch.no_grad():
        is_first = (torch.arange(50) == 0)[:, None]
        output, _ = agent.unroll(torch.from_numpy(episode), agent.initial_state(1), is_first)
    assert carried == output.logits.argmax(-1).tolist()


def test_leaving_out_is_first_is_an_error_and_so_is_a_first_observation_that_opens_no_episode():
    """notadamking/RLTrader#49: the state was not passed at all."""
    player = AgentPlayer(lively_agent(small_config(), 3), 2)
    with pytest.raises(TypeError, match="is_first"):
        player.act(observations(1, 2)[0])
    for flags in (False, np.array([True, False])):
        with pytest.raises(ValueError, match="the first observation of a Player opens an episode"):
            player.act(observations(1, 2)[0], flags)
    player.act(observations(1, 2)[0], True)
    player.act(observations(1, 2)[0], np.array([True, False]))


def test_another_number_of_rows_than_the_players_is_an_error():
    """Stable-Baselines-Team/stable-baselines3-contrib#187"""
    player = AgentPlayer(lively_agent(small_config(), 3), 2)
    with pytest.raises(ValueError, match="3 observations for a Player of 2"):
        player.act(observations(1, 3)[0], True)
    with pytest.raises(ValueError):
        player.act(observations(1, 2)[0], [True, True, True])


@every_core
def test_5_environments_get_the_greedy_actions_of_1_each_wherever_an_episode_opens(core):
    """Stable-Baselines-Team/stable-baselines3-contrib#218"""
    agent = lively_agent(small_config(core=core), 3)
    episode = observations(20, 5)
    is_first = np.random.default_rng(3).random((20, 5)) < 0.3
    is_first[0] = True
    together, alone = AgentPlayer(agent, 5), [AgentPlayer(agent) for _ in range(5)]
    chosen = []
    for observation, first in zip(episode, is_first, strict=True):
        actions = [player.act(observation[i : i + 1], first[i : i + 1]).item() for i, player in enumerate(alone)]
        assert together.act(observation, first).tolist() == actions
        chosen += actions
    assert 10 < sum(chosen) < 90  # of 100
    states = [torch.cat(parts, 1) for parts in zip(*(player.core_state for player in alone), strict=True)]
    for one, other in zip(together.core_state, states, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_a_row_samples_the_same_actions_in_any_company_and_others_with_another_seed():
    agent = lively_agent(small_config(), 3)
    episode = observations(50, 3)
    three = np.array(play(AgentPlayer(agent, 3, greedy=False, seed=7), episode))
    one = np.array(play(AgentPlayer(agent, 1, greedy=False, seed=7), episode[:, :1]))
    assert (three[:, 0] == one[:, 0]).all()
    assert (three != np.array(play(AgentPlayer(agent, 3, greedy=False, seed=8), episode))).any()
    same = np.repeat(episode[:, :1], 3, axis=1)
    rows = np.array(play(AgentPlayer(agent, 3, greedy=False, seed=7), same)).T.tolist()
    assert rows[0] != rows[1] != rows[2]


@greedy_or_sampled
def test_a_player_leaves_agent_observation_and_global_random_numbers_as_they_were(greedy):
    agent = lively_agent(small_config(), 3)
    episode = observations(10, 2)
    kept = episode.copy()
    parameters = [parameter.clone() for parameter in agent.parameters()]
    generators = torch.get_rng_state(), str(np.random.get_state())
    play(AgentPlayer(agent, 2, greedy), episode)
    assert (episode == kept).all()
    assert all(torch.equal(one, other) for one, other in zip(agent.parameters(), parameters, strict=True))
    assert torch.equal(torch.get_rng_state(), generators[0]) and str(np.random.get_state()) == generators[1]


# --- evaluate


@every_core
@greedy_or_sampled
def test_evaluation_returns_one_whole_episode_of_each_environment(core, greedy):
    """Against a loop that plays one episode after the other: short episodes are not counted twice, none is cut."""
    config = small_config(core=core, env="Dice-v0", env_arg=())
    agent = lively_agent(config, 2)
    returns = evaluate(agent, config, envs.make_vector, episodes=20, greedy=greedy, seed=5)
    expected = []
    for number, seed in enumerate(environment_seeds(5, evaluation_key(), range(20))):
        env, player = Dice(), AgentPlayer(agent, 1, greedy, seed=5)
        player.noise = ActionNoise(5, evaluation_key(), range(number, number + 1))
        observation, _ = env.reset(seed=seed)
        expected.append(0.0)
        is_first, ended = True, False
        while not ended:
            observation, reward, terminated, truncated, _ = env.step(player.act(observation[None], is_first).item())
            expected[-1] += reward
            is_first, ended = False, terminated or truncated
    assert returns.tolist() == expected
    assert len(set(expected)) > 5


def test_evaluations_with_different_offsets_share_no_episode():
    config = small_config(env="Dice-v0")
    agent = lively_agent(config, 2)
    ten = evaluate(agent, config, envs.make_vector, episodes=10, greedy=True)
    last = evaluate(agent, config, envs.make_vector, episodes=5, greedy=True, offset=5)
    assert ten[5:].tolist() == last.tolist() != ten[:5].tolist()


def test_an_evaluation_that_is_stopped_gives_no_result_and_closes_its_environments():
    closed = []

    def make_environments(*arguments, **options):
        environments = envs.make_vector(*arguments, **options)
        close = environments.close
        environments.close = lambda: closed.append(True) or close()
        return environments

    config = small_config(env="Count-v0")
    agent = lively_agent(config, 2)
    asked = iter([False, False, True])
    assert evaluate(agent, config, make_environments, 2, greedy=True, stop=lambda: next(asked)) is None
    assert evaluate(agent, config, make_environments, 2, greedy=True).tolist() == [6, 6]  # 1 + 2 + 3
    assert closed == [True, True]


@greedy_or_sampled
def test_evaluation_touches_no_random_number_state_or_parameter_of_training(greedy):
    config = small_config(env="Dice-v0")
    quiet, busy = small_collector(config), small_collector(config)
    quiet.collect()
    busy.collect()
    kept = [tensor.clone() for tensor in (*busy.core_state, *busy.agent.parameters(), busy.observation)]
    generators = torch.get_rng_state(), str(np.random.get_state())
    for _ in range(2):
        evaluate(busy.agent, config, envs.make_vector, episodes=3, greedy=greedy, seed=config.seed)
    now = [*busy.core_state, *busy.agent.parameters(), busy.observation]
    assert all(torch.equal(one, other) for one, other in zip(now, kept, strict=True))
    assert torch.equal(torch.get_rng_state(), generators[0]) and str(np.random.get_state()) == generators[1]
    assert_same_segment(busy.collect(), quiet.collect())


# --- seeds


def test_seeds_of_training_resumed_training_and_evaluation_are_pairwise_distinct():
    """hill-a/stable-baselines#79: all workers played the same environment. 3 runs, 4 keys, 500 environments."""
    keys = [training_key(0), training_key(32), training_key(10**9), evaluation_key()]
    seeds = [seed for run in range(3) for key in keys for seed in environment_seeds(run, key, range(500))]
    assert len(set(seeds)) == 3 * 4 * 500
    assert min(seeds) >= 0 and max(seeds) < 2**63


@pytest.mark.parametrize("env_steps", [0, 1, 2**32 - 2, 2**32 - 1, 2**32, 2 * (2**32 - 1), 10**15])
def test_no_number_of_env_steps_gives_training_the_key_of_evaluation(env_steps):
    assert 0 <= training_key(env_steps) != evaluation_key()
    assert training_key(env_steps) < 2**32


def test_environment_seeds_action_noise_and_draws_from_a_buffer_are_different_streams():
    purposes = ("environment", "action", "replay")
    assert len({tuple(sequence(1, 0, purpose, 3).generate_state(4).tolist()) for purpose in purposes}) == 3


def test_first_observations_of_64_training_and_100_evaluation_environments_are_pairwise_distinct():
    firsts = []
    for key, count in [(training_key(0), 64), (training_key(2048), 64), (evaluation_key(), 100)]:
        vector = envs.make_vector("MaskedVelocityCartPole-v1", count)
        firsts += map(tuple, vector.reset(seed=environment_seeds(1, key, range(count)))[0].tolist())
    assert len(set(firsts)) == 64 + 64 + 100


def test_the_noise_of_an_environment_does_not_depend_on_its_neighbours_or_on_how_much_is_drawn_at_once():
    whole = ActionNoise(1, 0, range(4)).draw(10, Categorical(3))
    parts = ActionNoise(1, 0, range(2, 4))
    assert (np.concatenate([parts.draw(3, Categorical(3)), parts.draw(7, Categorical(3))]) == whole[:, 2:]).all()
    assert whole.shape == (10, 4, 3)


def test_an_episode_that_never_ends_counts_with_what_it_has_earned():
    """takuseno/d3rlpy#209. CartPole without its limit may never end: it is cut after 3 steps."""
    config = cartpole_config(env="CartPole-v1", env_arg=("max_episode_steps=-1",), eval_max_steps=3)
    agent = make_agent(config, 4, 2)
    assert evaluate(agent, config, envs.make_vector, episodes=2, greedy=True).tolist() == [3.0, 3.0]
    played = play_episodes(agent, config, envs.make_vector, episodes=2, greedy=True)
    assert played.cut.tolist() == [True, True] and played.lengths.tolist() == [3, 3]


def test_an_episode_that_ends_with_the_last_step_is_not_cut():
    config = small_config(env="Count-v0", eval_max_steps=3)
    played = play_episodes(lively_agent(config, 2), config, envs.make_vector, episodes=4, greedy=True)
    assert played.returns.tolist() == [6.0] * 4 and played.lengths.tolist() == [3] * 4 and not played.cut.any()


# --- how many at once


class Few(Dice):
    """So many of it may exist at once."""

    most, alive, made = 0, 0, 0

    def __init__(self):
        if Few.alive == Few.most:
            raise RuntimeError("no licence is left")
        Few.alive, Few.made = Few.alive + 1, Few.made + 1

    def step(self, action):
        observation, reward, *ends = super().step(action)
        return observation, reward + action / 8, *ends  # so that a return tells which actions were drawn

    def close(self):
        Few.alive -= 1


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setitem(gymnasium.registry, "Few-v0", EnvSpec("Few-v0", Few))

    def limit(most):
        Few.most, Few.alive, Few.made = most, 0, 0

    return limit


@greedy_or_sampled
@pytest.mark.parametrize("most", [3, 2, 1])
def test_an_evaluation_makes_no_more_environments_at_once_than_training_did_and_fewer_where_it_must(few, greedy, most):
    """allenai/tango#237: training was complete, and its evaluation could never be played. Training has 3; if these
    cannot be made, 1 is tried. Episodes are those of ten at once, and nothing is left open."""
    config = small_config(env="Few-v0")
    agent = lively_agent(config, 2)
    few(10)
    wide = evaluate(agent, replace(config, envs_per_worker=10), envs.make_vector, 10, greedy, 5, 7)
    few(most)
    narrow = play_episodes(agent, config, envs.make_vector, 10, greedy, 5, 7)
    assert narrow.returns.tolist() == wide.tolist() and len(set(wide.tolist())) > 4
    before_the_refusal = most if most < 3 else 0
    assert Few.alive == 0 and Few.made == 10 + before_the_refusal


def test_where_not_even_one_can_be_made_the_reason_is_told(few):
    few(0)
    config = small_config(env="Few-v0")
    with pytest.raises(ValueError, match="no licence is left"):
        evaluate(lively_agent(config, 2), config, envs.make_vector, 10, greedy=True)


def test_a_form_whose_columns_cost_nothing_plays_all_episodes_at_once():
    numbers = []

    def noting(env, num_envs, **options):
        numbers.append(num_envs)
        return envs.make_vector(env, num_envs, **options)

    config = small_config(env="RecallCue-v0")
    evaluate(lively_agent(config, 3), config, noting, episodes=20, greedy=True)
    assert numbers == [3, 20]


def test_progress_is_told_at_every_step_over_all_batches():
    config = small_config(env="Count-v0", envs_per_worker=2)
    told = []
    play_episodes(
        lively_agent(config, 2), config, envs.make_vector, 3, True, progress=lambda *numbers: told.append(numbers)
    )
    assert told == [(0, 3, 0), (0, 3, 1), (0, 3, 2), (2, 3, 3), (2, 3, 0), (2, 3, 1), (2, 3, 2), (3, 3, 3)]
