"""Runs that go on as people want: for longer, with other options, from parameters alone, from the best evaluation."""

import json
import re
import signal
import sys

import pytest
import torch

import envs
from experiments import train as command_line
from experiments.lab.display import show_summary
from rl.record.checkpoint import best, load_checkpoint
from rl.running.run import new_run, resumed_run
from tests.support.bits import assert_bit_equal
from tests.support.configs import cartpole_config
from tests.support.runs import SERIAL, untimed

SMALL = {**SERIAL, "hidden_size": 4, "torso_size": 4, "total_env_steps": 480, "log_interval": 96}
RATE = 3e-3


def started(folder, **options):
    return new_run(cartpole_config(**{**SMALL, **options, "run_dir": str(folder)}), envs.make_vector)


def ended(run, on_row=lambda _row: None):
    """Execute a run that is to end well; what it said."""
    said = []
    assert run.execute(said.append, on_row)["exit_code"] == 0, said
    return said


def longer(folder, env_steps=960, warm_restart=False, **changes):
    return resumed_run(
        folder, envs.make_vector, changes={"total_env_steps": env_steps, **changes}, warm_restart=warm_restart
    )


def description(folder):
    return json.loads((folder / "config.json").read_text())


# --- for longer


def test_a_complete_run_that_is_trained_for_longer_is_the_one_that_was_to_be_as_long(tmp_path):
    options = {"anneal_learning_rate": False}
    ended(started(tmp_path / "whole", **options, total_env_steps=960))
    ended(started(tmp_path / "parts", **options))
    said = ended(longer(tmp_path / "parts"))
    assert said == ["going on from 480 env steps, bit by bit; --total-env-steps 960 (was 480); the learning rate was "
                    "0.003; it goes on at 0.003 and stays there"]  # fmt: skip
    assert_bit_equal(untimed(tmp_path / "whole"), untimed(tmp_path / "parts"))
    states = [load_checkpoint(tmp_path / name / "checkpoint.pt")[1]["learner"] for name in ("whole", "parts")]
    assert_bit_equal(*states)


@pytest.mark.parametrize(
    ("warm_restart", "first"), [(False, 1 - 512 / 960), pytest.param(True, 1 - 32 / 480, marks=pytest.mark.slow)]
)
def test_its_learning_rate_goes_on_on_the_line_to_the_new_end_or_begins_anew(tmp_path, warm_restart, first):
    """A row has three updates, at 480, 512 and 544 env steps: their mean is that of the second."""
    ended(started(tmp_path))
    [line] = ended(longer(tmp_path, warm_restart=warm_restart))
    rates = {row["global_step"]: row["charts/learning_rate"] for row in untimed(tmp_path)}
    assert rates[96] == pytest.approx(RATE * (1 - 32 / 480)) and rates[576] == pytest.approx(RATE * first)
    now = "0.003" if warm_restart else "0.0015"
    assert f"the learning rate was 0; it goes on at {now} and falls to 0 at 960 env steps" in line
    assert ("--anneal-from 480 (was 0)" in line) == warm_restart


def test_a_complete_run_says_which_option_trains_it_for_longer(tmp_path):
    ended(started(tmp_path))
    with pytest.raises(ValueError, match=r"the run is complete, at 480 env steps; a larger --total-env-steps trains"):
        resumed_run(tmp_path, envs.make_vector)
    with pytest.raises(ValueError, match=r"the run is complete"):
        longer(tmp_path, 480, learning_rate=1e-3)


# --- with other options


def test_options_that_may_change_are_taken_and_the_run_has_a_part_for_each_time(tmp_path):
    """The second part is killed before anything of it was saved: the third goes on with its options all the same."""
    ended(started(tmp_path))

    def kill(_row):
        raise KeyboardInterrupt  # what no part of a run answers

    with pytest.raises(KeyboardInterrupt):
        longer(tmp_path, learning_rate=1e-3, discount=0.9).execute(lambda _line: None, kill)
    run = resumed_run(tmp_path, envs.make_vector)
    assert (run.setup.config.learning_rate, run.setup.config.discount) == (1e-3, 0.9)
    ended(run)
    written = description(tmp_path)
    assert written["config"]["learning_rate"] == 1e-3 and written["command_line"] == sys.argv
    parts = [(part["env_steps"], part["changed"], part["command_line"]) for part in written["parts"]]
    changed = {"total_env_steps": [480, 960], "learning_rate": [RATE, 1e-3], "discount": [0.99, 0.9]}
    assert parts == [(0, {}, sys.argv), (480, changed, sys.argv), (480, {}, sys.argv)]
    assert [row["global_step"] for row in untimed(tmp_path)] == [96 * number for number in range(1, 11)]


@pytest.mark.parametrize(
    ("name", "value"),
    [("hidden_size", 8), ("env", "CartPole-v1"), ("workers", 2), ("seed", 2), ("mode", "async"), ("init_from", "x")],
)
def test_an_option_that_cannot_change_is_one_line(tmp_path, name, value):
    ended(started(tmp_path))
    option = f"--{name.replace('_', '-')} {value}: a run keeps it, "
    with pytest.raises(ValueError, match=rf"^{option}.* here; start a new run$"):
        longer(tmp_path, **{name: value})


def test_the_command_line_takes_such_options_with_resume(tmp_path, monkeypatch):
    ended(started(tmp_path))

    def run_of(*words):
        monkeypatch.setattr(sys, "argv", ["train", "--resume", str(tmp_path), *words])
        return command_line.run_of(command_line.command(), 0)

    run = run_of("--total-env-steps", "960", "--learning-rate=0.001", "--warm-restart")
    config, saved = run.setup.config, cartpole_config(**{**SMALL, "run_dir": str(tmp_path)})
    differing = {name: value for name, value in vars(config).items() if value != getattr(saved, name)}
    assert differing == {"total_env_steps": 960, "learning_rate": 0.001, "anneal_from": 480}
    for words, error in (
        (["--hidden-size=8"], "--hidden-size 8: a run keeps it, 4 here; start a new run"),
        (["--preset=fast"], "--preset fast: a resumed run keeps its own options, leave it out"),
        ([], f"--resume {tmp_path}: the run is complete, at 480 env steps; a larger --total-env-steps trains it for"),
        (["--epsilon-first=0.3"], "--epsilon-first 0.3: --algorithm a2c does not read it"),
    ):
        with pytest.raises(ValueError, match=rf"^{re.escape(error)}"):
            run_of(*words)
    monkeypatch.setattr(sys, "argv", ["train", "--warm-restart"])
    with pytest.raises(ValueError, match=r"^--warm-restart True: it is read with --resume"):
        command_line.command()


def test_a_run_that_was_stopped_prints_the_command_that_goes_on(tmp_path, capsys):
    folder = tmp_path / "a run"
    run = started(folder)
    summary = run.execute(lambda _line: None, lambda _row: run.outcome.note_signal(signal.SIGINT))
    show_summary(folder, summary)
    assert f"go on with: python -m experiments.train --resume '{folder}'\n" in capsys.readouterr().out
    ended(resumed_run(folder, envs.make_vector))
    show_summary(folder, {**summary, "exit_code": 0, "exit_reason": "OSError: [bold] of [/dev/input0]"})
    said = capsys.readouterr().out
    assert "go on with" not in said and "OSError: [bold] of [/dev/input0]" in said


# --- evaluations that are missing


@pytest.mark.parametrize("missing", ["no summary", "no evaluation", "a fault"])
def test_a_complete_run_without_its_evaluations_plays_them(tmp_path, missing):
    """allenai/tango#237: training is complete, what follows it fails, and the run can never be finished."""
    ended(started(tmp_path))
    summary, rows = json.loads((tmp_path / "summary.json").read_text()), untimed(tmp_path)
    learnt = load_checkpoint(tmp_path / "checkpoint.pt")[1]["learner"]
    (tmp_path / "summary.json").unlink()
    if missing != "no summary":
        cut = {"exit_code": 143} if missing == "no evaluation" else {"exit_code": 1}
        (tmp_path / "summary.json").write_text(
            json.dumps({**summary, "eval_greedy": None, "eval_sampled": None, **cut})
        )
    said = ended(resumed_run(tmp_path, envs.make_vector))
    assert said == ["complete at 480 env steps, but for its evaluations, which are played now"]
    again = json.loads((tmp_path / "summary.json").read_text())
    timed = ("startup_seconds", "seconds", "cpu_seconds", "sps")
    assert {**again, **dict.fromkeys(timed)} == {**summary, **dict.fromkeys(timed)}
    assert untimed(tmp_path) == rows
    assert_bit_equal(load_checkpoint(tmp_path / "checkpoint.pt")[1]["learner"], learnt)


def test_so_does_one_that_ended_solved_with_the_parameters_of_its_crossing(tmp_path):
    options = {"env": "tests.support.faulty_envs:Easy-v0", "stop_when_solved": True, "total_env_steps": 48_000}
    ended(started(tmp_path, **options))
    learnt = load_checkpoint(tmp_path / "checkpoint.pt")[1]["learner"]
    (tmp_path / "summary.json").unlink()
    ended(resumed_run(tmp_path, envs.make_vector))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["exit_reason"] == "solved" and summary["eval_greedy"] == 8.0
    assert_bit_equal(load_checkpoint(tmp_path / "checkpoint.pt")[1]["learner"], learnt)
    with pytest.raises(
        ValueError, match=r"the run is complete, at .*; it stopped because it was solved; --no-stop-when-solved"
    ):
        resumed_run(tmp_path, envs.make_vector)


# --- from parameters alone


def test_a_new_run_begins_with_the_parameters_of_another_and_with_nothing_else(tmp_path):
    ended(started(tmp_path / "first"))
    learnt = load_checkpoint(tmp_path / "first" / "checkpoint.pt")[1]["learner"]
    run = started(tmp_path / "second", init_from=str(tmp_path / "first"), env_arg=("max_episode_steps=20",), seed=2)
    vectors = run.setup.learner.vectors
    assert torch.equal(vectors["parameters"], learnt["parameters"]) and vectors["step"] == 0
    assert not vectors["moment1"].any() and run.setup.ledger.env_steps == 0
    ended(run)
    assert description(tmp_path / "second")["config"]["init_from"] == str(tmp_path / "first")
    (tmp_path / "first" / "checkpoint.pt").unlink()
    ended(longer(tmp_path / "second"))  # it has parameters of its own


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hidden_size": 8}, "its network has --hidden-size 4, not 8; the same network is needed"),
        ({"core": "gru"}, "its network has --core lstm, not gru; the same network is needed"),
        ({"frame_stack": 2}, r"its network has \d+ parameters, and with the spaces of .* an environment of the same"),
        ({"env": "Acrobot-v1"}, r"its network has \d+ parameters, and with the spaces of Acrobot-v1 it would have"),
        ({"algorithm": "q_online"}, "its heads are read as --algorithm a2c reads them, q_online reads them otherwise"),
        ({"init_from": "nowhere"}, "nowhere/checkpoint.pt: no checkpoint here"),
    ],
    ids=str,
)
def test_parameters_that_do_not_fit_are_one_line_and_nothing_is_written(tmp_path, options, words):
    ended(started(tmp_path / "first"))
    with pytest.raises(ValueError, match=rf"^--init-from [^ ]*: {words}"):
        started(tmp_path / "second", **{"init_from": str(tmp_path / "first"), **options})
    assert not (tmp_path / "second").exists()


# --- the best


def test_the_parameters_of_the_best_greedy_evaluation_are_kept(tmp_path, monkeypatch):
    """Evaluations in training are worth 3, 5, 4, those at the end 2: the second stays, also when the run goes on."""
    worth, played = iter([3.0, 5.0, 4.0, 2.0, 1.0, 0.5, 6.0]), []

    def mean_return(setup, agent, episodes, greedy, offset, stop):
        if greedy:
            played.append((next(worth), agent.parameters.clone()))
        return played[-1][0]

    monkeypatch.setattr("rl.running.evaluations.mean_return", mean_return)
    monkeypatch.setattr("rl.running.summary.mean_return", mean_return)
    ended(started(tmp_path, eval_interval=160, keep_best=True, log_interval=32))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [one for one, _ in played] == [3.0, 5.0, 4.0, 2.0]
    assert (summary["best_eval_greedy"], summary["best_at_env_steps"]) == (5.0, 320)
    path = best(tmp_path / "checkpoint.pt")
    config, state = load_checkpoint(path)
    assert config == cartpole_config(**{**SMALL, "run_dir": str(tmp_path), "eval_interval": 160, "keep_best": True,
                               "log_interval": 32})  # fmt: skip
    assert state["env_steps"] == 320 and torch.equal(state["learner"]["parameters"], played[1][1])
    before = path.read_bytes()
    ended(longer(tmp_path, 640, eval_interval=80))  # 560, 640 and the end: 1, 0.5, 6
    assert path.read_bytes() != before and torch.equal(load_checkpoint(path)[1]["learner"]["parameters"], played[-1][1])
    assert sorted(file.name for file in tmp_path.glob("*best*")) == ["checkpoint.best.pt"]


def test_the_best_needs_evaluations(tmp_path):
    with pytest.raises(ValueError, match=r"^--keep-best True: the best is found by evaluations in training, --eval-i"):
        cartpole_config(keep_best=True)
