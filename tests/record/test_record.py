"""The record: the same run has the same record, whatever else is logged, saved and evaluated."""

import json
import os

import pytest
import torch

import envs
from rl.acting.evaluate import evaluate
from rl.acting.randomness import environment_seeds, evaluation_key, training_key
from rl.record.files import write_json
from rl.record.keys import Evaluation, row_as_keys
from rl.record.record import keep_rows
from rl.running import row_writer
from rl.running.evaluations import INTERVAL_EPISODES
from rl.running.run import new_run
from rl.shared.rows import Row
from tests.support.bits import assert_bit_equal
from tests.support.configs import cartpole_config
from tests.support.runs import SERIAL, TIMES, read_rows, train

SMALL = {**SERIAL, "total_env_steps": 3200, "log_interval": 320}  # 100 updates, 10 rows
EVALUATIONS = ("eval/episodic_return", "eval/episodic_return_sampled")
EVALUATED = (*EVALUATIONS, "eval/global_step", "eval/cpu_seconds")


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    return train(tmp_path_factory.mktemp("run") / "usual", small=SMALL)


def test_the_same_seed_has_the_same_record_and_the_same_parameters_with_two_workers(tmp_path):
    """ray-project/ray#18245, ikostrikov/pytorch-a2c-ppo-acktr-gail#237: same seed, other result. Two evaluations
    fall into the run: the workers wait until each was played."""
    options = {"mode": "sync", "workers": 2, "eval_interval": 1600, "interval_episodes": 4}
    first, again = (train(tmp_path / name, small=SMALL, **options) for name in ("first", "again"))
    assert first.rows == again.rows and len(first.rows) == 10
    assert [row["global_step"] for row in first.rows if EVALUATIONS[0] in row] == [1600, 3200]
    assert_bit_equal(first.learnt, again.learnt)
    for key in ("eval_greedy", "eval_sampled", "mean_return", "updates", "staleness"):
        assert first.summary[key] == again.summary[key]
    assert set(TIMES) <= set().union(*read_rows(tmp_path / "first"))  # they were there to be left out


def test_another_seed_has_another_record(tmp_path, usual):
    other = train(tmp_path / "second", small=SMALL, seed=2)
    assert all(row != row_of_other for row, row_of_other in zip(usual.rows, other.rows, strict=True))
    assert not torch.equal(usual.learnt["parameters"], other.learnt["parameters"])


def test_how_often_is_logged_saved_and_evaluated_changes_no_training_number(tmp_path, usual):
    other = train(tmp_path / "other", small=SMALL, log_interval=32, checkpoint_interval=32, eval_episodes=5)
    assert len(usual.rows) == 10 and len(other.rows) == 100
    assert_bit_equal(usual.learnt, other.learnt)
    assert usual.summary["mean_return"] == other.summary["mean_return"]
    for number, row in enumerate(usual.rows):  # ten rows of one update each make one of ten
        parts = other.rows[10 * number : 10 * number + 10]
        assert row["losses/entropy"] == pytest.approx(sum(part["losses/entropy"] for part in parts) / 10)
        assert row["charts/episodes"] == sum(part["charts/episodes"] for part in parts)


@pytest.mark.parametrize("algorithm", ["a2c", pytest.param("q_replay", marks=pytest.mark.slow)])
def test_evaluations_in_training_change_no_number_of_it(tmp_path, algorithm):
    """Every 640 env steps, in the rows that pass 640, 1280, ...; all else is bit for bit what it is without them."""
    options = {"algorithm": algorithm, "replay_warm_up": 64, "sequence_length": 8, "replay_capacity": 3200}
    without = train(tmp_path / "without", small=SMALL, **options)
    evaluated = train(tmp_path / "evaluated", small=SMALL, eval_interval=640, interval_episodes=3, **options)
    assert_bit_equal(without.learnt, evaluated.learnt)
    found = [row["global_step"] for row in evaluated.rows if set(EVALUATIONS) <= row.keys()]
    assert found == [640, 1280, 1920, 2560, 3200]
    assert [{k: v for k, v in row.items() if k not in EVALUATED} for row in evaluated.rows] == without.rows
    for key in ("eval_greedy", "eval_sampled", "mean_return", "updates"):
        assert without.summary[key] == evaluated.summary[key]


def test_an_evaluation_in_training_is_of_the_parameters_of_that_row_on_the_same_episodes_each_time(tmp_path):
    """Played here again, by an agent with the parameters that the run had then; greedy first, then sampled."""
    config = cartpole_config(**SMALL, eval_interval=1280, interval_episodes=4, run_dir=str(tmp_path / "run"))
    run, kept = new_run(config, envs.make_vector), []
    run.execute(print, lambda row: kept.append((row, run.setup.learner.parameters.clone())))
    played = [(row, parameters) for row, parameters in kept if EVALUATIONS[0] in row]
    assert [row["global_step"] for row, _ in played] == [1280, 2560]
    for row, parameters in played:
        run.setup.agent.load(parameters)
        for key, greedy in zip(EVALUATIONS, (True, False), strict=True):
            returns = evaluate(
                run.setup.agent.agent, config, envs.make_vector, 4, greedy, seed=config.seed, offset=INTERVAL_EPISODES
            )
            assert row[key] == returns.mean()
        assert row["eval/global_step"] == row["global_step"]
    assert played[0][0][EVALUATIONS[1]] != played[1][0][EVALUATIONS[1]]


@pytest.mark.slow
def test_evaluations_in_a_sync_run_are_those_of_the_serial_one(tmp_path):
    """Of the parameters of their row, so that the record repeats: workers wait, and go on when it was played; one falls
    into each of the ten rows."""
    options = {"eval_interval": 320, "interval_episodes": 4}
    one, sync = (train(tmp_path / mode, small=SMALL, mode=mode, **options) for mode in ("serial", "sync"))
    assert one.rows == sync.rows
    assert all(EVALUATIONS[0] in row for row in one.rows) and len({row[EVALUATIONS[1]] for row in one.rows}) > 3


@pytest.mark.slow
def test_an_evaluation_in_training_does_not_disturb_the_one_that_confirms_a_crossing(tmp_path):
    """Both are due at the crossing, at 800 env steps, and asynchronous workers go on meanwhile: the parameters that
    confirm must be those of the crossing to the end."""
    config = cartpole_config(
        **{
            **SMALL,
            "env": "tests.support.faulty_envs:Easy-v0",
            "log_interval": 32,
            "eval_interval": 32,
            "interval_episodes": 1,
            "run_dir": str(tmp_path / "run"),
        }
    )
    run = new_run(config, envs.make_vector)
    setup, evaluation, seen = run.setup, run.duties.rows.evaluation, []

    def noting(*arguments):
        parameters = setup.learner.parameters
        parameters += 1.0  # as workers that go on do
        found = evaluation(*arguments)
        parameters -= 1.0
        if setup.ledger.crossings.pending:
            seen.append(torch.equal(setup.agent.parameters, torch.from_numpy(setup.memory.candidate.parameters)))
        return found

    run.duties.rows.evaluation = noting
    assert run.execute(print)["solved"]
    assert seen and all(seen)


@pytest.mark.parametrize("fault", ["raises", "exits", "nan_observation"])
def test_a_fault_in_an_evaluation_in_training_ends_the_run_in_order_and_no_row_is_lost(tmp_path, monkeypatch, fault):
    """Without processes the environment fails at step 408 of this one: it is tried out for 8, training takes 320 to the
    first row, and the evaluation of 20 episodes of 8 steps comes next."""
    monkeypatch.setattr("tests.support.faulty_envs.steps_of_this_process", 0, raising=False)
    options = {
        "env": "tests.support.faulty_envs:Faulty-v0",
        "env_arg": (f"fault={fault}", "process=MainProcess", "at=408"),
        "eval_interval": 320,
        "interval_episodes": 20,
    }
    said = []
    run = new_run(cartpole_config(**{**SMALL, **options, "run_dir": str(tmp_path / "run")}), envs.make_vector)
    summary, rows = run.execute(said.append), read_rows(tmp_path / "run")
    assert summary["exit_code"] == 1 and summary["exit_reason"].startswith("the run failed: ") and len(said) == 1
    assert rows[0]["global_step"] == 320 and rows[-1]["global_step"] == summary["env_steps"]
    assert EVALUATIONS[0] not in rows[0]


def test_a_worker_that_fails_cuts_an_evaluation_in_training_short(tmp_path):
    """Asked at every step, so that a run with a dead worker does not first finish what takes long."""
    config = cartpole_config(**SMALL, eval_interval=320, run_dir=str(tmp_path / "run"))
    rows, asked = new_run(config, envs.make_vector).duties.rows, []

    def failed():
        asked.append(True)
        return len(asked) == 3

    assert rows.evaluation(failed) is None and len(asked) >= 3
    assert rows.evaluation(lambda: False).greedy > 0


def test_a_signal_cuts_an_evaluation_in_training_short(tmp_path):
    """It comes with the row of 320 env steps; an evaluation is due at 352, which is the end of the last row."""
    config = cartpole_config(**SMALL, eval_interval=352, run_dir=str(tmp_path / "run"))
    run = new_run(config, envs.make_vector)
    summary = run.execute(print, lambda row: run.outcome.note_signal(15) if row["global_step"] == 320 else None)
    rows = read_rows(tmp_path / "run")
    assert summary["exit_code"] == 143 and run.setup.ledger.evaluates(320, 352)
    assert [row["global_step"] for row in rows] == [320, 352] and EVALUATIONS[0] not in rows[1]


def test_after_a_fault_nothing_is_evaluated_any_more(tmp_path, monkeypatch):
    config = cartpole_config(**SMALL, eval_interval=352, run_dir=str(tmp_path / "run"))
    run, evaluated = new_run(config, envs.make_vector), []
    monkeypatch.setattr(row_writer, "evaluate_newest", lambda *_: evaluated.append(1))
    summary = run.execute(print, lambda row: run.outcome.fail("enough"))
    assert (summary["exit_code"], summary["exit_reason"]) == (1, "enough")
    assert [row["global_step"] for row in read_rows(tmp_path / "run")] == [320, 352]
    assert run.setup.ledger.evaluates(320, 352) and evaluated == []


def test_the_keys_of_a_row_are_those_of_its_algorithm():
    """What tells of replay and of updates has a place of its own, all else is a loss; an evaluation comes last."""
    losses = {"td_loss": 1.0, "q_values": 2.0, "state_age": 3.0, "staleness": 4.0, "learning_rate": 5.0}
    row = Row(640, 8.0, 7.0, 320, 2.0, 6, losses, 2, 9.0, 10.0, {"success": 0.5})
    assert row_as_keys(row, Evaluation(600, 6.5, 11.0, 12.0), 13) == {
        "global_step": 640,
        "time/seconds": 8.0,
        "time/cpu_seconds": 7.0,
        "charts/SPS": 160.0,
        "charts/episodes": 2,
        "info/success": 0.5,
        "losses/td_loss": 1.0,
        "losses/q_values": 2.0,
        "replay/state_age": 3.0,
        "worker/staleness": 4.0,
        "charts/learning_rate": 5.0,
        "losses/updates": 6,
        "charts/episodic_return": 9.0,
        "charts/episodic_length": 10.0,
        "eval/global_step": 600,
        "eval/cpu_seconds": 6.5,
        "eval/episodic_return": 11.0,
        "eval/episodic_return_sampled": 12.0,
        "worker/restarts": 13,
    }


def test_no_two_environments_share_a_seed_and_evaluation_shares_none_with_training():
    """hill-a/stable-baselines#79: identical environments in all workers."""
    keys = [training_key(0), training_key(32), training_key(1_500_000), evaluation_key()]
    seeds = [seed for key in keys for seed in environment_seeds(1, key, range(512))]
    seeds += environment_seeds(2, training_key(0), range(512))
    assert len(set(seeds)) == 5 * 512
    environments = envs.make_vector("MaskedVelocityCartPole-v1", 1024)
    first, _ = environments.reset(seed=seeds[:512] + seeds[3 * 512 : 4 * 512])
    assert len({observation.tobytes() for observation in first}) == 1024
    # the second worker's 256 environments are the run's environments 256 to 511
    assert environment_seeds(1, training_key(0), range(256, 512)) == seeds[256:512]


def test_lengths_of_ended_episodes_and_of_open_ones_add_up_to_the_env_steps(tmp_path):
    """4 environments whose episodes last 8 steps each, 100 segments of 8: 400 episodes and none left open."""
    _, summary, rows, _ = train(tmp_path / "run", small=SMALL, env="tests.support.faulty_envs:Faulty-v0")
    assert sum(row["charts/episodes"] for row in rows) == 400
    assert sum(row["charts/episodes"] * row["charts/episodic_length"] for row in rows) == summary["env_steps"] == 3200
    assert all(row["charts/episodic_return"] == 8.0 for row in rows)


def test_an_interval_without_an_episode_has_no_return(tmp_path):
    options = {"env": "tests.support.faulty_envs:Faulty-v0", "env_arg": ("length=100",)}
    rows = train(tmp_path / "run", small=SMALL, **options).rows
    assert all(("charts/episodic_return" in row) == (row["charts/episodes"] > 0) for row in rows)
    assert {row["charts/episodes"] for row in rows} == {0, 4}


def test_a_torn_last_line_and_rows_behind_the_checkpoint_are_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    whole = [json.dumps({"global_step": step, "charts/SPS": 1.0}) + "\n" for step in (100, 200, 300)]
    for torn in ("", "\n", '{"global_step": 1', '{"global_step": 150, "charts/', "nul", "12", "\0\0\0"):
        path.write_text("".join(whole) + torn)
        keep_rows(path, 200)
        assert path.read_text() == whole[0] + whole[1], torn
    path.unlink()
    keep_rows(path, 200)
    assert path.read_text() == ""


def test_a_crash_leaves_a_file_of_the_run_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "summary.json"
    write_json(path, {"env_steps": 1})

    def crash(*_paths):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("os.replace", crash)
        write_json(path, {"env_steps": 2})
    assert json.loads(path.read_text()) == {"env_steps": 1} and os.listdir(tmp_path) == ["summary.json"]
