"""Overrides that an experiment puts in the place of rl's own: workers use them, or they are refused."""

import multiprocessing
import re

import pytest

import envs
from rl.loop import NO_OVERRIDES, Overrides
from rl.parameters.learner import Learner
from rl.record.checkpoint import load_checkpoint, save_checkpoint
from rl.running.run import new_run, resumed_run
from tests.support.configs import cartpole_config
from tests.support.runs import TINY

SMALL = {**TINY, "env": "CartPole-v1", "total_env_steps": 640, "log_interval": 64, "reward_scale": 1.0}


def two_above(segment, values, config):
    """Targets 2 above the values: the value loss is 4, before and after any update."""
    assert config.reward_scale == 1.0 and segment.rewards.shape == values[:-1].shape
    return values[:-1] + 2.0


class Idle(Learner):
    """Enters every push in the ledger as 7 versions old, and never moves a parameter."""

    def _apply(self, gradient, norm, env_steps, losses, episodes, cpu_seconds, tally):
        numbers = {**losses, "grad_norm": norm, "staleness": 7, "learning_rate": 0.25}
        self.ledger.record(env_steps, numbers, episodes, cpu_seconds)


def make_idle_learner(config, memory, rank):
    return Idle(config, memory, rank)


def train(folder, overrides, **options):
    """Train a run to its end; returns its rows, its summary, and how far its parameters moved."""
    config = cartpole_config(**{**SMALL, **options, "run_dir": str(folder)})
    run = new_run(config, envs.make_vector, overrides)
    before, rows = run.setup.learner.parameters.clone(), []
    summary = run.execute(print, rows.append)
    assert summary["exit_code"] == 0 and summary["env_steps"] >= 640
    return rows, summary, (run.setup.learner.parameters - before).abs().max().item()


SERIAL = {"mode": "serial", "workers": 1}


def test_without_overrides_losses_are_others_and_parameters_move(tmp_path):
    """So what the tests below see comes from the overrides."""
    assert tuple(NO_OVERRIDES) == (None, None, None)
    rows, summary, moved = train(tmp_path / "run", NO_OVERRIDES, **SERIAL)
    assert all(abs(row["losses/value_loss"] - 4.0) > 1e-3 for row in rows)
    assert moved > 1e-3 and summary["staleness"] == [20]


@pytest.mark.parametrize("unroll", ["recorded", "again"])
def test_a_serial_run_learns_the_targets_of_an_experiment(tmp_path, unroll):
    rows, _, moved = train(tmp_path / "run", Overrides(targets=two_above), unroll=unroll, **SERIAL)
    assert [row["losses/value_loss"] for row in rows] == pytest.approx([4.0] * 10, abs=1e-5)
    assert moved > 1e-3  # by rl's own learner


def test_a_serial_run_pushes_to_the_learner_of_an_experiment(tmp_path):
    rows, summary, moved = train(tmp_path / "run", Overrides(make_learner=make_idle_learner), **SERIAL)
    assert moved == 0.0 and summary["staleness"] == [0] * 7 + [20]
    assert [row["worker/staleness"] for row in rows] == [7.0] * 10
    assert all(row["charts/learning_rate"] == 0.25 for row in rows)
    assert all(abs(row["losses/value_loss"] - 4.0) > 1e-3 for row in rows)  # of rl's own targets


def test_workers_use_targets_and_learner_of_an_experiment(tmp_path):
    rows, summary, moved = train(tmp_path / "run", Overrides(two_above, make_idle_learner), mode="async", workers=2)
    assert [row["losses/value_loss"] for row in rows] == pytest.approx([4.0] * len(rows), abs=1e-5)
    assert moved == 0.0 and summary["staleness"] == [0] * 7 + [summary["updates"]]
    assert summary["updates"] >= 20 and multiprocessing.active_children() == []


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("name", ["targets", "make_learner"])
def test_an_override_that_workers_cannot_import_is_refused_in_one_line_before_anything_is_started(tmp_path, mode, name):
    config = cartpole_config(**SMALL, mode=mode, run_dir=str(tmp_path / "run"))
    with pytest.raises(ValueError) as error:
        new_run(config, envs.make_vector, Overrides(**{name: lambda *_: None}))
    line = rf"{name} <function .*<lambda>.*>: a top-level function is needed, since workers import it \(.*\)"
    assert re.fullmatch(line, str(error.value))  # a dot is no line break
    assert multiprocessing.active_children() == [] and list(tmp_path.iterdir()) == []


def test_in_serial_mode_an_override_may_be_any_function(tmp_path):
    rows, _, _ = train(tmp_path / "run", Overrides(targets=lambda segment, values, config: values[:-1] + 3.0), **SERIAL)
    assert [row["losses/value_loss"] for row in rows] == pytest.approx([9.0] * 10, abs=1e-5)


def test_a_run_that_learnt_with_overrides_is_resumed_with_them_only(tmp_path):
    """Without them it would silently become another experiment."""
    folder = tmp_path / "run"
    train(folder, Overrides(targets=two_above), **SERIAL)
    longer = cartpole_config(**{**SMALL, **SERIAL, "run_dir": str(folder), "total_env_steps": 1280})
    _, state = load_checkpoint(folder / "checkpoint.pt")
    save_checkpoint(folder / "checkpoint.pt", longer, {k: v for k, v in state.items() if k not in ("config", "format")})
    for others in (NO_OVERRIDES, Overrides(make_learner=make_idle_learner)):
        line = f"--resume {folder}: it learns with targets of an experiment, which alone can go on with it"
        with pytest.raises(ValueError, match=re.escape(line) + "$"):
            resumed_run(folder, envs.make_vector, others)
    rows = []
    resumed_run(folder, envs.make_vector, Overrides(targets=two_above)).execute(print, rows.append)
    assert len(rows) == 10 and all(row["losses/value_loss"] == pytest.approx(4.0, abs=1e-5) for row in rows)
