"""An environment is tried out before anything is started or written, and what may surprise is said first."""

import json
import re

import pytest

import envs
from rl.running.run import new_run
from tests.support.configs import cartpole_config
from tests.support.runs import SERIAL, train

MODULE = "tests.support.broken_envs"


def refusal(folder, **options):
    """The line with which a run is refused; nothing was written."""
    with pytest.raises(ValueError) as error:
        new_run(cartpole_config(**{**SERIAL, **options, "run_dir": str(folder / "run")}), envs.make_vector)
    line = str(error.value)
    assert "\n" not in line and not list(folder.iterdir())
    return line


@pytest.mark.parametrize(
    ("how", "line"),
    [
        ("four values", "step gave something else (not enough values to unpack (expected 5, got 4)); five"),
        ("reset without info", "reset gave [ 0.5 -0.5]; two values are needed: observation, info"),
        ("raises", "its step raised RuntimeError: the rope tore (broken_envs.py, line "),
        ("close", "its close raised RuntimeError: the door is stuck (broken_envs.py, line "),
        ("info", "step gave the info None; a dict is needed"),
    ],
)
def test_a_broken_contract_is_found_before_anything_starts_in_one_line(tmp_path, how, line):
    """DLR-RM/stable-baselines3#1400: a bare error of NumPy from a worker, and a run folder left behind."""
    env = f"{MODULE}:Broken-v0"
    assert refusal(tmp_path, env=env, env_arg=(f"how={how}",)).startswith(f"--env {env}: {line}")


def test_what_breaks_at_the_end_of_an_episode_is_found_too(tmp_path):
    given = ("how=final observation", "value=7", "length=30")
    assert "step gave 7, which is not in Box" in refusal(tmp_path, env=f"{MODULE}:Broken-v0", env_arg=given)


def test_a_vector_form_of_columns_that_is_none_of_ours_is_tried_out(tmp_path):
    given = ("how=observation", "at=3")
    line = refusal(tmp_path, env=f"{MODULE}:BrokenColumns-v0", env_arg=given)
    assert "BrokenColumns-v0: step gave [nan], which is not in Box(0.0, 1.0, (1,), float32)" in line


def test_the_forms_of_this_package_are_not_tried_out(tmp_path, monkeypatch):
    """Start-up of the default costs nothing more."""
    from envs.memory.recall_cue import RecallCueVectorEnv

    monkeypatch.setattr(RecallCueVectorEnv, "step", None)
    new_run(cartpole_config(**SERIAL, env="RecallCue-v0", run_dir=str(tmp_path / "run")), envs.make_vector)


def test_an_environment_that_breaks_its_contract_later_ends_the_run_in_one_line(tmp_path):
    """The 61st step of one of four environments; the probe takes 8."""
    given = ("how=observation", "value=7", "at=60")
    config = cartpole_config(**SERIAL, env=f"{MODULE}:Broken-v0", env_arg=given, run_dir=str(tmp_path / "run"))
    said = []
    summary = new_run(config, envs.make_vector).execute(said.append)
    assert summary["exit_code"] == 1 and summary["env_steps"] == 4 * 56
    [line] = said
    assert line.startswith("the run failed: Broken-v0: step gave 7, which is not in Box(-1.0, 1.0, (2,), float32)")
    assert summary["exit_reason"] == line and "\n" not in line


@pytest.mark.parametrize("env", [f"{MODULE}:Broken-v0", f"{MODULE}:BrokenColumns-v0"])
def test_a_nan_reward_ends_a_run_whose_replay_buffer_warms_up(tmp_path, monkeypatch, env):
    """huggingface/transformers#24847. Nothing is learnt yet, so no loss would tell. The second is not checked after its
    first 1000 steps."""
    monkeypatch.setattr("envs.vector.adapter.CHECKED_STEPS", 1)
    value = () if "Columns" in env else ("value=1e999",)
    options = {
        **SERIAL,
        "algorithm": "q_replay",
        "replay_capacity": 2000,
        "replay_warm_up": 2000,
        "total_env_steps": 1000,
        "env": env,
        "env_arg": ("how=reward", f"at={8 if 'Columns' in env else 60}", *value),
    }
    if "Columns" in env:
        monkeypatch.setattr("rl.running.setup.try_out", lambda config, probe: ())
    said = []
    run = new_run(cartpole_config(**options, run_dir=str(tmp_path / "run")), envs.make_vector)
    summary = run.execute(said.append)
    assert summary["exit_code"] == 1 and summary["updates"] == 0 and summary["env_steps"] < 1000
    assert len(said) == 1 and ("reward inf" in said[0] or "gave nan in the reward of a step" in said[0])


def test_precision_that_is_lost_is_said_when_the_run_begins(tmp_path):
    """CMBSciPol/furax#145"""
    said = train(tmp_path / "run", env=f"{MODULE}:Precise-v0", total_env_steps=64).said
    assert said == ["Precise-v0: observations of float64 are read as float32, which keeps 7 digits"]


def test_episodes_that_never_end_are_said_at_the_start_bounded_in_evaluations_and_counted_at_the_end(tmp_path):
    """hill-a/stable-baselines#876, takuseno/d3rlpy#209: half a second of training, then minutes of silence."""
    config = cartpole_config(
        **SERIAL, env=f"{MODULE}:Endless-v0", total_env_steps=64, eval_max_steps=50, run_dir=str(tmp_path / "run")
    )
    run, told, said = new_run(config, envs.make_vector), [], []
    summary = run.execute(said.append, on_evaluation=lambda *numbers: told.append(numbers))
    assert re.sub(r"of \d+ random", "of N random", said[0]) == (
        f"{MODULE}:Endless-v0 has no time limit, and an episode of N random steps did not end: --env-arg "
        "max_episode_steps=N sets one; evaluations cut an episode after 50 steps (--eval-max-steps)"
    )
    assert said[1:] == [
        "4 of 4 evaluated episodes had not ended after 50 steps (--eval-max-steps) and count with what they had earned "
        "until then",
        "no episode ended in 64 env steps of training, which are 16 in each environment, so its returns are "
        "unknown; more --total-env-steps or a time limit (--env-arg max_episode_steps=N) would end some",
    ]
    assert summary["eval_greedy"] == summary["eval_sampled"] == 50 and summary["eval_cut"] == 4
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["eval_cut"] == 4
    assert told == [(0, 2, step) for _ in "gs" for step in range(51)]


def test_a_time_limit_leaves_nothing_to_say(tmp_path):
    trained = train(tmp_path / "run", env=f"{MODULE}:Endless-v0", env_arg=("max_episode_steps=10",), total_env_steps=64)
    assert trained.said == [] and trained.summary["eval_cut"] == 0


# --- the threshold


@pytest.mark.parametrize("options", [{"env": "CliffWalking-v1"}, {"env": f"{MODULE}:Broken-v0"}])
def test_a_run_that_is_to_stop_when_solved_needs_a_threshold(tmp_path, options):
    """thu-ml/tianshou#548: it would have trained to its end without a word."""
    line = refusal(tmp_path, stop_when_solved=True, **options)
    assert line == (
        f"--stop-when-solved True: {options['env']} registers no reward threshold that can be reached, so the run "
        "would not end by it; --reward-threshold X sets one, or leave it out"
    )


def test_a_threshold_of_ones_own_decides_and_is_recorded(tmp_path):
    """Each episode of 5 steps is worth 5."""
    trained = train(
        tmp_path / "run",
        env=f"{MODULE}:Broken-v0",
        reward_threshold=4.5,
        stop_when_solved=True,
        total_env_steps=4000,
        log_interval=400,
    )
    assert trained.summary["exit_reason"] == "solved" and trained.summary["mean_return"] == 5
    description = json.loads((tmp_path / "run" / "config.json").read_text())
    assert description["reward_threshold"] == description["config"]["reward_threshold"] == 4.5


def test_a_threshold_of_ones_own_takes_the_place_of_the_registered_one(tmp_path):
    run = new_run(cartpole_config(**SERIAL, reward_threshold=1.0, run_dir=str(tmp_path / "run")), envs.make_vector)
    assert run.setup.reward_threshold == run.duties.verdicts.threshold == run.setup.ledger.crossings.threshold == 1.0
