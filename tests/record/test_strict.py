"""The record is strict JSON: no reader meets a number that is none."""

import json
import math

import gymnasium
import numpy as np
import pytest
import torch

import envs
from rl.learning.actor_critic import explained_variance
from rl.parameters.sync import weighted_means
from rl.record.files import strict_json, write_json
from rl.running.run import new_run
from tests.support.configs import cartpole_config
from tests.support.faulty_envs import Faulty
from tests.support.runs import SERIAL, read_rows, train


def refuse(word):
    raise AssertionError(f"{word} is no JSON")


def read(path):
    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


class Constant(Faulty):
    """Each episode is one step that is worth 1: returns do not vary."""

    def __init__(self):
        super().__init__(length=1)


gymnasium.register("Constant-v0", Constant, reward_threshold=math.inf)
CONSTANT = {"env": "tests.record.test_strict:Constant-v0", "total_env_steps": 96, "log_interval": 32}


def test_nan_and_infinity_are_null():
    """huggingface/transformers#24847: bare NaN in a file that JSON readers refuse."""
    content = {"a": math.nan, "b": [math.inf, 1.5], "c": {"d": -math.inf}, "e": None, "f": np.float64(math.nan)}
    assert strict_json(content) == '{"a": null, "b": [null, 1.5], "c": {"d": null}, "e": null, "f": null}'


@pytest.mark.parametrize("algorithm", ["a2c", "q_online"])
def test_a_measure_that_is_undefined_is_null_and_so_is_a_threshold_that_is_no_number(tmp_path, algorithm):
    """DLR-RM/stable-baselines3#1942: the explained variance of constant returns was -9e8."""
    train(tmp_path, algorithm=algorithm, **CONSTANT)
    rows = read(tmp_path / "metrics.jsonl")
    assert len(rows) == 3 and all(row["losses/explained_variance"] is None for row in rows)
    assert all(isinstance(value, int | float) for row in rows for key, value in row.items() if "explained" not in key)
    for name in ("config.json", "summary.json"):
        [content] = read_whole(tmp_path / name)
    assert json.loads((tmp_path / "config.json").read_text())["reward_threshold"] is None and content["exit_code"] == 0


def read_whole(path):
    return [json.loads(path.read_text(), parse_constant=refuse)]


def test_the_mean_of_a_row_is_over_the_updates_in_which_a_measure_is_defined(tmp_path):
    """Three updates, of which one has none; a run that goes on counts it once."""
    config = cartpole_config(**{**SERIAL, "log_interval": 96, "run_dir": str(tmp_path)})
    run = new_run(config, envs.make_vector)
    losses = dict.fromkeys(config.algorithm_record.losses, 2.0)
    for explained in (0.5, math.nan, 0.25):
        gradient = torch.zeros(len(run.setup.agent))
        run.setup.learner.push(gradient, 32, {**losses, "explained_variance": explained}, [])
    [row] = run.setup.ledger.rows.closed(0)
    assert row.losses["explained_variance"] == 0.375 and row.losses["policy_loss"] == 2.0 and row.updates == 3


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_explained_variance_is_undefined_where_returns_do_not_vary_but_for_rounding(scale):
    constant = torch.full((32, 32), 0.1 * scale)
    errors = scale * torch.randn(32, 32)
    assert math.isnan(explained_variance(constant, errors))
    assert math.isnan(explained_variance(constant[:1, :1], errors[:1, :1]))
    assert math.isnan(explained_variance(0 * constant, errors))
    rounded = torch.nextafter(constant, torch.where(errors > 0, 1.0, -1.0) * torch.inf)
    assert math.isnan(explained_variance(rounded, errors))
    varying = constant + 0.01 * scale * torch.linspace(-1, 1, 32)
    assert explained_variance(varying, 0 * errors) == 1.0 and explained_variance(varying, errors) < 0


def test_workers_whose_measure_is_undefined_have_no_share_in_the_mean():
    losses = np.array([[1.0, math.nan, math.nan], [3.0, 4.0, math.nan]])
    means = weighted_means(np.array([0.25, 0.75]), losses)
    assert means[:2].tolist() == [2.5, 4.0] and math.isnan(means[2])


def test_a_reward_that_is_no_number_ends_the_run_where_it_is_born_in_one_line(tmp_path, monkeypatch):
    """huggingface/transformers#24847: while a buffer warms up nothing is computed with it; the run ended well."""
    monkeypatch.setattr("tests.support.faulty_envs.steps_of_this_process", 0)
    options = {"algorithm": "q_replay", "replay_capacity": 10_000, "replay_warm_up": 10_000, "total_env_steps": 960}
    env_arg = ("fault=nan_reward", "at=100", "process=MainProcess")
    config = cartpole_config(
        **{**SERIAL, **options, "env": "tests.support.faulty_envs:Faulty-v0", "env_arg": env_arg},
        run_dir=str(tmp_path / "run"),
    )
    said = []
    summary = new_run(config, envs.make_vector).execute(said.append)
    assert summary["exit_code"] == 1 and summary["env_steps"] in (64, 96)
    [line] = said
    assert "nan" in line and "Traceback" not in line and len(line.splitlines()) == 1 and summary["exit_reason"] == line
    assert read(tmp_path / "run" / "metrics.jsonl") == read_rows(tmp_path / "run")
    assert read_whole(tmp_path / "run" / "summary.json") == [summary]


def test_an_evaluation_whose_return_is_no_number_is_a_fault_and_its_place_is_null(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.support.faulty_envs.steps_of_this_process", 0)
    env_arg = ("fault=nan_reward", "at=80", "process=MainProcess")
    config = cartpole_config(
        **{**SERIAL, "env": "tests.support.faulty_envs:Faulty-v0", "env_arg": env_arg, "total_env_steps": 64},
        run_dir=str(tmp_path / "run"),
    )
    said = []
    summary = new_run(config, envs.make_vector).execute(said.append)
    assert summary["exit_code"] == 1 and summary["eval_greedy"] is None and len(said) == 1


def test_a_record_from_before_undefined_measures_goes_on(tmp_path):
    """Closed rows that were not written had fewer columns."""
    config = cartpole_config(**{**SERIAL, "log_interval": 32, "total_env_steps": 320, "run_dir": str(tmp_path)})
    run = new_run(config, envs.make_vector)
    losses = dict.fromkeys(config.algorithm_record.losses, 2.0)
    run.setup.learner.push(torch.zeros(len(run.setup.agent)), 32, losses, [])
    state = run.setup.ledger.state()
    count = len(run.setup.ledger.rows.losses)
    state["rows"] = [row[:-count] for row in state["rows"]]
    del state["arrays"]["undefined"]
    other = new_run(config, envs.make_vector)
    other.setup.ledger.load_state(state)
    assert other.setup.ledger.rows.closed(0) == run.setup.ledger.rows.closed(0)


def test_files_are_utf_8(tmp_path):
    write_json(tmp_path / "file.json", {"γ": "λ"})
    assert json.loads((tmp_path / "file.json").read_bytes().decode("utf-8")) == {"γ": "λ"}
