"""Ways to distribute learning: the expensive environment, which systems are compared, and what the numbers mean."""

import math
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import envs
from experiments.chapter5.expensive import EXPENSIVE_ENV
from experiments.chapter5.ways_to_distribute import __main__ as ways
from experiments.chapter5.ways_to_distribute.agreement import agreement
from experiments.chapter5.ways_to_distribute.command import Command
from experiments.chapter5.ways_to_distribute.figure import ways_figure
from experiments.chapter5.ways_to_distribute.page import lead, page
from experiments.chapter5.ways_to_distribute.projection import Projection, project, projection_table, to_length, winner
from experiments.chapter5.ways_to_distribute.speed import speed_configs, speed_table, speeds
from experiments.chapter5.ways_to_distribute.ways import LONG_STEPS
from experiments.lab.command_line import parse
from experiments.lab.digest import digest
from experiments.lab.records import Record
from experiments.lab.rows import append_csv, read_csv
from rl.loop import NO_OVERRIDES
from tests.support.runs import ROOT

# --- the expensive environment


def played(env, steps, **env_args):
    """What 3 environments return for `steps` steps of the same actions, several episodes each."""
    vector = envs.make_vector(env, 3, env_args={"max_episode_steps": 30, **env_args})
    actions = np.random.default_rng(0).integers(0, 2, (steps, 3))
    return [vector.reset(seed=[5, 6, 7]), *(vector.step(row) for row in actions)]


@pytest.mark.parametrize("compute_ms", [0, 0.05])
def test_an_expensive_step_returns_what_the_cheap_one_returns(compute_ms):
    cheap = played("FallPenaltyCartPole-v1", 200)
    dear = played(EXPENSIVE_ENV, 200, compute_ms=compute_ms)
    assert sum(part[2].sum() + part[3].sum() for part in cheap[1:]) > 9  # episodes did end
    for expected, found in zip(cheap, dear, strict=True):
        for one, other in zip(expected[:-1], found[:-1], strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
        assert expected[-1].keys() == found[-1].keys()
        for key, value in expected[-1].items():
            np.testing.assert_array_equal(value, found[-1][key])


@pytest.mark.parametrize("num_envs", [1, 4])
def test_every_environment_of_a_batch_costs_its_own_time_on_a_core_busy_and_not_asleep(num_envs):
    vector = envs.make_vector(EXPENSIVE_ENV, num_envs, env_args={"compute_ms": 2})
    vector.reset(seed=1)
    before = time.thread_time()
    for _ in range(5):
        vector.step(np.zeros(num_envs, dtype=np.int64))
    assert time.thread_time() - before >= 5 * num_envs * 0.002


@pytest.mark.parametrize("compute_ms", [-1, -0.001, math.inf, math.nan, "much", True, None])
def test_a_cost_that_cannot_be_is_one_line(compute_ms):
    line = rf"compute_ms must be a number of milliseconds of at least 0, got {compute_ms!r}$"
    with pytest.raises(ValueError, match=line):
        envs.make_vector(EXPENSIVE_ENV, 1, env_args={"compute_ms": compute_ms})


# --- which systems


def test_all_ways_have_eight_environments_the_same_loss_and_the_same_env_steps():
    found = ways.arms(Command(arms="all", learn_expensive=False))
    assert [*found] == [
        "one process",
        "async 1 worker",
        "async 2 workers",
        "async 4 workers",
        "async 8 workers",
        "sync 1 worker",
        "sync 2 workers",
        "sync 4 workers",
        "sync 8 workers",
        "one process 8 x learning rate",
    ]
    fast = found.pop(LONG_STEPS).config
    assert replace(fast, learning_rate=1e-4) == found["one process"].config and fast.learning_rate == 8e-4
    configs = [arm.config for arm in found.values()]
    assert {config.workers * config.envs_per_worker for config in configs} == {8}
    assert [(config.mode, config.workers) for config in configs] == [
        ("serial", 1),
        *((mode, workers) for mode in ("async", "sync") for workers in (1, 2, 4, 8)),
    ]
    rest = {"mode": "serial", "workers": 1, "envs_per_worker": 8}
    assert len({replace(config, **rest) for config in configs}) == 1
    assert configs[0].total_env_steps == 70_000 and configs[0].segment_length == 10
    assert configs[0].env == "FallPenaltyCartPole-v1" and not configs[0].stop_at_episode_end
    assert all(arm.overrides == NO_OVERRIDES for arm in found.values())


def test_three_arms_learn_with_expensive_steps_too_if_they_are_chosen():
    both = ways.arms(Command(arms="async 8 workers,async 2 workers,one process", expensive_env_steps=6_000))
    assert [*both][4:] == ["async 2 workers 1 ms", "one process 1 ms"]
    dear = both["async 2 workers 1 ms"].config
    assert (dear.env, dear.env_args, dear.total_env_steps) == (EXPENSIVE_ENV, {"compute_ms": 1}, 6_000)
    assert (dear.mode, dear.total_environments, dear.eval_episodes) == ("async", 8, 1)


def test_expensive_arms_have_fewer_seeds(tmp_path):
    command = Command(arms="one process,sync 8 workers", seeds=5, expensive_seeds=2, out=tmp_path)
    cheap, expensive = (list(study.planned) for study in ways.studies(command))
    assert cheap == [(arm, s) for s in (1, 2, 3, 4, 5) for arm in ("one process", "sync 8 workers", LONG_STEPS)]
    assert expensive == [("one process 1 ms", 1), ("one process 1 ms", 2)]
    assert len(ways.studies(replace(command, learn_expensive=False))) == 1


def test_speed_is_measured_for_every_way_at_every_cost_the_repetitions_interleaved():
    command = Command(arms="one process,sync 4 workers", compute_ms="10,0.5", repetitions=2, seconds=1.5)
    planned = speed_configs(command)
    once = [("one process", 0.5), ("sync 4 workers", 0.5), ("one process", 10.0), ("sync 4 workers", 10.0)]
    assert [*planned] == [(*key, 1) for key in once] + [(*key, 2) for key in once]
    assert {config.max_seconds for config in planned.values()} == {1.5}
    assert [config.env_args["compute_ms"] for config in planned.values()] == [0.5, 0.5, 10, 10] * 2
    assert [config.seed for config in planned.values()] == [1] * 4 + [2] * 4
    assert len({config.run_dir for config in planned.values()}) == 8


def test_a_speed_that_has_its_row_is_not_measured_again_and_one_of_other_options_is_refused(tmp_path):
    command = Command(arms="one process", compute_ms="0,1", out=tmp_path, runs_dir=tmp_path / "runs")
    for (arm, cost, repetition), config in speed_configs(command).items():
        row = {
            "arm": arm,
            "workers": 1,
            "compute_ms": f"{cost:g}",
            "repetition": repetition,
            "digest": digest(config, NO_OVERRIDES),
            "sps": 7 + cost,
        }
        append_csv(tmp_path / "speed.csv", [row])
    assert [row["sps"] for row in speeds(command)] == ["7.0", "8.0"]
    assert not (tmp_path / "runs").exists()
    with pytest.raises(ValueError, match=r"its row of one process at 0 ms is of other options; name another --out"):
        speeds(replace(command, seconds=9.0))


def test_a_measurement_leaves_its_row(tmp_path):
    command = Command(arms="one process", compute_ms="1", seconds=0.3, runs_dir=tmp_path)
    (row,) = speeds(command)
    assert read_csv(tmp_path / "speed.csv") == [row]
    assert (row["arm"], row["compute_ms"], row["workers"], row["staleness"]) == ("one process", "1", "1", "0.0")
    assert float(row["seconds"]) >= 0.3
    assert float(row["sps"]) <= 1000  # 8 environments of 1 ms on one core
    assert float(row["sps"]) == pytest.approx(float(row["env_steps"]) / float(row["seconds"]), rel=2e-3)


# --- numbers


def curve(*points):
    """A run of points (env steps, seconds, episode length)."""
    rows = [
        {"global_step": steps, "time/seconds": seconds, "charts/episodic_length": length}
        for steps, seconds, length in points
    ]
    return Record(Path("x"), {"seed": 1}, rows, {}, None)


RISING = curve(
    (1000, 1.0, 20.0), (2000, 3.0, 40.0), (3000, 4.0, 60.0), (4000, 6.0, 100.0), (5000, 7.0, 180.0), (6000, 9.0, 220.0)
)


def test_the_length_is_reached_where_the_mean_of_five_points_first_has_it():
    """Means of up to five points: 20, 30, 40, 55, 80, 120."""
    assert to_length(RISING, 55) == 4000
    assert to_length(RISING, 55.1) == 5000
    assert to_length(RISING, 100) == 6000
    assert to_length(RISING, 100, "time/seconds") == 9.0
    assert to_length(RISING, 121) == math.inf


SPS = {
    ("one process", 0.0): 1000.0,
    ("async 2 workers", 0.0): 400.0,
    ("sync 4 workers", 0.0): 500.0,
    ("one process", 1.0): 100.0,
    ("async 2 workers", 1.0): 200.0,
    ("sync 4 workers", 1.0): 150.0,
}
STEPS = {
    "one process": [6000.0, math.inf, math.inf],
    "async 2 workers": [2000.0, 4000.0, 3000.0],
    "sync 4 workers": [4000.0, math.inf, 6000.0],
}


def test_projected_seconds_are_median_env_steps_over_speed():
    """6,000 steps a run. Medians: never, 3,000, 6,000."""
    assert project(STEPS, 6000, SPS, 0.0) == [
        ("one process", math.inf, 6.0),
        ("async 2 workers", 7.5, 15.0),
        ("sync 4 workers", 12.0, 12.0),
    ]
    assert project(STEPS, 6000, SPS, 1.0) == [
        ("one process", math.inf, 60.0),
        ("async 2 workers", 15.0, 30.0),
        ("sync 4 workers", 40.0, 40.0),
    ]


def test_the_winner_is_named_with_the_best_of_the_other_ways_and_what_is_still_open():
    cheap, dear = (project(STEPS, 6000, SPS, cost) for cost in (0.0, 1.0))
    assert winner(cheap, 0.0, 100) == (
        "At 0 ms: async 2 workers is soonest, 7.5 s projected; the best of each other way: sync 4 workers 12 s "
        "(1.60 times as long); open, because not there yet: one process (after 6 s)."
    )
    assert winner(dear, 1.0, 100) == (  # 60 s of one process were too long already: nothing is open
        "At 1 ms: async 2 workers is soonest, 15 s projected; the best of each other way: sync 4 workers 40 s "
        "(2.67 times as long)."
    )
    of_one_way = [*cheap, Projection("async 8 workers", 8.0, 9.0), Projection("one process", 9.0, 9.0)]
    assert "each other way: one process 9 s (1.20 times as long), sync 4 workers 12 s (" in winner(of_one_way, 0.0, 100)
    assert winner(cheap[:1], 0.0, 100) == "At 0 ms: no way reached a mean length of 100."


def test_the_table_of_projections():
    table = projection_table(STEPS, {cost: project(STEPS, 6000, SPS, cost) for cost in (0.0, 1.0)})
    assert table.splitlines()[0] == (
        "| | env steps to it | seeds that had it | projected seconds, 0 ms | projected seconds, 1 ms |"
    )
    assert table.splitlines()[2:] == [
        "| one process | not reached | 1 of 3 | > 6 | > 60 |",
        "| async 2 workers | 3,000 | 3 of 3 | 7.5 | 15 |",
        "| sync 4 workers | 6,000 | 2 of 3 | 12 | 40 |",
    ]


def speed_row(arm, cost, sps, staleness):
    return {"arm": arm, "compute_ms": str(cost), "sps": str(sps), "staleness": str(staleness)}


def test_the_table_of_speeds_has_medians_and_the_age_of_gradients_as_a_share_of_workers():
    rows = [
        speed_row("one process", 0, 20_000, 0.0),
        speed_row("one process", 10, 99.04, 0.0),
        *(speed_row("async 4 workers", 0, sps, age) for sps, age in ((9_000, 2.0), (7_000, 4.0), (8_000, 3.0))),
        speed_row("async 4 workers", 10, 190.4, 2.9),
    ]
    assert speed_table(rows).splitlines() == [
        "| | env steps a second, 0 ms | env steps a second, 10 ms | staleness, 0 ms | staleness, 10 ms |",
        "|---|---:|---:|---:|---:|",
        "| one process | 20,000 | 99 | 0 | 0 |",
        "| async 4 workers | 8,000 | 190 | 3.00 (0.75) | 2.90 (0.72) |",
    ]


def test_the_projection_is_held_against_the_runs_that_really_were_expensive():
    """5,000 env steps at a measured 200 a second are 25 projected seconds, and took 30; the last fifth is one point."""
    dear = curve((1000, 6.0, 90.0), (2000, 12.0, 110.0), (3000, 18.0, 120.0), (4000, 24.0, 50.0), (5000, 30.0, 70.0))
    rows = [
        {"arm": "async 2 workers", "env_steps": "6000", "seconds": "1"},
        {"arm": "async 2 workers 1 ms", "env_steps": "5000", "seconds": "30"},
    ]
    said = agreement(rows, {"async 2 workers": [RISING], "async 2 workers 1 ms": [dear]}, SPS, 100)
    assert said.splitlines()[2] == (
        # seconds to length 100: (90 + 110) / 2 is reached after 12 s; cheap: 6,000 env steps at 200 a second
        "| async 2 workers 1 ms | 5,000 | 30 | 25 | 1.20 | 70.0 | 180.0 | 12 | 30 |"
    )
    assert said.endswith("The real runs took 1.20 times the seconds projected for their env steps.")
    assert agreement(rows[:1], {"async 2 workers": [RISING]}, SPS, 100) == ""


@pytest.mark.parametrize(
    ("end", "said"), [(30, "need not come from"), (20, "still learns less"), (25, "neither surely more")]
)
def test_asyncs_lead_is_held_against_one_process_with_longer_steps(end, said):
    rows = [{"arm": "async 8 workers", "seed": str(seed), "final_length": "25"} for seed in range(5)]
    rows += [{"arm": LONG_STEPS, "seed": str(seed), "final_length": str(end)} for seed in range(5)]
    assert said in lead(rows) and lead(rows[:5]) == lead(rows[5:]) == ""


def test_the_page_has_every_part_and_the_figure_is_drawn(tmp_path):
    command = Command(arms="one process,async 2 workers", compute_ms="0,1", env_steps=6000, length=100)
    curves = {arm: [RISING, RISING] for arm in ways.arms(command)}
    numbers = {
        "env_steps": 6000,
        "updates": 75,
        "seconds": 9,
        "final_length": 220,
        "greedy_length": 300,
        "sampled_length": 250,
        "staleness": 0.5,
    }
    rows = [{"arm": arm, "seed": seed, **numbers} for arm in curves for seed in (1, 2)]
    speed_rows = [
        speed_row(arm, cost, SPS[arm, cost], 0.5) for arm in ("one process", "async 2 workers") for cost in (0, 1)
    ]
    text = page(command, rows, curves, speed_rows)
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Learning",
        "## Speed and staleness",
        "## Seconds to a mean episode length of 100, projected",
        "## The projection against runs with 1 ms",
    ]
    assert "- At 0 ms: one process is soonest, 6 s projected; the best of each other way: async 2 workers 15 s" in text
    assert "- At 1 ms: async 2 workers is soonest, 30 s projected" in text
    drawn = {("one process", 1): curves["one process"], ("async", 2): curves["async 2 workers"]}
    lines = {("one process", 1, 0.0): 1000.0, ("async", 2, 0.0): 400.0, ("async", 4, 0.0): 500.0}
    ways_figure(drawn, lines, tmp_path / "figure.png", 100)
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


# --- the command line


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"arms": "async 3 workers"}, r"--arms 'async 3 workers': all, quick, or a list out of one process,async 1 w"),
        ({"arms": "one process,one process"}, r"--arms 'one process,one process': each value once is needed"),
        ({"compute_ms": "1,-1"}, r"--compute-ms '-1': a list of numbers of at least 0, as in 0,1,10, is needed"),
        ({"compute_ms": "inf"}, r"--compute-ms 'inf': a list"),
        ({"compute_ms": "1,1.0"}, r"--compute-ms '1,1.0': each value once is needed"),
        ({"repetitions": 0}, r"--repetitions 0: a whole number of at least 1 is needed"),
        ({"env_steps": 4999}, r"--env-steps 4999: a whole number of at least 5000 is needed"),
        ({"expensive_env_steps": 1}, r"--expensive-env-steps 1: a whole number of at least 5000 is needed"),
        ({"seconds": 0.0}, r"--seconds 0.0: a number above 0 is needed"),
        ({"length": math.nan}, r"--length nan: a number above 0 is needed"),
    ],
)
def test_a_wrong_option_is_one_line(options, line):
    with pytest.raises(ValueError, match="^" + line):
        speed_configs(Command(**options))


def test_help_names_the_ways(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ways_to_distribute.py", "--help"])
    with pytest.raises(SystemExit) as end:
        parse(Command, ways.__doc__)
    said = capsys.readouterr().out
    assert end.value.code == 0 and "async W workers" in said and "--expensive-env-steps" in said


def test_a_wrong_option_ends_in_one_line_before_anything_is_imported_or_trained(tmp_path):
    code = (
        "import sys, atexit; from experiments.chapter5.ways_to_distribute import __main__ as ways; "
        "atexit.register(lambda: print(*{'torch', 'gymnasium', 'matplotlib'} & {*sys.modules})); ways.main()"
    )
    options = ["--runs-dir", str(tmp_path / "runs"), "--compute-ms=-1"]
    wrong = subprocess.run([sys.executable, "-c", code, *options], cwd=ROOT, capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stdout == "\n"
    assert wrong.stderr.startswith("error: --compute-ms '-1': ") and wrong.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()
