"""`experiments.check_env` says what will be made of an environment, and everything that breaks its contract."""

import numpy as np
import pytest

from envs.check.findings import examine
from experiments.check_env import Command, check
from rl.config_rules import parsed_arguments
from tests.support.action_envs import CASES
from tests.support.action_envs import ID as PAIR

MODULE = "tests.support.broken_envs"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("envs.check.trial.STEPS", 300)
    monkeypatch.setattr("envs.check.findings.SECONDS", 0.02)


def test_everything_that_breaks_the_contract_is_told_and_not_the_first_alone(capsys):
    """DLR-RM/stable-baselines3#1400, Farama-Foundation/Gymnasium#1450"""
    assert check(Command(f"{MODULE}:Wreck-v0")) == 1
    said = capsys.readouterr().out
    for words in (
        "Wreck-v0: Wreck.reset() got an unexpected keyword argument 'options'",
        "Wreck-v0: reset gave [0. 0. 0.]; two values are needed: observation, info",
        "Wreck-v0: reset gave [0. 0. 0.], which is not in Box(-1.0, 1.0, (2,), float32): its shape is (3,)",
        "Wreck-v0: step gave 4 values",
        "Wreck-v0: step gave [7. 7.], which is not in Box(-1.0, 1.0, (2,), float32): entry 0 is 7.0",
        "Wreck-v0: step gave the reward 'much'; a number is needed",
        "Wreck-v0: step gave terminated 0; True or False is needed",
        "Wreck-v0: close raised RuntimeError: the door is stuck (broken_envs.py, line ",
    ):
        assert words in said, words
    assert said.splitlines()[-1] == f"it cannot be trained: {MODULE}:Wreck-v0"


@pytest.mark.parametrize(
    ("env", "env_arg", "line"),
    [
        (
            PAIR,
            ("acts=pair",),
            "Acts-v0: actions Tuple(Discrete(2), MultiBinary(2)) are not supported; Discrete, Multi",
        ),
        ("CartPole", (), "CartPole: it cannot be found: the id needs its version: CartPole-v0, CartPole-v1"),
        ("nowhere:Id-v0", (), "No module named 'nowhere'; run the command in the folder that has nowhere.py"),
        ("RecallCue-v0", ("delay=0",), "RecallCue needs delay to be an integer of at least 1"),
        (
            f"{MODULE}:Broken-v0",
            ("how=raises", "at=40"),
            "step raised RuntimeError: the rope tore (broken_envs.py, line ",
        ),
        (
            f"{MODULE}:BrokenColumns-v0",
            ("how=observation", "at=3"),
            "BrokenColumns-v0: step gave [nan], which is not in",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_what_cannot_be_trained_has_exit_code_1_and_a_line(capsys, env, env_arg, line):
    assert check(Command(env, env_arg)) == 1
    assert line in capsys.readouterr().out


def test_what_can_be_trained_is_described_with_options_to_think_of(capsys):
    assert check(Command(f"{MODULE}:Stateful-v0")) == 0
    said = capsys.readouterr().out
    for words in (
        "observations:      Box(-inf, inf, (2,), float32)",
        "actions:           Discrete(2)",
        "form:              single environments, stepped one after the other, all steps checked",
        "state:             told: --resume continues in the middle of an episode",
        "time limit:        30 steps",
        "reward threshold:  none: nothing counts as solved",
        "env steps a second",
        "--reward-threshold X",
    ):
        assert words in said, said
    assert "may surprise" not in said and "max_episode_steps" not in said


def test_forms_state_and_limits_are_told_apart():
    facts = {env: examine(env, {}).facts for env in ("RecallCue-v0", f"{MODULE}:StatefulCounted-v0", "Acrobot-v1")}
    assert facts["RecallCue-v0"]["form"].startswith("vector form of this project")
    assert facts["RecallCue-v0"]["state"].startswith("told")
    assert "hidden by the wrapper Counted" in facts[f"{MODULE}:StatefulCounted-v0"]["state"]
    assert "not told" in facts["Acrobot-v1"]["state"] and facts["Acrobot-v1"]["time limit"] == "500 steps"


def test_an_environment_that_draws_from_a_global_generator_may_surprise():
    """DLR-RM/stable-baselines3#973, optuna/optuna#3045"""
    before = str(np.random.get_state())
    findings = examine(f"{MODULE}:Forgetful-v0", {})
    [line] = findings.surprises
    assert "the same seed and actions give another observation at step 0" in line and "np.random" in line
    assert findings.broken == [] and str(np.random.get_state()) == before


def test_an_episode_without_an_end_and_lost_precision_may_surprise():
    assert any("did not end" in line for line in examine(f"{MODULE}:Endless-v0", {}).surprises)
    assert examine(f"{MODULE}:Precise-v0", {}).surprises == [
        "Precise-v0: observations of float64 are read as float32, which keeps 7 digits"
    ]


def test_no_scale_is_proposed_since_a_run_finds_its_own():
    """Random episodes of CliffWalking lose thousands; Acrobot turns at up to 28 rad/s."""
    for env, env_args in (("CliffWalking-v1", {"max_episode_steps": 100}), ("Acrobot-v1", {})):
        assert not any("scale" in option for option in examine(env, env_args).options)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_an_environment_with_actions_of_every_kind_is_tried_with_its_own_and_allowed_ones(name):
    """It would raise at any other."""
    case = CASES[name]
    found = examine(case["env"], parsed_arguments(case["env_arg"]))
    assert found.broken == found.surprises == [] and found.facts["an agent takes"]
