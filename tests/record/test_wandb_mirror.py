"""The mirror of the record in W&B: nothing that W&B does changes the run or keeps it from ending."""

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

import envs
from rl.record import exit_process, wandb_mirror, wandb_session
from rl.record.wandb_mirror import WandbMirror
from rl.record.wandb_session import mode_of, refused_variables
from rl.running.run import new_run, resumed_run
from tests.support.bits import assert_bit_equal
from tests.support.configs import cartpole_config
from tests.support.programs import soon
from tests.support.runs import ROOT, SERIAL, read_rows, train, untimed, words

SHORT = {**SERIAL, "total_env_steps": 320, "log_interval": 32}  # 10 updates, a row each


# --- W&B that fails


@pytest.fixture
def fake_wandb(tmp_path, monkeypatch):
    """Puts a package `wandb` first on the path; what blocks in it does so until the test is over."""
    lid = tmp_path / "blocked"

    def modules():
        return [name for name in sys.modules if name.partition(".")[0] == "wandb"]

    def fake(code):
        (tmp_path / "stub" / "wandb").mkdir(parents=True)
        (tmp_path / "stub" / "wandb" / "__init__.py").write_text(FAKE.replace("LID", repr(str(lid))) + code)
        lid.touch()
        monkeypatch.syspath_prepend(tmp_path / "stub")
        for name in modules():
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(exit_process, "_left_behind", [])
        monkeypatch.setattr(wandb_session, "_said", [])

    yield fake
    lid.unlink(missing_ok=True)
    for thread in threading.enumerate():
        if thread.name == "wandb-mirror":
            thread.join(10)
            assert not thread.is_alive()
    for name in modules():  # a later test means the real one
        del sys.modules[name]


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
    def update(self, _values, **_options): pass

class Run:
    id, project, entity, resumed, dir = "fake", "p", None, False, None
    def __init__(self): self.summary, self.config = Values(), Values()
    def define_metric(self, *_names, **_options): pass
    def log(self, row): rows.append(row)
    def finish(self, exit_code): finished.append(exit_code)

def setup(**_options): pass
def termsetup(_settings, _logger): pass
def login(prompt, verify):
    assert prompt is False
    return True
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


def patience_of(monkeypatch, seconds):
    """W&B has so long to begin, and so long to end."""
    monkeypatch.setattr(wandb_mirror, "INIT_SECONDS", seconds)
    monkeypatch.setattr(wandb_mirror, "FINISH_SECONDS", seconds)


@pytest.fixture(scope="module")
def without_wandb(tmp_path_factory):
    return train(tmp_path_factory.mktemp("run") / "without", small=SHORT)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wandb_that_fails_changes_nothing_and_ends_on_time(tmp_path, monkeypatch, fake_wandb, without_wandb, fault):
    """wandb/wandb#7671, #10669, #3223: a W&B that cannot be reached stalls the run or ends it."""
    fake_wandb(FAULTS[fault])
    patience_of(monkeypatch, 0.2 if "block" in fault else 30)
    began = time.monotonic()
    run, summary, rows, said = train(tmp_path / "run", small=SHORT, wandb="online")
    assert time.monotonic() - began < soon(30)
    assert_bit_equal(run.setup.learner.vectors, without_wandb.learnt)
    assert rows == without_wandb.rows and summary["exit_code"] == 0
    assert all("\n" not in line for line in said) and 1 <= len(said) <= 2
    assert said[-1].startswith("W&B did not end in time" if "blocks" in fault else "W&B stopped (")
    assert len(exit_process._left_behind) == 1  # so the process will not wait for it at its end


@pytest.mark.parametrize("call", ["setup(**_)", "login(prompt, verify)"])
@pytest.mark.parametrize("fault", ["raise ConnectionError('gone')", "block()", "raise SystemExit(1)"])
def test_a_wandb_that_fails_where_a_key_is_looked_for_changes_nothing(
    tmp_path, monkeypatch, fake_wandb, without_wandb, call, fault
):
    """Where looking raises there is no key, and the run is logged offline."""
    fake_wandb(f"def {call}: {fault}")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    patience_of(monkeypatch, 0.2 if "block" in fault else 30)
    run, summary, rows, said = train(tmp_path / "run", small=SHORT, wandb="auto")
    assert_bit_equal(run.setup.learner.vectors, without_wandb.learnt)
    assert rows == without_wandb.rows and summary["exit_code"] == 0
    part = "no API key found" if "Connection" in fault else "did not end in time" if "block" in fault else "W&B stopped"
    if "Connection" in fault and "setup" in call:  # what is wrong with it, init would say
        assert said == []
    else:
        assert len(said) == 1 and part in said[0]


def test_a_wandb_that_fails_at_the_mark_of_a_resumed_run_changes_nothing(tmp_path, fake_wandb):
    """Of two runs that were stopped at 160 of their 320 env steps, one goes on with a W&B that fails there."""
    fake_wandb(
        "class Broken:\n    def update(self, _, **__): raise ConnectionError('gone')\n"
        "def init(mode, **_):\n    run = Run()\n    run.config = Broken()\n    return run\n"
    )
    ended = []
    for name, wandb in (("without", "disabled"), ("with", "offline")):
        config = cartpole_config(**{**SHORT, "wandb": wandb, "run_dir": str(tmp_path / name)})
        run = new_run(config, envs.make_vector)
        run.execute(print, lambda row, run=run: run.outcome.note_signal(2) if row["global_step"] >= 160 else None)
        said = []
        run = resumed_run(tmp_path / name, envs.make_vector)
        assert run.execute(said.append)["exit_code"] == 0
        ended.append((run.setup.learner.state(), untimed(tmp_path / name), said))
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
        new_run(cartpole_config(**{**SHORT, "wandb": "offline", "run_dir": str(tmp_path / "run")}), envs.make_vector),
        [],
    )
    run.execute(print, shown.append)
    import wandb

    assert len(wandb.rows) == 10 and wandb.rows == shown
    assert_bit_equal(run.setup.learner.vectors, without_wandb.learnt)
    assert untimed(tmp_path / "run") == without_wandb.rows


def test_a_wandb_that_has_stopped_is_kept_no_rows_for(tmp_path, fake_wandb):
    """Nor does a run of days fill its memory with them."""
    fake_wandb(FAULTS["raises at init"])
    mirror = WandbMirror(tmp_path, cartpole_config(wandb="offline"), {"config": {}}, lambda _line: None)
    mirror._thread.join(10)
    for step in range(100):
        mirror.put({"global_step": step})
    assert mirror._queue.qsize() == 0


def test_a_replay_waits_at_its_end_as_long_as_wandb_takes_rows(tmp_path, monkeypatch, fake_wandb):
    """15 rows of 0.2 s, where 2 s without one would be the end."""
    fake_wandb("def log(self, row):\n    time.sleep(0.2)\n    rows.append(row)\nRun.log = log")
    patience_of(monkeypatch, 1)
    for patient, whole in ((True, True), (False, False)):
        said = []
        mirror = WandbMirror(tmp_path, cartpole_config(wandb="offline"), {"config": {}}, said.append, replay=patient)
        for step in range(15):
            mirror.put({"global_step": 10_000 * (step + 1)})
        mirror.close({"exit_code": 0})
        import wandb

        assert (len(wandb.rows) == 15) == whole and bool(said) != whole
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
        monkeypatch.setattr(exit_process, "_left_behind", ["one"])
        monkeypatch.setattr("os._exit", left.append)
        for farewell in ("multiprocessing.util._exit_function", "weakref.finalize._exitfunc"):
            monkeypatch.setattr(farewell, lambda: None)
        with pytest.raises(SystemExit):  # the real one does not return
            exit_process.exit_process(3)
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
    run, _, rows, said = train(tmp_path / "run", small=SHORT, wandb="auto")
    assert_bit_equal(run.setup.learner.vectors, without_wandb.learnt)
    assert rows == without_wandb.rows
    assert said == ["W&B is not installed: the record is kept in the run folder alone"]


def test_a_wandb_that_works_is_given_every_row_and_the_exit_code(tmp_path, fake_wandb, without_wandb):
    fake_wandb("")
    run, _, rows, said = train(tmp_path / "run", small=SHORT, wandb="offline")
    import wandb

    written = read_rows(tmp_path / "run")
    assert wandb.rows == written and wandb.finished == [0] and wandb.modes == ["offline"] and said == []
    assert rows == without_wandb.rows
    assert_bit_equal(run.setup.learner.vectors, without_wandb.learnt)


def test_wandb_is_not_imported_where_it_is_disabled(tmp_path, fake_wandb):
    fake_wandb("raise RuntimeError")
    assert train(tmp_path / "run", small=SHORT, wandb="disabled").said == []
    assert "wandb" not in sys.modules


def test_a_run_that_fails_ends_within_5_seconds_even_if_wandb_blocks(tmp_path, monkeypatch, fake_wandb):
    fake_wandb(FAULTS["blocks at init"])
    monkeypatch.setattr("tests.support.faulty_envs.steps_of_this_process", 0, raising=False)
    env_arg = ("fault=raises", "process=MainProcess", "at=100")
    options = {**SHORT, "wandb": "offline", "env": "tests.support.faulty_envs:Faulty-v0", "env_arg": env_arg}
    told = []
    run = new_run(cartpole_config(**options, run_dir=str(tmp_path / "run")), envs.make_vector)
    summary = run.execute(lambda _line: told.append(time.monotonic()))
    assert summary["exit_code"] == 1 and time.monotonic() - told[0] < soon(5)


def test_a_wandb_that_cannot_go_online_is_logged_offline_with_one_line(tmp_path, fake_wandb):
    refuse = (
        "def init(mode, **_):\n    modes.append(mode)\n    if mode == 'online': raise RuntimeError\n    return Run()"
    )
    fake_wandb(refuse)
    _, _, rows, said = train(tmp_path / "run", small=SHORT, wandb="online")
    import wandb

    assert wandb.modes == ["online", "offline"] and len(wandb.rows) == len(rows) and wandb.finished == [0]
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
    train(tmp_path / "run", small=SHORT, wandb="offline", **{"total_env_steps": 32, **options})
    import wandb

    [given] = wandb.given
    assert (given["group"], given["name"], given["project"]) == (group, name, "carryover")
    assert given["config"]["wandb_group"] == options.get("wandb_group", "")


@pytest.mark.slow
def test_a_blocked_wandb_does_not_keep_the_process_from_ending(tmp_path, fake_wandb):
    """Nor is the temporary folder left that it made when it was imported."""
    folders = "import atexit, tempfile\nfolder = tempfile.TemporaryDirectory('wandb-media')\n"
    fake_wandb(folders + "atexit.register(block)\n" + FAULTS["blocks at log"])
    (tmp_path / "tmp").mkdir()
    program = """
import sys
from experiments.train import main
from rl.record import wandb_mirror
wandb_mirror.INIT_SECONDS = wandb_mirror.FINISH_SECONDS = 0.2
if __name__ == "__main__":
    main()
"""
    (tmp_path / "program.py").write_text(program)
    given = words({key: value for key, value in SHORT.items() if key not in ("mode", "wandb")})
    ended = subprocess.run(
        [sys.executable, "program.py", "--mode=async", "--wandb=online", "--run-dir=run", *given],
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
        ("auto", "online", False, "offline", 1),
        ("auto", "offline", True, "offline", 0),
        ("auto", "disabled", True, "disabled", 0),
        ("auto", "shared", True, "offline", 1),
        ("auto", "nonsense", True, "offline", 1),
        ("online", "offline", False, "offline", 1),
        ("online", "offline", True, "online", 0),
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
    assert mode_of(option, wandb, refused_variables(wandb), said.append) == mode and len(said) == lines
    assert os.environ.get("WANDB_MODE") == environment


# --- the real one


def real_run(tmp_path, environment, *options):
    """The command line on a terminal, without a key unless `environment` has one; what it printed, its W&B folder."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    own |= {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), **environment}
    given = words({key: value for key, value in SHORT.items() if key != "wandb"})
    program = "\n".join(
        (
            "from experiments.train import main",
            "from rl.record import wandb_mirror",
            "wandb_mirror.INIT_SECONDS = 2",
            "main()",
        )
    )
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program, f"--run-dir={tmp_path}/run", *given, *options],
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


@pytest.mark.slow
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
    written = read_rows(tmp_path / "run")
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


@pytest.mark.slow
def test_with_a_key_but_no_server_the_run_goes_offline_and_says_so(tmp_path):
    said, folder = real_run(tmp_path, {"WANDB_API_KEY": "a" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"})
    assert said.count("W&B cannot go online (") == 1 and folder is not None
    assert len(read_rows(tmp_path / "run")) == 10


# --- a resumed run


@pytest.mark.parametrize(
    ("known", "sent"), [(None, [40, 80, 120, 160, 200]), (80, [120, 160, 200]), (160, [200]), (400, [])]
)
def test_wandb_gets_the_rows_of_the_record_that_it_lacks_and_none_twice(tmp_path, fake_wandb, known, sent):
    """allenai/tango#152: rows behind the checkpoint are logged again. A killed run may also have left W&B with less
    than the record has, which is 120 env steps here; the resumed run adds three rows, of which 160 may come again."""
    fake_wandb(f"Run.resumed = {known is not None}\nValues.get = lambda self, _name: {known}\n")
    (tmp_path / "wandb.json").write_text('{"id": "fake", "project": "p", "entity": null}')
    earlier = [json.dumps({"global_step": step}) + "\n" for step in (40, 80, 120)]
    description = {"config": {}, "resumed_at_env_steps": 120}
    config = cartpole_config(wandb="online", log_interval=40)
    mirror = WandbMirror(tmp_path, config, description, print, earlier)
    for step in (160, 200, 208):
        mirror.put({"global_step": step})
    mirror.close({"exit_code": 143})
    import wandb

    assert [row["global_step"] for row in wandb.rows] == sent and wandb.finished == [143]


@pytest.mark.parametrize(("exit_code", "sent"), [(0, [40, 48]), (143, [40]), (1, [40])])
def test_a_row_that_a_stop_has_cut_short_is_left_to_the_resumed_run(tmp_path, fake_wandb, exit_code, sent):
    """The last row of a complete run may be short as well, and is its last one."""
    fake_wandb("")
    mirror = WandbMirror(tmp_path, cartpole_config(wandb="offline", log_interval=40), {"config": {}}, print)
    for step in (40, 48):
        mirror.put({"global_step": step})
    mirror.close({"exit_code": exit_code})
    import wandb

    assert [row["global_step"] for row in wandb.rows] == sent


@pytest.mark.parametrize(
    ("option", "variable", "same"), [("", "", True), ("", "q", True), ("p", "", True), ("q", "", False)]
)
def test_a_resumed_run_stays_in_its_project_unless_the_option_names_another(
    tmp_path, monkeypatch, fake_wandb, option, variable, same
):
    """W&B cannot move a run: in another project there is another W&B run, with the whole record."""
    fake_wandb("given = []\ndef init(mode, **options):\n    given.append(options)\n    return Run()")
    monkeypatch.setenv("WANDB_PROJECT", variable)
    (tmp_path / "wandb.json").write_text('{"id": "mine", "project": "p", "entity": null}')
    config = cartpole_config(wandb="online", wandb_project=option)
    mirror = WandbMirror(tmp_path, config, {"config": {}, "resumed_at_env_steps": 120}, print)
    mirror.close({"exit_code": 0})
    import wandb

    [given] = wandb.given
    assert (given["id"] == "mine", given["project"]) == (same, "p" if same else "q")
