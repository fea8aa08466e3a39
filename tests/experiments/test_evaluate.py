"""What a policy earns, and whether it uses its memory."""

import json
import sys

import numpy as np
import pytest
import torch

import envs
from experiments.evaluate import main
from experiments.lab.memory_control import Control, verdict
from rl.acting.control import FrozenPlayer, ResetPlayer, SwappedPlayer
from rl.acting.evaluate import evaluate
from rl.acting.player import AgentPlayer
from rl.record.saved_agent import load_agent
from tests.support.counting import counting_agent
from tests.support.runs import train

RECALL = {"env": "RecallCue-v0", "env_arg": ("delay=2", "max_blanks=0")}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A policy that has learnt to recall a cue two steps later; nobody writes to it."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    learning = {"envs_per_worker": 32, "learning_rate": 0.02, "reward_scale": 1.0, "hidden_size": 16, "torso_size": 16}
    train(folder, total_env_steps=16_000, core="gru", **RECALL, **learning)
    return folder


def said(monkeypatch, capsys, *words):
    """Exit code, standard output and standard error of the command."""
    monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, words)])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code, *capsys.readouterr()


def counts(player, flags):
    """The count that each row carries after each step."""
    found = []
    for is_first in flags:
        player.act(np.zeros((2, 1)), np.array(is_first))
        found.append(player.core_state[0].flatten().tolist())
    return found


FLAGS = [[True, True], [False, False], [False, True], [False, False], [False, False]]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (AgentPlayer, [[1, 1], [2, 2], [3, 1], [4, 2], [5, 3]]),
        (ResetPlayer, [[1, 1]] * 5),
        (lambda agent, n: FrozenPlayer(agent, n, steps=2), [[1, 1], [2, 2], [2, 1], [2, 2], [2, 2]]),
        (lambda agent, n: FrozenPlayer(agent, n, steps=0), [[0, 0]] * 5),
        (SwappedPlayer, [[1, 1], [2, 2], [3, 1], [2, 4], [5, 3]]),
    ],
    ids=["intact", "reset", "frozen after 2", "frozen after 0", "swapped"],
)
def test_what_is_done_to_the_state_in_counts(make, expected):
    """The state counts the observations of its episode; the second row's opens again at the third step."""
    assert counts(make(counting_agent(), 2), FLAGS) == expected


def test_a_policy_that_recalls_a_cue_earns_1_and_without_its_memory_what_a_guess_earns(run_dir, monkeypatch, capsys):
    """Stable-Baselines-Team/stable-baselines3-contrib#211: whether the memory of a trained policy does anything was
    shown by hand. A guess is right half the time, which is worth 0."""
    code, out, err = said(
        monkeypatch, capsys, run_dir, "--control", "--frozen-after", 1, "--episodes", 60, "--json", "-"
    )
    found = json.loads(out)
    assert code == 0 and found["env_args"] == {"delay": 2, "max_blanks": 0} and found["episodes"] == 60
    means = {name: np.mean(found["control"][name]) for name in ("intact", "reset", "frozen", "swapped")}
    assert found["control"]["intact"] == found["greedy"] and means["intact"] > 0.9 and means["frozen"] > 0.9
    assert abs(means["reset"]) < 0.4 and abs(means["swapped"]) < 0.4
    assert found["control"]["verdict"].startswith("The memory is used: of these 60 episodes, each earns ")
    assert "; they show no loss where it is frozen after 1 steps." in err.replace("\n", " ")


def test_the_returns_of_each_episode_are_those_of_evaluation_with_the_arguments_that_are_given(
    run_dir, tmp_path, monkeypatch, capsys
):
    path = tmp_path / "returns.json"
    words = ("--episodes", 8, "--env-arg", "delay=5", "--seed", 3, "--json", path)
    code, out, _ = said(monkeypatch, capsys, run_dir, *words)
    found = json.loads(path.read_text())
    assert code == 0 and "delay=5" in out and found["env_args"] == {"max_blanks": 0, "delay": 5}
    agent, config, _ = load_agent(run_dir, envs.make_vector)
    for greedy, name in ((True, "greedy"), (False, "sampled")):
        changed = type(config)(**{**vars(config), "env_arg": ("max_blanks=0", "delay=5")})
        assert found[name] == evaluate(agent, changed, envs.make_vector, 8, greedy, seed=3).tolist()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["--env-arg", "cues=3"],
            "--env-arg cues=3: the agent knows observations of shape (3,) and actions Discrete(2), these are",
        ),
        (["--env-arg", "delay"], "--env-arg 'delay': name=value is needed, as in --env-arg delay=8"),
        (
            ["--env-arg", "delay=0"],
            "--env RecallCue-v0: cannot make environment 'RecallCue-v0' with {'max_blanks': 0, ",
        ),
        (["--control", "--episodes", "1"], "--episodes 1: a whole number of at least 2 is needed"),
        (["--frozen-after", "-1"], "--frozen-after -1: a whole number of at least 0 is needed"),
        (
            ["--json", "/nowhere/x.json"],
            "--json /nowhere/x.json: a file in a folder that exists is needed, or - for st",
        ),
    ],
)
def test_options_that_cannot_work_are_one_line(run_dir, monkeypatch, capsys, words, line):
    code, out, err = said(monkeypatch, capsys, run_dir, *words)
    assert (code, out) == (2, "") and err.startswith(f"error: {line}") and err.count("\n") == 1


def test_the_verdict_says_what_the_interval_allows():
    """Twenty episodes, each worth 10, and 10 or 4 without memory."""
    ten, mixed = np.full(20, 10.0), np.array([10.0, 4.0] * 10)
    played = {"intact": Control("intact", ten), "reset": Control("reset", mixed)}
    assert verdict(played, True).startswith("The memory is used: of these 20 episodes, each earns on average 3.00 [")
    played["reset"] = Control("reset", ten)
    assert verdict(played, True) == (
        "These 20 episodes do not show that the memory is used: they earn as much where the state is reset."
    )
    assert verdict(played, False) == "The core carries no state, so that there is no memory to use."


def test_a_single_environment_has_none_to_swap_with(tmp_path, monkeypatch, capsys):
    """A run of one environment plays one at a time, unless it is one of ours, which any number can be made of."""
    for env, swapped in (("FrozenLake-v1", False), ("RecallCue-v0", True)):
        train(tmp_path / env, total_env_steps=40, env=env, envs_per_worker=1)
        _, out, _ = said(monkeypatch, capsys, tmp_path / env, "--control", "--episodes", 3, "--json", "-")
        assert ("swapped" in json.loads(out)["control"]) == swapped


def test_an_evaluation_leaves_the_number_of_threads_as_it_was(run_dir):
    """constantinpape/elf#75: 2 before it, 1 after it."""
    agent, config, _ = load_agent(run_dir, envs.make_vector)
    torch.set_num_threads(2)
    try:
        evaluate(agent, config, envs.make_vector, 2, greedy=True)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_entries_of_the_infos_are_shown_beside_the_returns(tmp_path, monkeypatch, capsys):
    """DLR-RM/stable-baselines3#783: the first episode of each environment is a success, with six steps' time left."""
    train(tmp_path / "run", total_env_steps=40, env="tests.support.info_envs:Informed-v0", log_info="success")
    cases = (([], {"success": 1.0}), (["--log-info=time.left,nothing"], {"time.left": 6.0, "nothing": None}))
    for words, expected in cases:
        _, out, err = said(monkeypatch, capsys, tmp_path / "run", "--episodes", 3, "--json", "-", *words)
        assert json.loads(out)["greedy_infos"] == json.loads(out)["sampled_infos"] == expected
        assert all(name in err for name in expected)
