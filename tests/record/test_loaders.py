"""Files that a run is read from, damaged in every way: one clear line, nothing executed, nothing else raised.

The fuzzers draw the same examples every time.
"""

import dataclasses
import io
import itertools
import json
import os
import pickle
import re
import sys
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import envs
from experiments.evaluate import main as evaluate_main
from experiments.lab.records import read_record
from experiments.train import Command, main
from experiments.train import __doc__ as words_of_train
from rl.config import Config
from rl.config_rules import option
from rl.record.checkpoint import load_checkpoint, save_checkpoint
from rl.record.record import keep_rows
from rl.record.saved_agent import load_agent
from rl.record.worker_state import load_worker_state
from rl.running.run import new_run, resumed_run
from tests.support.configs import cartpole_config
from tests.support.runs import SHORT

FIELDS = [field.name for field in dataclasses.fields(Config)]
SMALL = {**SHORT, "checkpoint_interval": 160}


def fuzz(examples):
    """The same examples every time, as many of them; a fixture's folder is written anew by each."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([0, 1, -1, 2**63, -(2**63), 10**30, 1e-320, 0.5]))
PLAIN = st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=10))
JSON = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def refusal(read, *arguments):
    """None where it can be read, else the one line that says why not; any other exception is raised."""
    try:
        read(*arguments)
    except ValueError as error:
        assert str(error) and "\n" not in str(error)
        return str(error)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """Of a run that was stopped at 320 of its 400 env steps and has two checkpoints."""
    folder = tmp_path_factory.mktemp("run") / "run"
    run = new_run(cartpole_config(**SMALL, run_dir=str(folder)), envs.make_vector)
    run.execute(lambda _line: None, lambda row: run.outcome.note_signal(2) if row["global_step"] >= 300 else None)
    assert (folder / "checkpoint.previous.pt").exists()
    return folder


# --- checkpoints


@pytest.fixture
def checkpoint(tmp_path):
    """A small one, with one before it."""
    path, state = tmp_path / "checkpoint.pt", {"learner": {"parameters": torch.arange(20.0)}, "env_steps": 32}
    save_checkpoint(path, cartpole_config(), {**state, "env_steps": 16})
    save_checkpoint(path, cartpole_config(), state)
    return path


def assert_previous_is_named(path, line):
    older = path.with_name("checkpoint.previous.pt")
    assert line.startswith(f"{path}: ") and line.endswith(f"; the one before it is {older}")
    assert load_checkpoint(older)[1]["env_steps"] == 16


def test_a_checkpoint_cut_at_every_seventh_length_is_one_line_that_names_the_one_before_it(checkpoint):
    whole = checkpoint.read_bytes()
    assert refusal(load_checkpoint, checkpoint) is None
    for length in range(0, len(whole), 7):
        checkpoint.write_bytes(whole[:length])
        line = refusal(load_checkpoint, checkpoint)
        assert line and "not a readable checkpoint (" in line, length
    assert_previous_is_named(checkpoint, line)


def test_a_wrong_byte_in_a_checkpoint_is_found_or_changes_nothing(checkpoint):
    """Every fourth byte: torch writes checksums and does not compare them, so that a parameter would silently be
    another number."""
    whole = checkpoint.read_bytes()
    config, state = load_checkpoint(checkpoint)
    lines = []
    for position in range(0, len(whole), 4):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        checkpoint.write_bytes(damaged)
        if line := refusal(load_checkpoint, checkpoint):
            lines.append(line)
            continue
        found, found_state = load_checkpoint(checkpoint)
        assert found == config and found_state["env_steps"] == 32, position
        assert torch.equal(found_state["learner"]["parameters"], state["learner"]["parameters"]), position
    assert len(lines) > len(whole) / 4 / 2  # what is left is padding, and what a reader of zip files skips
    assert_previous_is_named(checkpoint, lines[0])


@pytest.mark.slow
@fuzz(300)
@given(st.binary(max_size=200), st.integers(0, 4000), st.integers(0, 200))
def test_any_bytes_in_the_place_of_any_others_are_one_line_or_harmless(checkpoint, bytes_, start, length):
    whole = checkpoint.read_bytes()
    try:
        checkpoint.write_bytes(whole[:start] + bytes_ + whole[start + length :])
        refusal(load_checkpoint, checkpoint)
    finally:
        checkpoint.write_bytes(whole)


def test_another_format_or_config_is_one_line_that_names_the_one_before_it(checkpoint):
    config = dataclasses.asdict(cartpole_config())
    for content, words in (
        ([1, 2], "not a checkpoint of format 1"),
        ({"format": 2, "config": config}, "not a checkpoint of format 1"),
        ({"format": torch.ones(2), "config": config}, "not a checkpoint of format 1"),
        ({"format": 1}, "its config is of another version (KeyError: 'config')"),
        ({"format": 1, "config": 3}, "its config is of another version ("),
        ({"format": 1, "config": {**config, "new\noption": 3}}, "unexpected keyword argument 'new option'"),
        ({"format": 1, "config": {**config, "seed": -3}}, "--seed -3: a whole number of at least 0 is needed"),
        ({"format": 1, "config": {**config, "env_arg": [7]}}, "--env-arg (7,): a tuple of texts is needed"),
    ):
        torch.save(content, checkpoint)
        line = refusal(load_checkpoint, checkpoint)
        assert words in line
        assert_previous_is_named(checkpoint, line)


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
@fuzz(30)
@given(st.data())
def test_a_state_with_something_else_in_any_place_is_one_line_or_goes_on(tmp_path, run_folder, data):
    """Parts of a real checkpoint are taken away, or are something else: nothing but a ValueError, before training."""
    _, state = load_checkpoint(run_folder / "checkpoint.pt")
    place = state
    for _ in range(data.draw(st.integers(0, 3))):
        inner = [place[name] for name in ("learner", "ledger", "arrays") if isinstance(place.get(name), dict)]
        place = data.draw(st.sampled_from(inner)) if inner else place
    key = data.draw(st.sampled_from(sorted(place)))
    if data.draw(st.booleans()):
        del place[key]
    else:
        place[key] = data.draw(JSON | st.sampled_from([torch.ones(3), torch.ones(2, 2), [[1.0]], [0.0] * 100]))
    torch.save(state, tmp_path / "checkpoint.pt")
    line = refusal(resumed_run, tmp_path, envs.make_vector)
    assert line is None or line.startswith((f"--resume {tmp_path}: ", f"{tmp_path}/checkpoint.pt: ")), line
    refusal(load_agent, tmp_path, envs.make_vector)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path, call=os.mkdir):
        self.path, self.call = path, call

    def __reduce__(self):
        return self.call, (self.path,)


def saved(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def test_what_a_checkpoint_would_execute_is_not_executed_wherever_it_hides(tmp_path, run_folder, monkeypatch, capsys):
    sprung, path = tmp_path / "sprung", tmp_path / "checkpoint.pt"
    _, state = load_checkpoint(run_folder / "checkpoint.pt")
    trap, script = Trap(str(sprung)), f"__import__('os').mkdir({str(sprung)!r})"
    in_worker = torch.frombuffer(bytearray(saved({"collector": trap, "experience": {}})), dtype=torch.uint8)
    for content in (
        saved({"format": 1, "config": trap}),
        saved({**state, "learner": trap}),
        saved({**state, "attempts": [Trap(script, eval)]}),
        saved({**state, "attempts": [Trap(script, exec)]}),
        saved({**state, "workers": [in_worker]}),  # a checkpoint within the checkpoint
        pickle.dumps({"format": 1, "config": trap}, protocol=2),  # as torch wrote before it wrote zip files
    ):
        path.write_bytes(content)
        for run in (resumed_run, load_agent):
            line = refusal(run, tmp_path, envs.make_vector)
            assert line or (run is load_agent and b"collector" in content)  # which reads no workers
        monkeypatch.setattr(sys, "argv", ["train", "--resume", str(tmp_path)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr().err
        assert end.value.code == 2 and said.startswith("error: ") and said.count("\n") == 1
        monkeypatch.setattr(sys, "argv", ["evaluate", str(tmp_path), "--episodes=1"])
        with pytest.raises(SystemExit):
            evaluate_main()
        capsys.readouterr()
    with pytest.raises(pickle.UnpicklingError):
        load_worker_state(None, None, in_worker.numpy().tobytes())
    assert not sprung.exists()
    torch.load(io.BytesIO(saved(trap)), weights_only=False)
    assert sprung.exists()  # the trap works


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated", "error:'torch.load' received a zip file")
def test_a_program_for_torch_in_the_place_of_a_checkpoint_is_not_run(tmp_path):
    """A TorchScript archive is a zip file too; torch would warn of it in two lines more."""
    path = tmp_path / "checkpoint.pt"
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(path))
    assert refusal(load_checkpoint, path) == f"{path}: not a readable checkpoint (BadZipFile)"


def test_a_folder_in_the_place_of_a_checkpoint_is_one_line(tmp_path):
    (tmp_path / "checkpoint.pt").mkdir()
    assert refusal(load_checkpoint, tmp_path / "checkpoint.pt").endswith(
        "not a readable checkpoint (IsADirectoryError)"
    )


# --- configs


@pytest.mark.slow
@fuzz(250)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
def test_any_json_for_any_option_is_one_line_or_a_config_that_comes_back_from_json(values):
    if isinstance(values.get("env_arg"), list):
        values["env_arg"] = tuple(values["env_arg"])
    if not refusal(lambda: cartpole_config(**values)):
        config = cartpole_config(**values)
        again = json.loads(json.dumps(dataclasses.asdict(config)))
        assert cartpole_config(**{**again, "env_arg": tuple(again["env_arg"])}) == config


@pytest.mark.slow
@fuzz(250)
@given(
    st.text(max_size=40) | st.sampled_from(["{[]: 1}", "(" * 5000, "9" * 5000, "1_000", "[" * 300 + "]" * 300, "\0"])
)
def test_any_text_for_an_argument_of_the_environment_is_one_line_or_a_value(text):
    """Such as {[]: 1}, whose literal raises a TypeError in Python, or brackets within brackets."""
    for entry in (text, f"delay={text}"):
        if not refusal(lambda entry=entry: cartpole_config(env_arg=(entry,))):
            assert len(cartpole_config(env_arg=(entry,)).env_args) == 1


WORDS = st.one_of(
    st.sampled_from([option(name) for name in FIELDS] + ["--no-bootstrap", "--preset", "--resume", "--"]),
    st.text(max_size=12).filter(lambda text: not "--help".startswith(text[:6]) and "-h" not in text),
    st.builds("{}={}".format, st.sampled_from([option(name) for name in FIELDS]), PLAIN | st.text(max_size=12)),
)


@pytest.mark.slow
@fuzz(60)
@given(st.lists(WORDS, max_size=4))
def test_any_words_on_the_command_line_are_one_line_or_a_command(words):
    from experiments.lab.command_line import parse

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train", *words])
        refusal(parse, Command, words_of_train)


# --- records


CONFIG = {"env": "MaskedVelocityCartPole-v1", "core": "lstm", "seed": 3}
ROW = st.fixed_dictionaries(
    {"global_step": NUMBERS | PLAIN}, optional={"time/seconds": JSON, "charts/episodic_return": JSON, "x": JSON}
).map(json.dumps)
LINE = st.one_of(ROW.map(str.encode), JSON.map(json.dumps).map(str.encode), st.binary(max_size=12)) | st.sampled_from(
    [b"[" * 100_000, b"9" * 5000, b'{"global_step": 1' + b"0" * 5000 + b"}", b"\0\0\0", b"nul", b'{"a": "\xff"}']
)
FILE = st.one_of(st.none(), st.binary(max_size=30), LINE, st.lists(LINE, max_size=4).map(b"\n".join))
HEADER = st.one_of(
    st.just(json.dumps({"config": CONFIG, "reward_threshold": 475.0}).encode()),
    st.builds(
        lambda config, threshold: json.dumps({"config": config, "reward_threshold": threshold}).encode(),
        st.fixed_dictionaries({}, optional={name: JSON for name in CONFIG}) | JSON,
        JSON,
    ),
    FILE.filter(lambda content: content is not None),
)


def write(folder, **files):
    for name, content in files.items():
        path = folder / {"config": "config.json", "metrics": "metrics.jsonl", "summary": "summary.json"}[name]
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)


@fuzz(250)
@given(HEADER, FILE, FILE)
def test_any_record_is_one_line_that_names_the_file_or_a_run_whose_curve_can_be_drawn(tmp_path, config, rows, summary):
    write(tmp_path, config=config, metrics=rows, summary=summary)
    if line := refusal(read_record, tmp_path):
        assert re.match(re.escape(str(tmp_path)) + r"/(config\.json|metrics\.jsonl|summary\.json)\b", line)
        return
    run = read_record(tmp_path)
    assert "exit_reason" in run.summary
    steps = [row["global_step"] for row in run.rows if "global_step" in row]
    assert not any(later < earlier for earlier, later in itertools.pairwise(steps))
    for key in ("global_step", "time/seconds", "charts/episodic_return"):
        x, y = run.curve("global_step", key)
        assert len(x) == len(y) and np.isfinite(x).all() and np.isfinite(y).all()


def test_a_record_that_is_a_folder_is_one_line(tmp_path):
    write(tmp_path, config=json.dumps({"config": CONFIG}).encode())
    (tmp_path / "metrics.jsonl").mkdir()
    assert refusal(read_record, tmp_path) == f"{tmp_path}/metrics.jsonl: cannot be read: Is a directory"


@fuzz(300)
@given(st.lists(LINE, max_size=5), st.binary(max_size=20))
def test_what_a_resumed_run_keeps_of_any_record_are_rows_up_to_its_checkpoint(tmp_path, lines, torn):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines) + torn)
    keep_rows(path, 200)
    kept = path.read_text().splitlines()
    assert all(json.loads(line)["global_step"] <= 200 for line in kept)
    keep_rows(path, 200)
    assert path.read_text().splitlines() == kept


@pytest.mark.slow
def test_a_damaged_file_of_wandb_is_one_line_or_the_rows_before_the_damage(tmp_path, wandb_run):
    """A wrong byte in each of 12 places, and an end too early: what is read is a part of what was logged."""
    [source] = wandb_run.glob("run-*.wandb")
    whole, logged = source.read_bytes(), read_record(wandb_run).rows
    assert len(logged) == 10
    lengths = []
    for part in range(12):
        damaged, position = bytearray(whole), len(whole) * part // 12
        damaged[position] ^= 0x55
        for content in (bytes(damaged), whole[:position]):
            (tmp_path / source.name).write_bytes(content)
            found = []
            if not refusal(lambda found=found: found.append(read_record(tmp_path))):
                [run] = found
                assert [row for row in logged if row in run.rows] == run.rows  # some may be missing, none is another
                lengths.append(len(run.rows))
    assert lengths and min(lengths) < 10


@pytest.fixture(scope="module")
def wandb_run(tmp_path_factory):
    """The offline folder of a run with 10 rows."""
    import subprocess

    folder = tmp_path_factory.mktemp("wandb") / "run"
    options = {**SMALL, "wandb": "offline", "run_dir": folder}
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    subprocess.run(
        [sys.executable, "-m", "experiments.train", "--preset=masked-cartpole", *words],
        check=True,
        capture_output=True,
        timeout=300,
    )
    [found] = (folder / "wandb").glob("offline-run-*")
    return found


def test_a_zip_file_of_something_else_is_one_line(tmp_path):
    with zipfile.ZipFile(tmp_path / "checkpoint.pt", "w") as archive:
        archive.writestr("letter.txt", "dear reader")
    assert "not a readable checkpoint (" in refusal(load_checkpoint, tmp_path / "checkpoint.pt")
