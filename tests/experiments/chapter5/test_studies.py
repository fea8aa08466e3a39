"""The commands of the chapter's studies, and the numbers that only one of them has."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.chapter5 import first_45_seconds, n_steps, policy_gradients, repairs
from experiments.lab import learning_curves
from experiments.lab.records import Record
from experiments.lab.tables import study_table
from tests.support.runs import ROOT
from tests.support.tiny_studies import row_of

STUDIES = {policy_gradients: 5, n_steps: 7, repairs: 7, first_45_seconds: 4}  # and how many arms


def arms_of(module):
    named = module.arms if hasattr(module, "arms") else module.ARMS
    return named(45.0) if module is first_45_seconds else named() if callable(named) else named


@pytest.mark.parametrize("module", STUDIES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_wrong_option_ends_each_study_with_one_line_before_anything_is_trained(
    module, no_training, monkeypatch, capsys, tmp_path
):
    for words, line in (
        (["--seeds", "0"], "--seeds 0: a whole number of at least 1 is needed"),
        (["--seeds", "many"], "--seeds 'many': a whole number is needed"),
        (["--arms", "dqn"], f"--arms 'dqn': all, or a list out of {','.join(arms_of(module))}, is needed"),
        (["--env-steps", "100"], "--env-steps 100: at least"),
    ):
        monkeypatch.setattr(sys, "argv", ["study", "--runs-dir", str(tmp_path / "runs"), *words])
        with pytest.raises(SystemExit) as end:
            module.main()
        said = capsys.readouterr().err
        assert end.value.code == 2 and said.startswith(f"error: {line}") and said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("module", STUDIES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_each_study_leaves_rows_curves_a_table_and_a_figure_of_every_arm(module, asked, monkeypatch, tmp_path, capsys):
    name = module.__name__.rpartition(".")[2]
    monkeypatch.setattr(sys, "argv", ["study", "--seeds", "1", "--out", str(tmp_path), "--wandb", "disabled"])
    monkeypatch.setattr(learning_curves, "CURVE_RESAMPLES", 10)
    with pytest.raises(SystemExit) as end:
        module.main()
    assert end.value.code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"runs.csv", "curves.csv", f"{name}.md", f"{name}.png"}
    arms = list(arms_of(module))
    assert len(arms) == len(set(asked)) == STUDIES[module]  # folders of their own
    assert [row["arm"] for row in csv.DictReader((tmp_path / "runs.csv").open())] == arms
    table = [line for line in (tmp_path / f"{name}.md").read_text().splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in table[1 : len(arms) + 1]] == [f"| {arm}" for arm in arms]
    assert str(tmp_path) in capsys.readouterr().out


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_no_seconds_are_one_line_and_not_a_run_without_a_limit(seconds, no_training, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["study", "--runs-dir", str(tmp_path / "runs"), "--seconds", seconds])
    with pytest.raises(SystemExit) as end:
        first_45_seconds.main()
    assert end.value.code == 2
    assert capsys.readouterr().err == f"error: --seconds {float(seconds)}: a number above 0 is needed\n"


def test_a_run_is_held_against_the_book_by_when_it_got_there_and_how_much_it_jumps():
    """Means of up to five lengths are 10, 15, 10, 80, 70, 142, …: 140 is reached at the sixth point. Over the second
    half lengths jump by 340, 270 and 70, at a mean of 167.5; what is before does not count."""
    lengths = [10.0, 20.0, 0.0, 290.0, 30.0, 370.0, 100.0, 170.0]
    rows = [
        {"charts/episodic_length": length, "time/seconds": k, "global_step": 1000 * k}
        for k, length in enumerate(lengths, start=1)
    ]
    short = Record(Path("x"), {"seed": 2}, rows[:2], {}, None)
    curves = {"Monte Carlo as printed": [short, Record(Path("x"), {"seed": 1}, rows, {}, None)]}
    got = first_45_seconds.beside_the_book({"arm": "Monte Carlo as printed", "seed": "1"}, curves)
    jumps = (340 + 270 + 70) / 3 / ((30 + 370 + 100 + 170) / 4)
    assert got == {
        "book": 140.0,
        "seconds_to_book": 6.0,
        "env_steps_to_book": 6000.0,
        "jaggedness": pytest.approx(jumps),
    }
    never = first_45_seconds.beside_the_book({"arm": "Monte Carlo as printed", "seed": "2"}, curves)
    assert never["seconds_to_book"] == never["env_steps_to_book"] == float("inf")
    assert study_table([row_of("a", 1, 1.0) | never], first_45_seconds.EXTRA[1:2]).endswith("| not reached |")


def test_what_a_repair_buys_is_the_change_against_the_arm_before_it_and_how_likely_it_is_one():
    """All of 20 to 24 are above all of 10 to 14; their middles are 12 and 22."""
    ends = {"as printed": (10, 11, 12, 13, 14), "bootstrap": (20, 21, 22, 23, 24), "time limit": (20, 21, 22, 23, 24)}
    rows = [row_of(arm, seed, end) for arm, seeds in ends.items() for seed, end in enumerate(seeds)]
    lines = repairs.gains(rows).splitlines()
    assert lines[4] == "| bootstrap | +10.0 | 1.00 [1.00, 1.00] |"
    assert lines[5].startswith("| time limit | +0.0 | 0.50 [0.") and len([x for x in lines if x.startswith("| ")]) == 3


def test_all_repairs_together_are_held_against_the_listing():
    rows = [
        row_of(arm, seed, end + seed)
        for seed in range(4)
        for arm, end in (("as printed", 10), ("nothing after end", 30))
    ]
    assert "| these but the last, against as printed | +20.0 | 1.00 [1.00, 1.00] |" in repairs.gains(rows)


NAMES = ("policy_gradients", "n_steps", "repairs", "first_45_seconds")


@pytest.fixture(scope="module")
def helps():
    """What --help of each study prints, and what was loaded for all of them; one process, since each start is slow."""
    code = """
import runpy, sys
for name in sys.argv[1:]:
    sys.argv = [name, "--help"]
    try:
        runpy.run_module(f"experiments.chapter5.{name}", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        print("exit", end.code, sorted({"torch", "wandb", "matplotlib", "gymnasium"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *NAMES],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return dict(zip(NAMES, re.split(r"^exit 0 \[\]$", done.stdout, flags=re.M), strict=False))


@pytest.mark.parametrize("name", NAMES)
def test_help_of_a_study_says_its_question_command_time_and_output_without_loading_torch(helps, name):
    words = re.sub(r"[\s│]+", " ", helps[name])
    assert f"usage: python -m experiments.chapter5.{name} " in words
    assert re.search(r"Question: .*\? .*Command: +python -m experiments.chapter5." + name, words)
    assert re.search(r"Time: +\d+ minutes on 2 CPUs for \d+ .* x [23] seeds", words)
    assert f"Output: {name}.md and .png (table, learning curves), runs.csv and curves.csv in --out" in words
    for option in ("--arms", "--seeds", "--first-seed", "--env-steps", "--processes", "--runs-dir", "--out", "--wandb"):
        assert f" {option} " in words
    assert f"runs/chapter5/{name}" in words
