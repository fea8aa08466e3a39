"""A policy in a script of one's own: on the environment's own observations it earns what evaluation says, exactly."""

import itertools
import json

import gymnasium
import numpy as np
import pytest
import torch

import envs
from rl.acting.evaluate import evaluate
from rl.acting.player import AgentPlayer
from rl.acting.randomness import environment_seeds, evaluation_key
from rl.play import Player
from rl.record.checkpoint import load_checkpoint, save_checkpoint
from rl.record.saved_agent import load_agent
from tests.support.every_case import CASES
from tests.support.maze import Maze
from tests.support.runs import train

SENSES = {
    "frame_stack": 2,
    "previous_action": True,
    "previous_reward": True,
}  # and the scale that the environment names

QUICK = [
    ("shows picture", 1, False),
    ("bits", 5, True),
    ("numbers head tanh", 5, False),
    ("masked several entry", 1, False),
]

HEADER = ("format", "config")  # of a checkpoint


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A short run that scales, stacks frames and sees its previous action and reward; nobody writes to it."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(folder, total_env_steps=1600, env="MaskedVelocityCartPole-v1", **SENSES)
    enliven(folder)
    return folder


def enliven(folder):
    """Give the policy strong opinions about all that it sees, which a short run does not."""
    config, state = load_checkpoint(folder / "checkpoint.pt")
    parameters = state["learner"]["parameters"]
    parameters += 0.7 * torch.randn(parameters.shape, generator=torch.Generator().manual_seed(0))
    save_checkpoint(folder / "checkpoint.pt", config, {name: state[name] for name in state if name not in HEADER})


def earn(player, make, seeds, most_steps=600):
    """What the first episode of each environment earns; the others go on, as those of an evaluation do."""
    singles = [make() for _ in seeds]
    opened = [single.reset(seed=seed) for single, seed in zip(singles, seeds, strict=True)]
    shown, infos = map(list, zip(*opened, strict=True))
    is_first, rewards = np.ones(len(seeds), dtype=bool), np.zeros(len(seeds))
    running, returns = is_first.copy(), np.zeros(len(seeds))
    for _ in range(most_steps):
        one, masks = player.num_envs == 1, [info.get("action_mask") for info in infos]
        if one:
            actions = player.act(shown[0], bool(is_first[0]), rewards[0], masks[0])
        else:
            actions = player.act(shown, is_first, rewards, masks)
        for row, action in enumerate([actions] if one else actions):
            shown[row], rewards[row], terminated, truncated, infos[row] = singles[row].step(action)
            is_first[row] = terminated or truncated
            if is_first[row]:
                shown[row], infos[row] = singles[row].reset()
        returns += rewards * running
        running &= ~is_first
        if not running.any():
            return returns
    raise AssertionError("an episode did not end")


@pytest.mark.parametrize("greedy", [True, False])
@pytest.mark.parametrize("num_envs", [1, 7])
def test_a_player_on_the_environments_own_observations_earns_what_evaluation_earns(run_dir, greedy, num_envs):
    """google-deepmind/mujoco_playground#267, DLR-RM/stable-baselines3#946: deployed, a policy missed what training had
    done to its observations. This run scales, stacks two frames and appends the previous action and reward."""
    agent, config, _ = load_agent(run_dir, envs.make_vector)
    expected = evaluate(agent, config, envs.make_vector, num_envs, greedy, seed=5)
    player = Player.from_run(run_dir, num_envs, greedy, seed=5)
    make = lambda: gymnasium.make("MaskedVelocityCartPole-v1")  # noqa: E731
    returns = earn(player, make, environment_seeds(5, evaluation_key(), range(num_envs)))
    assert returns.tolist() == expected.tolist() and len(set(returns)) > num_envs // 3


def test_over_many_episodes_that_end_at_different_steps_every_action_is_the_agents(run_dir):
    """Beside it the agent plays in the vector environment of training, which scales, stacks and appends."""
    agent, config, _ = load_agent(run_dir, envs.make_vector)
    vector = envs.make_vector(config.env, 5, **config.environment_options)
    singles = [gymnasium.make("MaskedVelocityCartPole-v1") for _ in range(5)]
    seen, _ = vector.reset(seed=3)
    shown = [single.reset(seed=3 + row)[0] for row, single in enumerate(singles)]
    player, agent_player = Player.from_run(run_dir, 5), AgentPlayer(agent, 5)
    is_first, rewards, ends = np.ones(5, dtype=bool), np.zeros(5), []
    for _ in range(150):
        actions = player.act(shown, is_first, rewards)
        assert actions.tolist() == agent_player.act(seen, is_first).tolist()
        assert torch.equal(player.player.output.logits, agent_player.output.logits)
        seen, rewards, terminated, truncated, _ = vector.step(actions)
        is_first = terminated | truncated
        ends.append(is_first.sum())
        for row, single in enumerate(singles):
            shown[row] = single.step(actions[row])[0]
            if is_first[row]:
                shown[row], _ = single.reset()
    assert sum(ends) > 10 and max(ends) < 5


@pytest.mark.parametrize("shows", Maze.SPACES)
@pytest.mark.parametrize("options", [{}, SENSES], ids=["plain", "senses"])
def test_observations_of_every_kind_and_actions_that_begin_at_minus_1_are_the_environments_own(
    tmp_path, shows, options
):
    """A number of Discrete, several of MultiDiscrete, float64, whole numbers. The environment checks each action.

    A run that logs entries of the infos is played like any other.
    """
    words = {"env": Maze.ID, "env_arg": (f"shows={shows}",), "log_info": "success"}
    train(tmp_path / "run", total_env_steps=320, **words, **options)
    enliven(tmp_path / "run")
    agent, config, _ = load_agent(tmp_path / "run", envs.make_vector)
    expected = evaluate(agent, config, envs.make_vector, 5, False, seed=3)
    player = Player.from_run(tmp_path / "run", 5, greedy=False, seed=3)
    assert player.observation_space == Maze.SPACES[shows] and player.action_space == Maze.action_space
    returns = earn(player, lambda: Maze(shows), environment_seeds(3, evaluation_key(), range(5)))
    assert returns.tolist() == expected.tolist() and len(set(returns)) > 2


@pytest.mark.parametrize(
    ("name", "num_envs", "greedy"),
    [
        pytest.param(*one, marks=[] if one in QUICK else pytest.mark.slow)
        for one in itertools.product(CASES, (1, 5), (True, False))
    ],
)
def test_observations_and_actions_of_every_kind_are_the_environments_own(tmp_path, name, num_envs, greedy):
    """The environment asserts kind, dtype, bounds and mask of each; the run's own evaluation earns the same,
    in as many environments at a time, since numbers are rounded in another way in a batch of another size."""
    train(tmp_path / "run", total_env_steps=80, envs_per_worker=5, **CASES[name])
    enliven(tmp_path / "run")
    agent, config, _ = load_agent(tmp_path / "run", envs.make_vector)
    expected = evaluate(agent, config, envs.make_vector, num_envs, greedy, seed=3)
    player = Player.from_run(tmp_path / "run", num_envs, greedy, seed=3)
    seeds = environment_seeds(3, evaluation_key(), range(num_envs))
    returns = earn(player, lambda: gymnasium.make(config.env, disable_env_checker=True, **config.env_args), seeds)
    assert returns.tolist() == expected.tolist() and len(set(returns)) > num_envs // 2


def test_no_environment_is_made_and_the_callers_process_stays_as_it_was(run_dir, monkeypatch):
    """constantinpape/elf#75: a library changed the number of threads of its caller."""
    for name in ("make", "make_vec"):
        monkeypatch.setattr(gymnasium, name, lambda *_, **__: pytest.fail("an environment was made"))
    generator, numbers = torch.get_rng_state(), str(np.random.get_state())
    tiny = torch.tensor(torch.finfo().tiny)
    torch.set_num_threads(2)
    try:
        player = Player.from_run(run_dir, greedy=False)
        for step in range(3):
            assert player.act(np.zeros(2, dtype=np.float32), step == 0, 1.0) in player.action_space
        assert torch.get_num_threads() == 2 and tiny.div(2) > 0  # denormal numbers are not zeros here
    finally:
        torch.set_num_threads(1)
    assert torch.equal(generator, torch.get_rng_state()) and numbers == str(np.random.get_state())
    assert torch.is_grad_enabled()


def test_a_run_leaves_the_number_of_threads_and_the_random_numbers_of_its_callers_process_as_they_were(tmp_path):
    generator, numbers = torch.get_rng_state(), str(np.random.get_state())
    torch.set_num_threads(2)
    try:
        train(tmp_path / "run", total_env_steps=64)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert torch.equal(generator, torch.get_rng_state()) and numbers == str(np.random.get_state())


def test_a_reset_forgets_the_episode_and_the_next_observation_must_open_one(run_dir):
    player, fresh, shown = Player.from_run(run_dir), Player.from_run(run_dir), np.array([0.1, 0.02], dtype=np.float32)
    for step in range(5):
        player.act(shown * step, step == 0, 1.0)
    player.reset()
    with pytest.raises(ValueError, match="the first observation of a Player opens an episode"):
        player.act(shown, False, 1.0)
    for step in range(5):
        assert player.act(shown, step == 0, 1.0) == fresh.act(shown, step == 0, 1.0)
        assert torch.equal(player.player.output.logits, fresh.player.output.logits)


@pytest.mark.parametrize(
    ("num_envs", "observation", "reward", "line"),
    [
        (1, np.zeros((1, 2)), 1.0, r"shape \(1, 2\): the environment's own has shape \(2,\), without an axis of env"),
        (1, np.zeros(4), 1.0, r"an observation of shape \(4,\): the environment's own has shape \(2,\)$"),
        (1, np.array([0.0, np.nan]), 1.0, "finite numbers are needed"),
        (1, np.zeros(2), None, r"trained with --previous-reward: act\(observation, is_first, reward\) is needed"),
        (1, np.zeros(2), np.nan, "reward nan: finite numbers are needed"),
        (3, np.zeros((2, 2)), 1.0, "2 observations for a Player of 3: one of each is needed"),
        (3, np.zeros(2), 1.0, "2 observations for a Player of 3: one of each is needed"),
        (3, np.zeros((3, 2)), np.zeros(2), "reward of shape .2,.: a number, or one of each is needed"),
    ],
)
def test_what_cannot_be_right_is_one_line_and_the_state_stays_as_it_was(run_dir, num_envs, observation, reward, line):
    player, other = Player.from_run(run_dir, num_envs), Player.from_run(run_dir, num_envs)
    right = np.zeros(2) if num_envs == 1 else np.zeros((num_envs, 2))
    for each in (player, other):
        each.act(right, True)  # no reward is needed where an episode opens
    with pytest.raises(ValueError, match=line) as error:
        player.act(observation, False, reward)
    assert "\n" not in str(error.value)
    player.act(right, False, 1.0), other.act(right, False, 1.0)
    assert torch.equal(player.player.output.logits, other.player.output.logits)


def test_a_number_that_the_space_does_not_hold_is_one_line(tmp_path):
    """ray-project/ray#23527: it would become the one-hot of another number."""
    train(tmp_path / "run", total_env_steps=64, env=Maze.ID, env_arg=("shows=number",))
    player = Player.from_run(tmp_path / "run")
    for wrong in (4, 15, -1):
        with pytest.raises(
            ValueError, match=rf"^observation {wrong}: it is {wrong}, and a finite number from 5 to 14 is needed$"
        ):
            player.act(wrong, True)
    assert player.act(14, True) in player.action_space


def test_the_spaces_of_the_environment_are_in_the_config_and_in_the_checkpoint(run_dir):
    spaces = json.loads((run_dir / "config.json").read_text())["spaces"]
    assert load_checkpoint(run_dir / "checkpoint.pt")[1]["spaces"] == spaces
    assert spaces["action"] == {"type": "Discrete", "n": 2, "start": 0, "dtype": "int64"}
    assert spaces["observation"]["shape"] == [2] and spaces["observation_scale"] == [2.4, 0.2095]


def test_a_run_of_an_older_version_is_readable_and_a_player_says_in_one_line_what_it_has_not(run_dir, tmp_path):
    config, state = load_checkpoint(run_dir / "checkpoint.pt")
    older = {name: state[name] for name in state if name not in (*HEADER, "spaces", "folders")}
    save_checkpoint(tmp_path / "checkpoint.pt", config, older)
    assert load_agent(tmp_path, envs.make_vector)[2] == 1600
    with pytest.raises(ValueError, match=r"checkpoint.pt: an older version wrote it, without the spaces .*\.evaluate "):
        Player.from_run(tmp_path)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"num_envs": 0}, "num_envs 0: a whole number of at least 1 is needed"),
        ({"best": True}, "checkpoint.best.pt: no such checkpoint; a run writes one with --keep-best"),
    ],
)
def test_a_player_that_cannot_be_made_is_one_line(run_dir, options, line):
    with pytest.raises(ValueError, match=line):
        Player.from_run(run_dir, **options)


def test_a_player_of_the_best_evaluation_has_its_parameters(tmp_path):
    options = {"keep_best": True, "eval_interval": 64, "log_interval": 64, "interval_episodes": 2}
    train(tmp_path / "run", total_env_steps=320, **options)
    parameters = {}
    for best in (True, False):
        name = "checkpoint.best.pt" if best else "checkpoint.pt"
        expected = load_checkpoint(tmp_path / "run" / name)[1]["learner"]["parameters"]
        player = Player.from_run(tmp_path / "run", best=best)
        parameters[best] = torch.cat([one.detach().flatten() for one in player.agent.parameters()])
        assert torch.equal(parameters[best], expected)
    agent, _, env_steps = load_agent(tmp_path / "run", envs.make_vector, best=True)
    assert torch.equal(torch.cat([one.detach().flatten() for one in agent.parameters()]), parameters[True])
    assert env_steps == load_checkpoint(tmp_path / "run" / "checkpoint.best.pt")[1]["best"]["env_steps"]


def test_a_player_of_q_values_takes_random_actions_as_its_evaluations_do(tmp_path):
    train(tmp_path / "run", total_env_steps=320, algorithm="q_online", epsilon_last=0.5, env="CartPole-v1")
    agent, config, _ = load_agent(tmp_path / "run", envs.make_vector)
    expected = evaluate(agent, config, envs.make_vector, 6, False, seed=3)
    player = Player.from_run(tmp_path / "run", 6, greedy=False, seed=3)
    returns = earn(player, lambda: gymnasium.make("CartPole-v1"), environment_seeds(3, evaluation_key(), range(6)))
    assert returns.tolist() == expected.tolist()
