"""What commands print: in any locale, and when nobody reads it any more."""

import json
import os
import re
import shlex
import subprocess
import sys
import time

import pytest

from experiments.lab.progress_lines import progress_lines
from rl.record.messages import to_stderr
from tests.support.programs import soon
from tests.support.runs import ROOT, SERIAL, words

COMMANDS = ("train", "evaluate", "compare_cores", "compare_runs", "carry_ablation", "replay_to_wandb")
ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def run(command, **environment):
    """A shell's command; `python` is this Python."""
    variables = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
    }
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        env={**variables, **environment},
        cwd=ROOT,
        capture_output=True,
        timeout=soon(120),
    )


@pytest.mark.parametrize(
    "command", [one if one == "train" else pytest.param(one, marks=pytest.mark.slow) for one in COMMANDS]
)
def test_help_works_in_an_ascii_locale_and_when_its_reader_goes_away(command):
    """cube-js/cube#10378: the first letter that is no ASCII ended the program."""
    done = run(f"python -m experiments.{command} --help", **ASCII)
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
    assert b"usage" in done.stdout and done.stdout.isascii()
    done = run(f"python -m experiments.{command} --help | head -1")
    assert done.returncode == 0 and done.stderr == b"", done.stderr


STREAMS = """
import sys
from rl.shared.streams import lasting_streams
lasting_streams()
{}
"""


@pytest.mark.parametrize(
    ("program", "shell"),
    [
        ("print('x' * 100_000); print('γ')", "| head -c 1"),
        ("print('x' * 100_000, file=sys.stderr, flush=True)", "2>&1 >/dev/null | head -c 1"),
        ("print('γ'); print('γ', file=sys.stderr)", ">&- 2>&-"),
        ("print('γ', open('/dev/null').fileno() > 2, flush=True)", "2>&-"),
    ],
)
def test_a_reader_that_goes_away_or_was_never_there_changes_no_exit_code(tmp_path, program, shell):
    (tmp_path / "program.py").write_text(STREAMS.format(program + "; sys.exit(3)"), encoding="utf-8")
    done = run(f"python {tmp_path}/program.py {shell}", PYTHONIOENCODING="ascii")
    assert done.returncode == 3 and b"Error" not in done.stderr, done.stderr
    assert done.stdout in (b"x", b"", b"? True\n")


def test_a_line_for_which_there_is_no_stderr_is_dropped(monkeypatch):
    with open(os.devnull) as read_only:
        for stream in (None, read_only):
            monkeypatch.setattr(sys, "stderr", stream)
            to_stderr("nobody reads this")


@pytest.mark.slow
def test_a_run_whose_reader_goes_away_ends_well_and_says_how_far_it_is_as_long_as_one_reads(tmp_path):
    """Lightning-AI/pytorch-lightning#10876: not one line in a log file until the end."""
    options = words({**SERIAL, "total_env_steps": 40_000, "run_dir": tmp_path / "read"})
    done = run(f"python -m experiments.train {' '.join(options)}", **ASCII)
    assert done.returncode == 0
    assert re.search(rb"lstm on MaskedVelocityCartPole-v1: [\d,]+ of 40,000 env steps(, return [\d.]+)?, ", done.stderr)
    for number, end in enumerate(("2>&1 | head -1", ">&- 2>&-")):
        folder = tmp_path / f"unread {number}"
        given = shlex.join(words({**SERIAL, "total_env_steps": 40_000, "run_dir": folder}))
        done = run(f"python -m experiments.train {given} {end}")
        assert done.returncode == 0 and json.loads((folder / "summary.json").read_text())["exit_code"] == 0


def test_a_line_comes_as_soon_as_there_is_something_to_say_and_then_every_half_minute(monkeypatch):
    monkeypatch.setattr("experiments.lab.progress_lines.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("experiments.lab.progress_lines.SECONDS", 0.05)
    said, lines = [], iter(["", "", "first", "second", *["later"] * 1000])
    with progress_lines(lambda: next(lines), said.append, wanted=True):
        deadline = time.monotonic() + soon(5)
        while len(said) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert said[:3] == ["first", "second", "later"]
    with progress_lines(lambda: "never", said.append, wanted=False):
        time.sleep(0.02)
    assert "never" not in said
