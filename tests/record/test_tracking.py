"""The record and its mirror: the same run has the same record, and nothing that W&B does changes the run."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

import envs
from rl.acting.evaluate import evaluate
from rl.acting.randomness import environment_seeds, evaluation_key, training_key
from rl.config import Config
from rl.record import record as tracking
from rl.record.files import write_json
from rl.record.record import keep_rows
from rl.record.wandb_mirror import WandbMirror
from rl.running.run import INTERVAL_EPISODES, new_run, resumed_run
from rl.shared.ledger import Row

ROOT = Path(__file__).parents[2]
TIMES = ("time/seconds", "time/cpu_seconds", "eval/cpu_seconds", "charts/SPS")
SMALL = {
    "mode": "serial",
    "workers": 1,
    "envs_per_worker": 4,
    "segment_length": 8,
    "hidden_size": 8,
    "torso_size": 8,
    "total_env_steps": 3200,
    "log_interval": 320,
    "eval_episodes": 2,
    "wandb": "disabled",
}


def train(folder, **options):
    """A small run: its learner's vectors, its summary, its rows without what tells the time, what it said."""
    said = []
    run = new_run(Config(**{**SMALL, **options, "run_dir": str(folder)}), envs.make_vector)
    summary = run.execute(said.append)
    return run.learner.state(), summary, rows(folder), said


def rows(folder):
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in TIMES} for line in lines]


def assert_bit_equal(first, second):
    for name in first:
        assert torch.equal(first[name], second[name]), name


# --- the record


def test_the_same_seed_has_the_same_record_and_the_same_parameters_with_two_workers(tmp_path):
    """ray-project/ray#18245, ikostrikov/pytorch-a2c-ppo-acktr-gail#237: same seed, other result."""
    options = {"mode": "sync", "workers": 2}
    first, again = (train(tmp_path / name, **options) for name in ("first", "again"))
    assert first[2] == again[2] and len(first[2]) == 10
    assert_bit_equal(first[0], again[0])
    for key in ("eval_greedy", "eval_sampled", "mean_return", "updates", "staleness"):
        assert first[1][key] == again[1][key]
    raw = [json.loads(line) for line in (tmp_path / "first" / "metrics.jsonl").read_text().splitlines()]
    assert all(set(TIMES) - {"eval/cpu_seconds"} < set(row) for row in raw)  # they were there to be left out


def test_another_seed_has_another_record(tmp_path):
    first, second = train(tmp_path / "first", seed=1), train(tmp_path / "second", seed=2)
    assert all(row != row_of_second for row, row_of_second in zip(first[2], second[2], strict=True))
    assert not torch.equal(first[0]["parameters"], second[0]["parameters"])


def test_how_often_is_logged_saved_and_evaluated_changes_no_training_number(tmp_path):
    usual = train(tmp_path / "usual")
    other = train(tmp_path / "other", log_interval=32, checkpoint_interval=32, eval_episodes=5)
    assert len(usual[2]) == 10 and len(other[2]) == 100
    assert_bit_equal(usual[0], other[0])
    assert usual[1]["mean_return"] == other[1]["mean_return"]
    for number, row in enumerate(usual[2]):  # ten rows of one update each make one of ten
        parts = other[2][10 * number : 10 * number + 10]
        assert row["losses/entropy"] == pytest.approx(sum(part["losses/entropy"] for part in parts) / 10)
        assert row["charts/episodes"] == sum(part["charts/episodes"] for part in parts)


EVALUATIONS = ("eval/episodic_return", "eval/episodic_return_sampled")
EVALUATED = (*EVALUATIONS, "eval/global_step", "eval/cpu_seconds")


@pytest.mark.parametrize("algorithm", ["a2c", "q_replay"])
def test_evaluations_in_training_change_no_number_of_it(tmp_path, algorithm):
    """Every 640 env steps, in the rows that pass 640, 1280, ...; all else is bit for bit what it is without them."""
    options = {"algorithm": algorithm, "replay_warm_up": 64, "sequence_length": 8, "replay_capacity": 3200}
    without = train(tmp_path / "without", **options)
    evaluated = train(tmp_path / "evaluated", eval_interval=640, interval_episodes=3, **options)
    assert_bit_equal(without[0], evaluated[0])
    found = [row["global_step"] for row in evaluated[2] if set(EVALUATIONS) <= row.keys()]
    assert found == [640, 1280, 1920, 2560, 3200]
    assert [{k: v for k, v in row.items() if k not in EVALUATED} for row in evaluated[2]] == without[2]
    for key in ("eval_greedy", "eval_sampled", "mean_return", "updates"):
        assert without[1][key] == evaluated[1][key]


def test_an_evaluation_in_training_is_of_the_parameters_of_that_row_on_the_same_episodes_each_time(tmp_path):
    """Played here again, by an agent with the parameters that the run had then; greedy first, then sampled."""
    config = Config(**SMALL, eval_interval=1280, interval_episodes=4, run_dir=str(tmp_path / "run"))
    run, kept = new_run(config, envs.make_vector), []
    run.execute(print, lambda row: kept.append((row, run.learner.parameters.clone())))
    played = [(row, parameters) for row, parameters in kept if EVALUATIONS[0] in row]
    assert [row["global_step"] for row, _ in played] == [1280, 2560]
    for row, parameters in played:
        run.agent.load(parameters)
        for key, greedy in zip(EVALUATIONS, (True, False), strict=True):
            returns = evaluate(
                run.agent.agent, config, envs.make_vector, 4, greedy, seed=config.seed, offset=INTERVAL_EPISODES
            )
            assert row[key] == returns.mean()
        assert row["eval/global_step"] == row["global_step"]
    assert played[0][0][EVALUATIONS[1]] != played[1][0][EVALUATIONS[1]]


def test_evaluations_in_a_sync_run_are_those_of_the_serial_one(tmp_path):
    """Of the parameters of their row, so that the record repeats: workers wait, and go on when it was played; one falls
    into each of the ten rows."""
    options = {"eval_interval": 320, "interval_episodes": 4}
    one, sync = (train(tmp_path / mode, mode=mode, **options) for mode in ("serial", "sync"))
    assert one[2] == sync[2]
    assert all(EVALUATIONS[0] in row for row in one[2]) and len({row[EVALUATIONS[1]] for row in one[2]}) > 3


def test_an_evaluation_in_training_does_not_disturb_the_one_that_confirms_a_crossing(tmp_path):
    """Both are due at the crossing, at 800 env steps, and asynchronous workers go on meanwhile: the parameters that
    confirm must be those of the crossing to the end."""
    config = Config(
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
    evaluate_now, seen = run.evaluate_now, []

    def noting(*arguments):
        parameters = run.learner.parameters
        parameters += 1.0  # as workers that go on do
        found = evaluate_now(*arguments)
        parameters -= 1.0
        if run.ledger.attempt_pending:
            seen.append(torch.equal(run.agent.parameters, torch.from_numpy(run.memory.candidate.parameters)))
        return found

    run.evaluate_now = noting
    assert run.execute(print)["solved"]
    assert seen and all(seen)


@pytest.mark.parametrize("fault", ["raises", "exits", "nan_observation"])
def test_a_fault_in_an_evaluation_in_training_ends_the_run_in_order_and_no_row_is_lost(tmp_path, monkeypatch, fault):
    """Without processes the environment fails at step 400 of this one: training takes 320 to the first row, and the
    evaluation of 20 episodes of 8 steps comes next. A nan there is no fault yet, but will be one of training."""
    monkeypatch.setattr("tests.support.faulty_envs.steps_of_this_process", 0, raising=False)
    env_arg = (f"fault={fault}", "process=MainProcess", "at=400")
    _, summary, record, said = train(
        tmp_path / "run",
        env="tests.support.faulty_envs:Faulty-v0",
        env_arg=env_arg,
        eval_interval=320,
        interval_episodes=20,
    )
    assert summary["exit_code"] == 1 and summary["exit_reason"].startswith("the run failed: ") and len(said) == 1
    assert record[0]["global_step"] == 320 and record[-1]["global_step"] == summary["env_steps"]
    assert (EVALUATIONS[0] in record[0]) == (fault == "nan_observation")


def test_a_worker_that_fails_cuts_an_evaluation_in_training_short(tmp_path):
    """Asked at every step, so that a run with a dead worker does not first finish what takes long."""
    config = Config(**SMALL, eval_interval=320, run_dir=str(tmp_path / "run"))
    run, asked = new_run(config, envs.make_vector), []

    def failed():
        asked.append(True)
        return len(asked) == 3

    assert run.evaluate_now(failed) == {} and len(asked) >= 3
    assert set(run.evaluate_now()) == set(EVALUATED)


def test_a_signal_cuts_an_evaluation_in_training_short(tmp_path):
    """It comes with the row of 320 env steps; an evaluation is due at 352, which is the end of the last row."""
    config = Config(**SMALL, eval_interval=352, run_dir=str(tmp_path / "run"))
    run = new_run(config, envs.make_vector)
    summary = run.execute(print, lambda row: run.note_signal(15) if row["global_step"] == 320 else None)
    record = rows(tmp_path / "run")
    assert summary["exit_code"] == 143 and run.ledger.evaluates(320, 352)
    assert [row["global_step"] for row in record] == [320, 352] and EVALUATIONS[0] not in record[1]


def test_after_a_fault_nothing_is_evaluated_any_more(tmp_path):
    config = Config(**SMALL, eval_interval=352, run_dir=str(tmp_path / "run"))
    run, evaluated = new_run(config, envs.make_vector), []
    run.evaluate_now = lambda *_: evaluated.append(run.rows_read) or {}
    summary = run.execute(print, lambda row: run.fail("enough"))
    assert (summary["exit_code"], summary["exit_reason"]) == (1, "enough")
    assert [row["global_step"] for row in rows(tmp_path / "run")] == [320, 352] and run.ledger.evaluates(320, 352)
    assert evaluated == []


def test_the_keys_of_a_row_are_those_of_its_algorithm():
    """What tells of replay and of updates has a place of its own, all else is a loss; an evaluation comes last."""
    losses = {"td_loss": 1.0, "q_values": 2.0, "state_age": 3.0, "staleness": 4.0, "learning_rate": 5.0}
    row = Row(640, 8.0, 7.0, 320, 2.0, 6, losses, 2, 9.0, 10.0)
    assert tracking.row_as_keys(row) == {
        "global_step": 640,
        "time/seconds": 8.0,
        "time/cpu_seconds": 7.0,
        "charts/SPS": 160.0,
        "charts/episodes": 2,
        "losses/td_loss": 1.0,
        "losses/q_values": 2.0,
        "replay/state_age": 3.0,
        "worker/staleness": 4.0,
        "charts/learning_rate": 5.0,
        "losses/updates": 6,
        "charts/episodic_return": 9.0,
        "charts/episodic_length": 10.0,
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
    _, summary, record, _ = train(tmp_path / "run", env="tests.support.faulty_envs:Faulty-v0")
    assert sum(row["charts/episodes"] for row in record) == 400
    assert sum(row["charts/episodes"] * row["charts/episodic_length"] for row in record) == summary["env_steps"] == 3200
    assert all(row["charts/episodic_return"] == 8.0 for row in record)


def test_an_interval_without_an_episode_has_no_return(tmp_path):
    record = train(tmp_path / "run", env="tests.support.faulty_envs:Faulty-v0", env_arg=("length=100",))[2]
    assert all(("charts/episodic_return" in row) == (row["charts/episodes"] > 0) for row in record)
    assert {row["charts/episodes"] for row in record} == {0, 4}


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


# --- W&B that fails


@pytest.fixture
def fake_wandb(tmp_path, monkeypatch):
    """Puts a package `wandb` first on the path; what blocks in it does so until the test is over."""
    lid = tmp_path / "blocked"

    def fake(code):
        (tmp_path / "stub" / "wandb").mkdir(parents=True)
        (tmp_path / "stub" / "wandb" / "__init__.py").write_text(FAKE.replace("LID", repr(str(lid))) + code)
        lid.touch()
        monkeypatch.syspath_prepend(tmp_path / "stub")
        for name in [name for name in sys.modules if name.partition(".")[0] == "wandb"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(tracking, "_abandoned", [])
        monkeypatch.setattr(tracking, "_told", [])

    yield fake
    lid.unlink(missing_ok=True)
    for thread in threading.enumerate():
        if thread.name == "wandb-mirror":
            thread.join(10)
            assert not thread.is_alive()


FAKE = """
import os, time

def block():
    while os.path.exists(LID):
        time.sleep(0.01)

rows, finished, modes = [], [], []

class Settings:
    model_fields = ()
    def __init__(self, **_settings): pass

class Values:
    def update(self, _values): pass

class Run:
    def __init__(self): self.summary, self.config = Values(), Values()
    def define_metric(self, *_names, **_options): pass
    def log(self, row): rows.append(row)
    def finish(self, exit_code): finished.append(exit_code)

def setup(**_options): pass
def login(prompt, verify):
    assert prompt is False
    return False
def init(mode, **_options):
    modes.append(mode)
    return Run()

"""

DIES = """
def log(self, row):
    rows.append(row)
    if len(rows) > 3: {fault}
def finish(self, exit_code): raise BrokenPipeError('gone')
Run.log, Run.finish = log, finish
"""

FAULTS = {
    "raises at import": "raise RuntimeError('broken installation')",
    "raises at init": "def init(**_): raise RuntimeError('no\\nserver')",
    "raises without words": "def init(**_): raise ValueError",
    "raises at log": "def log(self, row): raise ConnectionResetError('gone')\nRun.log = log",
    "leaves at log": "def log(self, row): raise SystemExit(3)\nRun.log = log",
    "raises at finish": "def finish(self, exit_code): raise BrokenPipeError('gone')\nRun.finish = finish",
    "raises at settings": "Settings = None",
    "raises at a metric": "def define_metric(self, *_, **__): raise OSError('gone')\nRun.define_metric = define_metric",
    "raises at the summary": "def update(self, _): raise TimeoutError('gone')\nValues.update = update",
    "dies after three rows": DIES.format(fault="raise BrokenPipeError('gone')"),
    "blocks after three rows": DIES.format(fault="block()"),
    "blocks at import": "block()",
    "blocks at init": "def init(**_): block()",
    "blocks at log": "def log(self, row): block()\nRun.log = log",
    "blocks at finish": "def finish(self, exit_code): block()\nRun.finish = finish",
}


@pytest.fixture(scope="module")
def without_wandb(tmp_path_factory):
    return train(tmp_path_factory.mktemp("run") / "without")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wandb_that_fails_changes_nothing_and_ends_on_time(tmp_path, monkeypatch, fake_wandb, without_wandb, fault):
    """wandb/wandb#7671, #10669, #3223: a W&B that cannot be reached stalls the run or ends it."""
    fake_wandb(FAULTS[fault])
    monkeypatch.setattr(tracking, "INIT_SECONDS", 0.2)
    monkeypatch.setattr(tracking, "FINISH_SECONDS", 0.2)
    began = time.monotonic()
    state, summary, record, said = train(tmp_path / "run", wandb="online")
    assert time.monotonic() - began < 30
    assert_bit_equal(state, without_wandb[0])
    assert record == without_wandb[2] and summary["exit_code"] == 0
    assert all("\n" not in line for line in said) and 1 <= len(said) <= 2
    assert said[-1].startswith("W&B did not end in time" if "blocks" in fault else "W&B stopped (")
    assert len(tracking._abandoned) == 1  # so the process will not wait for it at its end


@pytest.mark.parametrize("call", ["setup(**_)", "login(prompt, verify)"])
@pytest.mark.parametrize("fault", ["raise ConnectionError('gone')", "block()", "raise SystemExit(1)"])
def test_a_wandb_that_fails_where_a_key_is_looked_for_changes_nothing(
    tmp_path, monkeypatch, fake_wandb, without_wandb, call, fault
):
    """What raises there has no key, and the run is logged offline."""
    fake_wandb(f"def {call}: {fault}")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(tracking, "INIT_SECONDS", 0.2)
    monkeypatch.setattr(tracking, "FINISH_SECONDS", 0.2)
    state, summary, record, said = train(tmp_path / "run", wandb="auto")
    assert_bit_equal(state, without_wandb[0])
    assert record == without_wandb[2] and summary["exit_code"] == 0
    words = (
        "no API key found" if "Connection" in fault else "did not end in time" if "block" in fault else "W&B stopped"
    )
    assert len(said) == 1 and words in said[0]


def test_a_wandb_that_fails_at_the_mark_of_a_resumed_run_changes_nothing(tmp_path, fake_wandb):
    """Of two runs that were stopped at 1600 of their 3200 env steps, one goes on with a W&B that fails there."""
    fake_wandb(
        "class Broken:\n    def update(self, _): raise ConnectionError('gone')\n"
        "def init(mode, **_):\n    run = Run()\n    run.config = Broken()\n    return run\n"
    )
    ended = []
    for name, wandb in (("without", "disabled"), ("with", "offline")):
        config = Config(**{**SMALL, "wandb": wandb, "run_dir": str(tmp_path / name)})
        run = new_run(config, envs.make_vector)
        run.execute(print, lambda row, run=run: run.note_signal(2) if row["global_step"] >= 1600 else None)
        said = []
        run = resumed_run(tmp_path / name, envs.make_vector)
        assert run.execute(said.append)["exit_code"] == 0
        ended.append((run.learner.state(), rows(tmp_path / name), said))
    assert_bit_equal(ended[0][0], ended[1][0])
    assert ended[0][1] == ended[1][1] and len(ended[0][1]) >= 10
    went_on = ended[0][2]
    assert len(went_on) == 1 and went_on[0].startswith("going on from ")
    assert ended[1][2] == [*went_on, "W&B stopped (ConnectionError: gone); the run goes on, its record is whole"]


def test_a_wandb_that_meddles_with_random_numbers_and_rows_changes_nothing(tmp_path, fake_wandb, without_wandb):
    """It seeds everyone's random numbers, draws some, and empties the rows that it was given."""
    fake_wandb("""
def log(self, row):
    import random, numpy, torch
    random.seed(0), numpy.random.seed(0), torch.manual_seed(0), torch.rand(3)
    rows.append(dict(row))
    row.clear()
Run.log = log
""")
    run, shown = (
        new_run(Config(**{**SMALL, "wandb": "offline", "run_dir": str(tmp_path / "run")}), envs.make_vector),
        [],
    )
    run.execute(print, shown.append)
    import wandb

    assert len(wandb.rows) == 10 and wandb.rows == shown
    assert_bit_equal(run.learner.state(), without_wandb[0])
    assert rows(tmp_path / "run") == without_wandb[2]


def test_a_wandb_that_has_stopped_is_kept_no_rows_for(tmp_path, fake_wandb):
    """Nor does a run of days fill its memory with them."""
    fake_wandb(FAULTS["raises at init"])
    mirror = WandbMirror(tmp_path, Config(wandb="offline"), {"config": {}}, lambda _line: None)
    mirror._thread.join(10)
    for step in range(100):
        mirror.put({"global_step": step})
    assert mirror._queue.qsize() == 0


def test_a_patient_end_waits_as_long_as_wandb_takes_rows(tmp_path, monkeypatch, fake_wandb):
    """20 rows of 0.1 s, where 0.5 s without one would be the end."""
    fake_wandb("def log(self, row):\n    time.sleep(0.1)\n    rows.append(row)\nRun.log = log")
    monkeypatch.setattr(tracking, "INIT_SECONDS", 0.25)
    monkeypatch.setattr(tracking, "FINISH_SECONDS", 0.25)
    for patient, whole in ((True, True), (False, False)):
        said = []
        mirror = WandbMirror(tmp_path, Config(wandb="offline"), {"config": {}}, said.append)
        for step in range(20):
            mirror.put({"global_step": step})
        mirror.close({"exit_code": 0}, patient)
        import wandb

        assert (len(wandb.rows) == 20) == whole and bool(said) != whole
        wandb.rows.clear()


def test_what_is_left_of_wandb_is_killed_and_nothing_else(tmp_path, monkeypatch):
    """A stopped process would be there for ever. Two of our children, one of them W&B's by its name; and one of that
    name which is another's. The folder of its socket goes too."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine, another = (tmp_path / f"wandb-{pid}-12-34" / "socket" for pid in (os.getpid(), os.getpid() + 1))
    for socket in (mine, another):
        socket.parent.mkdir()
        socket.touch()
    shutil.copy(shutil.which("sleep"), tmp_path / "wandb-core")
    core = [tmp_path / "wandb-core", "100"]
    others = subprocess.Popen(["sh", "-c", f"{core[0]} 100 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
    theirs, ours, sleeper = int(others.stdout.readline()), subprocess.Popen(core), subprocess.Popen(["sleep", "100"])
    try:
        os.kill(ours.pid, signal.SIGSTOP)
        left = []
        monkeypatch.setattr(tracking, "_abandoned", ["one"])
        monkeypatch.setattr("os._exit", left.append)
        for farewell in ("multiprocessing.util._exit_function", "weakref.finalize._exitfunc"):
            monkeypatch.setattr(farewell, lambda: None)
        with pytest.raises(SystemExit):  # the real one does not return
            tracking.exit_process(3)
        assert left == [3] and ours.wait(5) == -signal.SIGKILL
        assert another.exists() and not mine.parent.exists()
        time.sleep(0.1)
        assert sleeper.poll() is None and others.poll() is None and Path(f"/proc/{theirs}").exists()
    finally:
        os.kill(theirs, signal.SIGKILL)
        for child in (ours, sleeper, others):
            child.kill()
            child.wait()
        others.stdout.close()


def test_without_wandb_installed_the_run_says_so_in_one_line_and_is_the_same(tmp_path, monkeypatch, without_wandb):
    monkeypatch.setitem(sys.modules, "wandb", None)
    state, _, record, said = train(tmp_path / "run", wandb="auto")
    assert_bit_equal(state, without_wandb[0])
    assert record == without_wandb[2]
    assert said == ["W&B is not installed: the record is kept in the run folder alone"]


def test_a_wandb_that_works_is_given_every_row_and_the_exit_code(tmp_path, fake_wandb, without_wandb):
    fake_wandb("")
    state, _, record, said = train(tmp_path / "run", wandb="offline")
    import wandb

    written = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert wandb.rows == written and wandb.finished == [0] and wandb.modes == ["offline"] and said == []
    assert record == without_wandb[2]
    assert_bit_equal(state, without_wandb[0])


def test_wandb_is_not_imported_where_it_is_disabled(tmp_path, fake_wandb):
    fake_wandb("raise RuntimeError")
    assert train(tmp_path / "run", wandb="disabled")[3] == []
    assert "wandb" not in sys.modules


def test_a_run_that_fails_ends_within_5_seconds_even_if_wandb_blocks(tmp_path, monkeypatch, fake_wandb):
    fake_wandb(FAULTS["blocks at init"])
    monkeypatch.setattr("tests.support.faulty_envs.steps_of_this_process", 0, raising=False)
    env_arg = ("fault=raises", "process=MainProcess", "at=100")
    options = {**SMALL, "wandb": "offline", "env": "tests.support.faulty_envs:Faulty-v0", "env_arg": env_arg}
    told = []
    run = new_run(Config(**options, run_dir=str(tmp_path / "run")), envs.make_vector)
    summary = run.execute(lambda _line: told.append(time.monotonic()))
    assert summary["exit_code"] == 1 and time.monotonic() - told[0] < 5


def test_a_wandb_that_cannot_go_online_is_logged_offline_with_one_line(tmp_path, fake_wandb):
    refuse = (
        "def init(mode, **_):\n    modes.append(mode)\n    if mode == 'online': raise RuntimeError\n    return Run()"
    )
    fake_wandb(refuse)
    _, _, record, said = train(tmp_path / "run", wandb="online")
    import wandb

    assert wandb.modes == ["online", "offline"] and len(wandb.rows) == len(record) and wandb.finished == [0]
    assert said == ["W&B cannot go online (RuntimeError: ): this run is logged offline"]


@pytest.mark.parametrize(
    ("options", "group", "name"),
    [
        ({}, "lstm-MaskedVelocityCartPole-v1", "lstm-MaskedVelocityCartPole-v1-s1"),
        ({"core": "gru", "env": "tests.support.faulty_envs:Faulty-v0", "seed": 3}, "gru-Faulty-v0", "gru-Faulty-v0-s3"),
        ({"wandb_group": "chapter 5", "core": "rnn"}, "chapter 5", "rnn-MaskedVelocityCartPole-v1-s1"),
    ],
)
def test_the_group_is_the_one_that_was_given_or_the_core_and_the_environment(
    tmp_path, fake_wandb, options, group, name
):
    """A name of the group's own changes nothing of the run's name."""
    fake_wandb("given = []\ndef init(mode, **options):\n    given.append(options)\n    return Run()")
    train(tmp_path / "run", wandb="offline", **{"total_env_steps": 32, **options})
    import wandb

    [given] = wandb.given
    assert (given["group"], given["name"], given["project"]) == (group, name, "carryover")
    assert given["config"]["wandb_group"] == options.get("wandb_group", "")


def test_a_blocked_wandb_does_not_keep_the_process_from_ending(tmp_path, fake_wandb):
    """Nor is the temporary folder left that it made when it was imported."""
    folders = "import atexit, tempfile\nfolder = tempfile.TemporaryDirectory('wandb-media')\n"
    fake_wandb(folders + "atexit.register(block)\n" + FAULTS["blocks at log"])
    (tmp_path / "tmp").mkdir()
    program = """
import sys
from experiments.train import main
from rl.record import record as tracking
tracking.INIT_SECONDS = tracking.FINISH_SECONDS = 0.2
if __name__ == "__main__":
    main()
"""
    (tmp_path / "program.py").write_text(program)
    words = [f"--{key.replace('_', '-')}={value}" for key, value in SMALL.items() if key not in ("mode", "wandb")]
    ended = subprocess.run(
        [sys.executable, "program.py", "--mode=async", "--wandb=online", "--run-dir=run", *words],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tmp_path / "stub"), str(ROOT)]),
            "TMPDIR": str(tmp_path / "tmp"),
        },
        cwd=tmp_path,
        timeout=200,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0 and "total_env_steps" in ended.stdout
    assert "W&B did not end in time" in ended.stderr and os.listdir(tmp_path / "tmp") == []
    assert "Traceback" not in ended.stderr and "leaked" not in ended.stderr, ended.stderr


# --- which mode


@pytest.mark.parametrize(
    ("option", "environment", "key", "mode", "lines"),
    [
        ("auto", None, False, "offline", 1),
        ("auto", None, True, "online", 0),
        ("auto", "", True, "online", 0),
        ("auto", "", False, "offline", 1),
        ("auto", "online", False, "online", 0),
        ("auto", "offline", True, "offline", 0),
        ("auto", "disabled", True, "disabled", 0),
        ("auto", "shared", True, "offline", 1),
        ("auto", "nonsense", True, "offline", 1),
        ("online", "offline", False, "online", 0),
        ("offline", "online", True, "offline", 0),
        ("offline", "nonsense", True, "offline", 0),
    ],
)
def test_the_mode_is_the_option_then_wandb_mode_then_whether_there_is_a_key(
    monkeypatch, fake_wandb, option, environment, key, mode, lines
):
    fake_wandb(f"def login(prompt, verify):\n    assert not prompt\n    return {key}")
    if environment is None:
        monkeypatch.delenv("WANDB_MODE", raising=False)
    else:
        monkeypatch.setenv("WANDB_MODE", environment)
    import wandb

    said = []
    mirror = object.__new__(WandbMirror)
    mirror._config, mirror._notify = Config(wandb=option), said.append
    assert mirror._mode(wandb) == mode and len(said) == lines
    assert os.environ.get("WANDB_MODE") in (None, "online", "offline", "disabled")  # W&B refuses to start on any other


# --- the real one


def real_run(tmp_path, environment, *options):
    """The command line on a terminal, without a key unless `environment` has one; what it printed, its W&B folder."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    own |= {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), **environment}
    words = [f"--{key.replace('_', '-')}={value}" for key, value in SMALL.items() if key != "wandb"]
    program = (
        "import sys; from rl import tracking; tracking.INIT_SECONDS = 2; from experiments.train import main; main()"
    )
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program, f"--run-dir={tmp_path}/run", *words, *options],
        stdin=end,
        stdout=end,
        stderr=end,
        env=own,
        cwd=tmp_path,
        start_new_session=True,
    )
    os.close(end)
    said = []

    def read():
        try:
            while chunk := os.read(terminal, 4096):
                said.append(chunk)
        except OSError:  # the terminal's other end was closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert process.wait(200) == 0
    finally:
        process.kill()
    reader.join(5)
    os.close(terminal)
    return b"".join(said).decode(), next((tmp_path / "run" / "wandb").glob("offline-run-*"), None)


def test_on_a_terminal_without_a_key_the_run_is_offline_never_asks_and_mirrors_the_record(tmp_path):
    said, folder = real_run(tmp_path, {})
    assert said.count("no API key found, runs are logged offline") == 1
    inspected = subprocess.run(
        [Path(sys.executable).parent / "wandb", "leet", "inspect", "--json", folder],
        capture_output=True,
        text=True,
        check=True,
    )
    records = [json.loads(line) for line in inspected.stdout.splitlines()]
    written = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    [run] = [record["run"] for record in records if record["type"] == "run"]
    assert (run["project"], run["run_group"]) == ("carryover", "lstm-MaskedVelocityCartPole-v1")
    assert (run["display_name"], run["job_type"]) == ("lstm-MaskedVelocityCartPole-v1-s1", "train")
    assert run["tags"] == ["lstm", "MaskedVelocityCartPole-v1", "serial"]
    recorded = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert {key: value for key, value in run["config"]["update"].items() if key != "_wandb"} == recorded
    history = [record["history"]["item"] for record in records if record["type"] == "history"]
    mirrored = [{key: value for key, value in row.items() if not key.startswith("_")} for row in history]
    assert mirrored == written and len(written) == 10
    steps = [record["metric"] for record in records if record["type"] == "metric"]
    assert {"name": "global_step", "options": {"defined": True}} in steps
    assert any(step.get("glob_name") == "*" and step["step_metric"] == "global_step" for step in steps)
    assert records[-1]["exit"]["exit_code"] == 0


def test_with_a_key_but_no_server_the_run_goes_offline_and_says_so(tmp_path):
    said, folder = real_run(tmp_path, {"WANDB_API_KEY": "a" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"})
    assert said.count("W&B cannot go online (") == 1 and folder is not None
    assert len(rows(tmp_path / "run")) == 10
