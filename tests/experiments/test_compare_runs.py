"""The comparison of runs: which runs are one arm, what the table says, and the files it leaves."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.compare_runs import compare
from experiments.lab.arms import COLOURS, arms_of, colours_of
from experiments.lab.figures import pdf_too
from experiments.lab.learning_curves import mean_curve, smoothed, solved_dot
from experiments.lab.records import Record, read_records
from tests.support.runs import ROOT

ENV = "MaskedVelocityCartPole-v1"


def write_run(parent: Path, core: str, seed: int, greedy=None, solved_at=None, killed=False, **options) -> Path:
    """A run of 4 intervals of 100 steps and 1 second, whose return climbs by 10 an interval."""
    path = parent / f"run-{len(list(parent.iterdir()))}"
    path.mkdir()
    config = {"env": ENV, "core": core, "seed": seed, "frame_stack": 1, "carry_state": True, **options}
    rows = [
        {"global_step": 100 * k, "time/seconds": float(k), "charts/episodic_return": 10.0 * k} for k in (1, 2, 3, 4)
    ]
    summary = {
        **{"sps": 100.0 * seed, "solved": solved_at is not None, "solved_at_env_steps": solved_at},
        **{"solved_at_seconds": solved_at and solved_at / 100, "eval_greedy": greedy, "eval_sampled": None},
        **{"exit_reason": "budget" if solved_at is None else "solved"},
    }
    (path / "config.json").write_text(json.dumps({"config": config, "reward_threshold": 475.0}))
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if not killed:
        (path / "summary.json").write_text(json.dumps(summary))
    return path


def arm_names(tmp_path: Path, *configs: dict) -> list[str]:
    paths = [write_run(tmp_path, **{"seed": 1, **config}) for config in configs]
    return [name for _, name in arms_of(read_records(paths))]


def test_an_arm_is_the_core_and_what_is_special_about_it(tmp_path):
    names = arm_names(
        tmp_path,
        *({"core": "lstm", "carry_state": False}, {"core": "lstm"}, {"core": "mlp", "frame_stack": 2}),
        *({"core": "gru"}, {"core": "mlp", "carry_state": False}),  # an MLP has no state to zero
    )
    assert names == ["mlp", "mlp 2 frames", "gru", "lstm", "lstm zeroed"]


def test_other_algorithms_are_named_and_their_ways_of_replay_too(tmp_path):
    """Else every option in which they differ would be part of the name."""
    replay = {"core": "lstm", "algorithm": "q_replay", "replay_way": "stored_burn_in"}
    online = [{"core": "lstm", "algorithm": name, "replay_way": "stored_burn_in"} for name in ("a2c", "q_online")]
    names = arm_names(tmp_path, replay, *online, replay | {"replay_way": "zero"})
    assert names == ["lstm", "lstm q_online", "lstm q_replay stored burn in", "lstm q_replay zero"]


def test_a_name_that_is_wider_than_the_figure_is_folded(tmp_path, monkeypatch):
    """One of 300 characters ran off both edges."""
    from matplotlib.figure import Figure

    told, legend = [], Figure.legend
    monkeypatch.setattr(
        Figure, "legend", lambda self, lines, names, **how: told.extend(names) or legend(self, lines, names, **how)
    )
    options = ({"core": "gru", **{f"option_{k}": n for k in range(20)}} for n in (8, 16))
    compare([write_run(tmp_path, seed=1, **one) for one in options], tmp_path / "out")
    assert len(told) == 2 and all(max(map(len, name.splitlines())) <= 90 for name in told)


def test_runs_that_differ_in_any_other_option_are_not_averaged(tmp_path):
    names = arm_names(tmp_path, *({"core": "gru", "segment_length": n} for n in (16, 8, 32)), {"core": "mlp"})
    assert names == ["mlp", "gru, segment_length 8", "gru, segment_length 16", "gru, segment_length 32"]


def test_arms_and_environments_are_in_the_order_of_their_numbers(tmp_path):
    rates = arm_names(tmp_path, *({"core": "gru", "learning_rate": rate} for rate in (0.01, 1e-05, 0.0003)))
    assert [name.split()[-1] for name in rates] == ["1e-05", "0.0003", "0.01"]
    paths = [write_run(tmp_path, "mlp", 1, env_arg=[f"delay={delay}"], frame_stack=4) for delay in (16, 8)]
    paths += [write_run(tmp_path, "mlp", 1, env_arg=["delay=8"], frame_stack=16)]
    assert list(arms_of(read_records(paths))) == [
        (f"{ENV} delay=8", "mlp 4 frames"),
        (f"{ENV} delay=8", "mlp 16 frames"),
        (f"{ENV} delay=16", "mlp 4 frames"),
    ]


def test_a_core_of_ones_own_is_named_by_its_class_and_comes_last(tmp_path):
    assert arm_names(tmp_path, {"core": "my.module:Core"}, {"core": "lstm"}) == ["lstm", "Core"]


def test_options_of_the_record_do_not_split_an_arm(tmp_path):
    assert arm_names(tmp_path, *({"core": "gru", "seed": n, "run_dir": f"runs/{n}"} for n in (1, 2))) == ["gru"]


def test_other_environment_arguments_are_another_environment(tmp_path):
    paths = [write_run(tmp_path, "lstm", 1, env_arg=[f"delay={delay}"]) for delay in (4, 8)]
    assert list(arms_of(read_records(paths))) == [(f"{ENV} delay=4", "lstm"), (f"{ENV} delay=8", "lstm")]


def test_the_module_that_registers_an_environment_does_not_make_it_another(tmp_path):
    paths = [write_run(tmp_path, "lstm", seed, env=env) for seed, env in [(1, ENV), (2, f"envs:{ENV}")]]
    assert list(arms_of(read_records(paths))) == [(ENV, "lstm")]


def test_one_seed_cannot_count_twice(tmp_path):
    paths = [write_run(tmp_path, "lstm", 1), write_run(tmp_path, "lstm", 1)]
    with pytest.raises(ValueError, match=r"run-0 are both lstm, seed 1: give one of them"):
        arms_of(read_records(paths))


@pytest.fixture
def comparison(tmp_path):
    """mlp: evaluations 10, 20, 30, never solved.  lstm: 20, 500, 500 and a killed run; three solved."""
    (tmp_path / "runs").mkdir()
    paths = [write_run(tmp_path / "runs", "mlp", seed, greedy=10.0 * seed) for seed in (1, 2, 3)]
    for seed, greedy, solved_at in [(1, 20, 200), (2, 500, 300), (3, 500, 400)]:
        paths.append(write_run(tmp_path / "runs", "lstm", seed, greedy, solved_at))
    paths.append(write_run(tmp_path / "runs", "lstm", 4, killed=True))
    return compare(paths, tmp_path / "out", resamples=2000), tmp_path / "out"


def test_the_rows_hold_what_the_seeds_came_to(comparison):
    (mlp, lstm), _ = comparison
    assert (mlp["arm"], mlp["seeds"], mlp["solved"], mlp["ended"]) == ("mlp", 3, 0, "3 budget")
    assert mlp["solved_at_env_steps_median"] is None
    assert (mlp["eval_greedy_iqm"], mlp["eval_greedy_low"], mlp["eval_greedy_high"]) == (20, 10, 30)
    assert (lstm["arm"], lstm["seeds"], lstm["solved"], lstm["ended"]) == ("lstm", 4, 3, "3 solved, 1 killed")
    assert [lstm[f"solved_at_env_steps_{what}"] for what in ("median", "min", "max")] == [300, 200, 400]
    assert [lstm[f"solved_at_seconds_{what}"] for what in ("median", "min", "max")] == [3, 2, 4]
    assert lstm["sps_median"] == 200  # of 100, 200, 300; the killed run wrote none
    assert (lstm["eval_greedy_iqm"], lstm["eval_greedy_runs"]) == (340, 3)  # (20 + 500 + 500) / 3
    assert lstm["eval_sampled_iqm"] is None


def test_the_markdown_table_and_its_notes(comparison):
    text = (comparison[1] / "comparison.md").read_text()
    lstm = "| lstm | 4 | 3 of 4 | 300 (200–400) | 3.0 (2.0–4.0) | 200 | 340.0 [20.0, 500.0] (3 runs) | – |"
    assert f"**{ENV}**" in text and f"{lstm} 3 solved, 1 killed |" in text
    assert "| mlp | 3 | 0 of 3 | – | – | 200 | 20.0 [10.0, 30.0] | – | 3 budget |" in text
    # Nine pairs: 20 beats 10, ties with 20, loses to 30; each 500 beats all three: (1.5 + 3 + 3) / 9.
    assert "P(lstm > mlp) on greedy evaluation: 0.83 [" in text and "P(gru" not in text
    assert "With fewer than 4 seeds the interquartile mean cuts nothing" in text
    assert "Where not every seed solved the task" in text and "![Learning curves](comparison.png)" in text


def test_notes_that_do_not_apply_are_left_out(tmp_path):
    paths = [write_run(tmp_path, "gru", seed, greedy=float(seed)) for seed in (1, 2, 3, 4)]
    compare(paths, tmp_path / "out", resamples=100)
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert "fewer than 4" not in text and "Where" not in text and "one point" not in text and "P(" not in text


def test_one_seed_has_no_interval(tmp_path):
    (row,) = compare([write_run(tmp_path, "gru", 1, greedy=7.0)], tmp_path / "out", resamples=50)
    assert (row["eval_greedy_iqm"], row["eval_greedy_low"], row["eval_greedy_high"]) == (7, None, None)
    assert "| 7.00 | – | 1 budget |" in (tmp_path / "out" / "comparison.md").read_text()


def test_the_csv_file_holds_the_rows_unrounded(comparison):
    rows, out = comparison
    with open(out / "comparison.csv", newline="") as file:
        written = list(csv.DictReader(file))
    assert written == [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]


def test_the_figure_is_a_png_that_fits_a_readme(comparison):
    picture = (comparison[1] / "comparison.png").read_bytes()
    width, height = (int.from_bytes(picture[start : start + 4]) for start in (16, 20))
    assert picture.startswith(b"\x89PNG\r\n") and 10_000 < len(picture) < 200_000
    assert 1000 < width < 1600 and 300 < height < 800


def test_the_same_runs_give_the_same_table_in_any_order(tmp_path):
    paths = [write_run(tmp_path, "gru", seed, greedy=float(seed**2)) for seed in range(1, 7)]
    assert compare(paths, tmp_path / "a", resamples=50) == compare(paths[::-1], tmp_path / "b", resamples=50)


def test_environments_are_the_tasks_of_the_probability(tmp_path):
    for env, lstm in [("A-v0", 2.0), ("B-v0", 0.0)]:  # a win in A, a loss in B; C was run by one of the two only
        write_run(tmp_path, "mlp", 1, greedy=1.0, env=env)
        write_run(tmp_path, "lstm", 1, greedy=lstm, env=env)
    write_run(tmp_path, "lstm", 1, greedy=9.0, env="C-v0")
    compare(sorted(tmp_path.iterdir()), tmp_path / "out", resamples=50)
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert "P(lstm > mlp) on greedy evaluation, mean over 2 environments: 0.50 (one seed each: no interval)." in text
    assert [text.count(f"**{env}-v0**") for env in "ABC"] == [1, 1, 1]


def test_a_probability_without_any_doubt_says_that_it_is_of_these_seeds(tmp_path):
    for core, greedy in [("mlp", 40.0), ("gru", 500.0)]:
        for seed in (1, 2):
            write_run(tmp_path, core, seed, greedy + seed)
    compare(sorted(tmp_path.iterdir()), tmp_path / "out", resamples=50)
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert "P(gru > mlp) on greedy evaluation: 1.00 [1.00, 1.00], the same in every resample of these seeds." in text


def test_a_solved_run_holds_its_last_value_and_an_unsolved_one_ends_the_line():
    short, long = _run([1, 2], [0, 10], solved=True), _run([1, 5], [0, 40], solved=True)
    grid, mean, (low, high) = mean_curve([short, long], "global_step")
    assert (grid[0], grid[-1]) == (1, 5)
    assert mean[-1] == (5 + 20) / 2 and (low[-1], high[-1]) == (5, 20)  # smoothed: (0 + 10) / 2, (0 + 40) / 2
    assert np.isclose(mean[grid.searchsorted(3)], (5 + 10) / 2, atol=0.2)

    gave_up = _run([1, 2], [0, 10], solved=False)
    assert mean_curve([gave_up, long], "global_step")[0][-1] == 2
    assert mean_curve([gave_up, _run([1, 5], [0, 40], solved=False)], "global_step")[0][-1] == 2
    assert mean_curve([_run([], [], solved=False), long], "global_step") is None


def test_the_dot_of_a_solved_run_lies_at_the_mean_that_decided():
    """Returns are 0 and 10, whose mean is 5; the threshold is 475, and the window of the confirmed crossing had 480."""
    run = _run([100, 200], [0, 10], solved=True)._replace(reward_threshold=475.0)
    assert solved_dot(run, "global_step") is None
    run.summary["solved_at_env_steps"] = 200
    assert solved_dot(run, "global_step") == (200, 475.0)
    attempts = [{"window_mean": 478.0, "confirmed": False}, {"window_mean": 480.0, "confirmed": True}]
    run.summary["solve_attempts"] = attempts
    assert solved_dot(run, "global_step") == (200, 480.0)
    del run.summary["solve_attempts"]
    assert solved_dot(run._replace(reward_threshold=None), "global_step") == (200, 5.0)


def test_a_figure_is_a_pdf_too_where_that_is_asked(tmp_path):
    runs = [write_run(tmp_path, "gru", seed, greedy=1.0) for seed in (1, 2)]
    compare(runs, tmp_path / "out", resamples=50)
    assert not (tmp_path / "out" / "comparison.pdf").exists()
    with pdf_too(True):
        compare(runs, tmp_path / "out", resamples=50)
    assert (tmp_path / "out" / "comparison.pdf").read_bytes().startswith(b"%PDF")


def test_an_arm_keeps_its_colour_whatever_it_is_compared_with():
    assert colours_of(["lstm"])["lstm"] == colours_of(["gru", "x", "lstm"])["lstm"] == COLOURS["lstm"]
    colours = colours_of(["mlp", "gru", "lstm", *"abcdef"])
    assert len(set(colours.values())) == 9


def test_help_opens_at_once_and_explains_the_options():
    done = _command("-X", "importtime", "-m", "experiments.compare_runs", "--help")
    assert done.returncode == 0 and "offline W&B folders" in done.stdout and "--bootstrap-seed" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "numpy" in imported and not imported & {"matplotlib", "torch", "wandb"}


def test_a_mistake_is_answered_in_one_line(tmp_path):
    done = _command("-m", "experiments.compare_runs", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {tmp_path}: empty folder") and done.stderr.count("\n") == 1


def _run(steps, returns, solved) -> Record:
    rows = [{"global_step": x, "charts/episodic_return": y} for x, y in zip(steps, returns, strict=True)]
    return Record(Path("run"), {}, rows, {"solved": solved}, None)


def _command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_a_curve_is_the_mean_of_five_log_intervals_and_of_fewer_at_its_start():
    x, y = smoothed(_run([1, 2, 3, 4, 5, 6], [0, 10, 20, 30, 40, 100], solved=False), "global_step")
    assert x.tolist() == [1, 2, 3, 4, 5, 6]
    assert y.tolist() == [0, 5, 10, 15, 20, 40]  # the last: (10 + 20 + 30 + 40 + 100) / 5
