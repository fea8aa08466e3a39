"""--log-info: what an environment says of an episode at its end, averaged into the record."""

import numpy as np
import pytest

import envs
from envs.vector.episode_infos import number, numbers
from rl.running.run import new_run, resumed_run
from tests.support.configs import cartpole_config
from tests.support.info_envs import FORMS
from tests.support.runs import SHORT, finish, read_rows, train, untimed

# Rows of 40 env steps: ten episodes of four steps, five of each of two environments, every second one a success.
OPTIONS = {**SHORT, "env": FORMS[0], "log_info": "success,time.left,late"}


@pytest.mark.parametrize("form", FORMS)
def test_rows_have_the_mean_of_what_each_episodes_last_infos_say(tmp_path, form):
    """thu-ml/tianshou#654, DLR-RM/stable-baselines3#783: infos are there, and no logger takes them. Successes are
    3 of 5, then 2 of 5 episodes of each environment, in turn; six of ten steps' time are left at each episode's end."""
    _, _, rows, said = train(tmp_path / "run", small=OPTIONS, env=form)
    assert [row["info/success"] for row in rows] == [0.6, 0.4] * 5 and said == []
    assert {row["info/time.left"] for row in rows} == {6.0} and {row["charts/episodes"] for row in rows} == {10}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_two_workers_episodes_come_together(tmp_path, mode):
    """Four environments with four episodes in each row of 64 env steps. Asynchronous workers may push once more, and
    one may be ahead."""
    options = {**OPTIONS, "mode": mode, "workers": 2, "log_interval": 64, "total_env_steps": 640}
    rows = train(tmp_path / "run", small=options).rows
    assert 160 <= sum(row["charts/episodes"] for row in rows) <= 164
    successes = sum(row["info/success"] * row["charts/episodes"] for row in rows if row["charts/episodes"])
    assert 78 <= successes <= 84 and {row.get("info/time.left", 6.0) for row in rows} == {6.0}
    assert mode == "async" or {row["info/success"] for row in rows} == {0.5}


def test_the_option_changes_nothing_else_and_without_it_no_infos_are_looked_at(tmp_path):
    with_it, without = (train(tmp_path / f"run {name}", small=OPTIONS, log_info=name) for name in ("success", ""))
    shared = [{key: value for key, value in row.items() if not key.startswith("info/")} for row in with_it.rows]
    assert shared == without.rows and not any(key.startswith("info/") for row in without.rows for key in row)


def test_a_resumed_run_averages_over_the_episodes_before_and_after_it_was_stopped(tmp_path):
    """Stopped at 200 env steps, within the fifth row of 48 env steps, 12 episodes."""
    options = {**OPTIONS, "log_interval": 48, "env": FORMS[2]}  # which tells its state
    whole = train(tmp_path / "whole", small=options)
    run = new_run(cartpole_config(**options, run_dir=str(tmp_path / "stopped")), envs.make_vector)
    run.execute(print, lambda row: run.outcome.note_signal(2) if row["global_step"] == 192 else None)
    before = read_rows(tmp_path / "stopped")
    finish(resumed_run(tmp_path / "stopped", envs.make_vector))
    rows = untimed(tmp_path / "stopped")
    assert [row["info/success"] for row in rows] == [row["info/success"] for row in whole.rows]
    assert len(before) < len(rows)


def test_a_name_that_no_episode_has_is_said_once_and_the_others_are_there(tmp_path):
    """`note` is there and no number."""
    _, _, rows, said = train(tmp_path / "run", small=OPTIONS, log_info="sucess,success,note")
    assert said == ["--log-info sucess,note: none of the first 10 episodes has it as a number"]
    assert all(key in ("info/success",) for row in rows for key in row if key.startswith("info/"))


@pytest.mark.parametrize("text", ["success,", ",", "a,,b", "a,a", " ", "a, b"])
def test_a_list_that_names_nothing_or_something_twice_is_one_line(text):
    with pytest.raises(ValueError, match=r"^--log-info .*: names separated by commas, each once, are needed$"):
        cartpole_config(log_info=text)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, 1.0),
        (np.False_, 0.0),
        (3, 3.0),
        (np.float32(0.5), 0.5),
        (np.array([2]), 2.0),
        (np.array(7), 7.0),
        ("3", np.nan),
        (None, np.nan),
        (np.array([1.0, 2.0]), np.nan),
        ([], np.nan),
        ({}, np.nan),
        (np.inf, np.nan),
        (np.nan, np.nan),
    ],
)
def test_what_counts_as_a_number(value, expected):
    assert np.array_equal(number(value), expected, equal_nan=True)
    assert np.array_equal(numbers({"a": {"b": value}}, ("a.b", "a.c")), (expected, np.nan), equal_nan=True)


def test_an_entry_that_some_columns_of_a_batch_have_is_missing_in_the_others():
    """As Gymnasium's own vector environments say it, with a mask; and as a list of each environment's infos."""
    batch = {"success": np.array([1, 0]), "_success": np.array([False, True])}
    assert np.isnan(numbers(batch, ("success",), 0)).all() and numbers(batch, ("success",), 1) == [0.0]
