"""The benchmark: what it counts, in which order it measures, and what it writes; never how fast anything is."""

import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments.speed.benchmark import __main__ as benchmark
from experiments.speed.benchmark import configurations as named
from experiments.speed.benchmark import jobs, runs
from experiments.speed.benchmark import results as written
from experiments.speed.benchmark import roofline as rooflines
from experiments.speed.benchmark.command import SECTIONS, Command
from experiments.speed.benchmark.configurations import BASE, ENDLESS, configurations, differing, scaled
from experiments.speed.benchmark.jobs import Job, interleaved, jobs_of, measure_all
from experiments.speed.benchmark.page import page
from experiments.speed.benchmark.roofline import flop_per_env_step, product_shapes, roofline
from experiments.speed.benchmark.spread import spread
from experiments.speed.benchmark.timers import TimedLock
from experiments.speed.benchmark.worker_parts import PARTS
from experiments.speed.memory import resident_bytes
from rl.presets import SPEED
from rl.shared.processes import SERVED
from tests.support.configs import cartpole_config
from tests.support.rl_small import make_agent

ROOT = Path(__file__).parents[3]
SMALL = {"torso_size": 4, "hidden_size": 5}
SPEEDS = [100_000.0, 300_000.0, 200_000.0]
MACHINE = {
    "processor": "Abacus",
    "cpus": 2,
    "memory_bytes": 4 * 2**30,
    "system": "Linux 6",
    "load_average": 0.0,
    "versions": {"python": "3.11", "torch": "2"},
    "date": "2026-01-02T03:04:05+00:00",
    "git_commit": "0123456789ab+",
}


def test_the_flop_of_an_env_step_are_six_for_every_weight_of_torso_core_and_heads():
    """3 features, torso of 4, core of 5, 2 actions: torso 3·4 = 12, heads 5·2 + 5·1 = 15 multiply-adds; a gate of the
    core 5·4 + 5·5 = 45. Three units of 2 FLOP each: forward, gradient of the input, gradient of the weight."""
    for core, gates in (("lstm", 4), ("gru", 3)):
        agent = make_agent(cartpole_config(core=core, **SMALL), observation_size=3, num_actions=2)
        assert flop_per_env_step(agent) == 3 * 2 * (12 + gates * 45 + 15)
    agent = make_agent(cartpole_config(core="mlp", **SMALL), observation_size=3, num_actions=2)
    assert flop_per_env_step(agent) == 3 * 2 * (12 + 5 * 4 + 15)


def test_the_products_are_those_of_acting_and_of_the_way_back():
    agent = make_agent(cartpole_config(core="lstm", **SMALL), observation_size=3, num_actions=2)
    acting, back, inputs, weights = product_shapes(agent, batch=7, steps=10)
    assert acting == (7, 4 + 5, 4 * 5)
    assert back == (7, 4 * 5, 5)
    assert inputs == (7 * 10, 4 * 5, 4)
    assert weights == (4 * 5, 7 * 10, 4 + 5)


@pytest.mark.parametrize(("workers", "fraction"), [(1, 0.1), (2, 0.05), (8, 0.05)])
def test_the_roofline_is_the_best_rate_of_each_cpu_in_use(monkeypatch, workers, fraction):
    """1000 env steps a second of 100 FLOP are 100 kFLOP a second; the best rate is 1 MFLOP a second, on 2 CPUs."""
    monkeypatch.setattr(rooflines, "available_cpus", lambda: 2)
    rates = [{"flop_per_env_step": 100, "rates": rates} for rates in ({"a": 9e5, "b": 5e5}, {"a": 1e6, "b": 4e5})]
    found = roofline(rates, workers, [1000.0])
    assert found["fraction"]["median"] == pytest.approx(fraction)
    assert found["rates"] == {"a": 1e6, "b": 5e5}


def test_a_spread_is_of_what_is_known():
    assert spread([3.0, None, 1.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 3.0, "values": [3.0, 1.0, 2.0]}
    assert spread([None, None]) is None


def test_resident_bytes_are_known_on_a_system_with_proc():
    assert (resident_bytes() or 2**30) > 2**20
    assert resident_bytes("nobody") is None


def test_repetitions_are_interleaved_and_a_job_with_fewer_ends_sooner(capsys):
    order = []

    def job(name, repetitions):
        return Job("letter", name, repetitions, lambda repetition: order.append((name, repetition)) or {"at": 1})

    letters = [job("A", 3), job("B", 2), job("C", 3)]
    assert "".join(job.name for job, _ in interleaved(letters)) == "ABCABCAC"
    measured = measure_all(letters)
    assert order == [("A", 0), ("B", 0), ("C", 0), ("A", 1), ("B", 1), ("C", 1), ("A", 2), ("C", 2)]
    assert {name: len(found) for name, found in measured["letter"].items()} == {"A": 3, "B": 2, "C": 3}


def test_every_preset_is_measured_as_it_is_on_the_same_task():
    assert list(configurations()) == ["masked-cartpole", *SPEED]
    for name, config in configurations().items():
        assert config == replace(BASE, **SPEED.get(name, {}))


@pytest.fixture
def two_presets(monkeypatch):
    presets = {"fast": {"envs_per_worker": 64}, "throughput": {"workers": 1, "stop_when_solved": True}}
    monkeypatch.setattr(named, "SPEED", presets)


NAMED = ["masked-cartpole", "fast", "throughput"]


def names(sections, **options):
    found = {}
    for job in jobs_of(Command(sections=sections, **options), Path("unused")):
        found.setdefault(job.kind, []).append(job.name)
    return found


def test_a_section_measures_what_its_table_needs_and_no_more(two_presets):
    assert names("throughput") == {"run": NAMED}
    assert names("solved") == {"solved": NAMED}
    assert names("contention", workers="1,4") == {"contention": ["1", "2", "4"]}
    assert names("parts") == {"parts": [*NAMED, "--unroll again"]}
    assert names("roofline") == {"run": NAMED, "rates": NAMED}
    assert names("startup") == {"startup": ["masked-cartpole"]}
    assert names("memory") == {"run": NAMED, "torch": ["masked-cartpole"], "growth": ["throughput"]}
    kinds = {"run", "solved", "contention", "parts", "rates", "startup", "torch", "growth"}
    assert set(names(",".join(SECTIONS))) == kinds


def test_scaling_changes_one_option_at_a_time_and_measures_the_base_once(two_presets):
    runs = names("throughput,scaling", workers="1,4")["run"]
    assert len(runs) == len(set(runs))
    assert {*NAMED, "--workers 1", "--workers 4", "--mode sync", "--unroll again", "--hidden-size 128"} < set(runs)
    assert {f"--envs-per-worker {environments}" for environments in (8, 64, 128, 256)} < set(runs)
    config = scaled(Command().axes())["--segment-length 128"]
    assert differing(config) == {"segment_length": 128}
    assert Command(workers="1,4").axes()["workers"] == [1, BASE.workers, 4]
    assert set(names("scaling")["run"]) == set(scaled(Command().axes()))


@pytest.mark.parametrize("repetitions", [1, 3])
def test_all_speeds_are_of_runs_of_the_same_length_and_repeated_as_often(two_presets, monkeypatch, repetitions):
    """Early training is slower, since its episodes are short: a shorter run would be at a disadvantage."""
    for name in ("measure_run", "measure_contention", "measure_growth", "measure_solving"):
        monkeypatch.setattr(jobs, name, lambda config, limit: (config.workers, limit))
    command = Command(repetitions=repetitions, seeds=5, run_seconds=4.0, solve_seconds=9.0, memory_env_steps=700)
    planned = {
        (job.kind, job.name): (job.repetitions, job.measure(0))
        for job in jobs_of(command, Path("unused"))
        if job.kind not in ("parts", "rates", "startup", "torch")
    }
    assert planned["run", "masked-cartpole"] == (repetitions, (2, 4.0)) and planned["run", "fast"] == (
        repetitions,
        (2, 4.0),
    )
    assert planned["run", "--workers 8"] == (repetitions, (8, 4.0)) == planned["contention", "8"]
    assert planned["solved", "fast"] == (5, (2, 9.0))
    assert planned["growth", "throughput"] == (1, (1, 700))


def test_each_repetition_has_the_next_seed_and_its_own_folder(two_presets, monkeypatch):
    monkeypatch.setattr(jobs, "measure_solving", lambda config, _seconds: config)
    (base, *_) = jobs_of(Command(sections="solved", seeds=3, first_seed=11), Path("runs"))
    configs = [base.measure(repetition) for repetition in range(base.repetitions)]
    assert [config.seed for config in configs] == [11, 12, 13]
    assert len({config.run_dir for config in configs}) == 3
    assert {replace(config, seed=1, run_dir="") for config in configs} == {BASE}


TINY = replace(
    BASE, **SMALL, workers=1, envs_per_worker=2, segment_length=4, log_interval=200, eval_episodes=2, wandb="disabled"
)
SOME_RSS = 2**24 if resident_bytes() else None  # of a process with torch at least, where the system tells


def test_a_run_is_measured_and_stopped_at_its_time(tmp_path):
    found = runs.measure_run(replace(TINY, run_dir=str(tmp_path / "run")), seconds=0.2)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    first = next(row for row in rows if row["time/seconds"] >= 0.2)
    assert found["sps"] == first["global_step"] / first["time/seconds"]
    assert rows[-1]["global_step"] < ENDLESS["total_env_steps"] / 10
    assert found["worker_bytes"] is SOME_RSS is None or found["worker_bytes"] > SOME_RSS


def test_a_long_run_is_looked_at_after_each_tenth_while_its_worker_lives(tmp_path):
    found = runs.measure_growth(replace(TINY, run_dir=str(tmp_path)), env_steps=4000)
    assert found["env_steps"] == [400, 800, 1200, 1600, 2000, 2400, 2800, 3200, 3600, 4000]
    assert len(found["worker"]) == len(found["parent"]) == 10
    sizes = found["worker"] + found["parent"]
    assert all(size is SOME_RSS is None or size > SOME_RSS for size in sizes)


def test_the_lock_of_a_real_run_is_timed(tmp_path, monkeypatch):
    given = []
    contention = runs.contention
    monkeypatch.setattr(runs, "contention", lambda *arguments: given.extend(arguments) or contention(*arguments))
    found = runs.measure_contention(replace(TINY, workers=2, run_dir=str(tmp_path)), seconds=0.2)
    assert 0 < found["waiting"] < 1
    assert 0 < found["pull_hold"] < found["push_hold"] < 0.2  # a copy; Adam and the ledger
    assert found["pull_wait"] > 0 and found["push_wait"] > 0
    spent, worker_seconds = given
    assert worker_seconds >= 2 * 0.2 and spent[:, 1:].sum() < worker_seconds
    assert abs(spent[0, 0] - spent[1, 0]) <= 2  # each worker pulls before it pushes


def test_shares_and_means_of_waiting_by_hand():
    """10 pulls wait 2 s and hold 1 s, 5 pushes wait 4 s and hold 3 s: 6 s of waiting out of two workers' 10 s each."""
    spent = np.array([[10, 2.0, 1.0], [5, 4.0, 3.0]])
    assert runs.contention(spent, 20.0) == {
        "waiting": 0.3,
        "pull_wait": 0.2,
        "push_wait": 0.8,
        "pull_hold": 0.1,
        "push_hold": 0.6,
    }


def test_a_timed_lock_tells_waiting_from_holding_and_pulls_from_pushes():
    lock = TimedLock(SERVED.Lock())
    assert lock.acquire(timeout=1.0)  # the parent's way
    threading.Timer(0.2, lock.release).start()
    with lock:  # a pull
        assert not lock.acquire(timeout=0.0)
    with lock:  # a push
        time.sleep(0.1)
    with lock:
        pass
    (pulls, pull_waited, pull_held), (pushes, push_waited, push_held) = lock.shared.spent
    assert (pulls, pushes) == (2, 1)
    assert pull_waited > 0.1 > pull_held and push_held > 0.09 > push_waited
    assert lock.acquire(timeout=0.0)  # given back each time


def made_up(command):
    """Measurements of all kinds, a few numbers each."""
    runs = {**scaled(command.axes()), **configurations()}
    mib = 2**20
    return {
        "run": {
            name: [
                {"sps": sps, "worker_bytes": 250 * mib, "summary_sps": sps / 2, "startup_seconds": 2.0}
                for sps in SPEEDS
            ]
            for name in runs
        },
        "rates": {name: [{"flop_per_env_step": 200_000, "rates": {"1x2 @ 2x3": 1e11}}] for name in runs},
        "solved": {
            "masked-cartpole": [{"seconds": s, "env_steps": s and 100_000 * s} for s in (4.0, 2.0, None)],
            "fast": [{"seconds": None, "env_steps": None}] * 3,
        },
        "contention": {
            "4": [
                {"waiting": w, "pull_wait": 1e-6, "push_wait": 4e-5, "pull_hold": 2e-6, "push_hold": 3e-4}
                for w in (0.01, 0.03)
            ]
        },
        "growth": {
            "throughput": [
                {
                    "env_steps": [1_010_000, 5_000_000, 10_010_000],
                    "worker": [250 * mib, 260 * mib, 252 * mib],
                    "parent": [None] * 3,
                }
            ]
        },
        "parts": {"masked-cartpole": [{part: 1.5e-6 for part in PARTS}]},
        "startup": {"masked-cartpole": [{"help": 0.25, "first_update": 3.0, "startup": 2.0}]},
        "torch": {"masked-cartpole": [{"bytes": 200 * mib}]},
    }


@pytest.fixture
def results(two_presets, monkeypatch):
    monkeypatch.setattr(rooflines, "available_cpus", lambda: 2)
    command = Command(seeds=3, first_seed=11)
    return {"machine": MACHINE, **written.summarise(command, made_up(command))}


def test_tables_have_median_and_range_and_say_who_did_not_solve(results):
    text = page(results)
    assert "Abacus, 2 CPUs, 4.0 GiB" in text and "commit 0123456+." in text
    # 200 000 env steps a second · 200 000 FLOP = 4e10 of 2 · 1e11 FLOP a second
    cells = "200.0k (100.0k–300.0k) | 20.0% (10.0%–30.0%)"
    assert f"| masked-cartpole | {cells} | 100.0k (50.0k–150.0k) | – |" in text
    assert f"| fast | {cells} | 100.0k (50.0k–150.0k) | `--envs-per-worker 64` |" in text
    assert (
        "| masked-cartpole | 2 of 3 | 3.0 (2.0–4.0) | 300k (200k–400k) |" in text
        and "| fast | 0 of 3 | – | – |" in text
    )
    assert "Seeds 11 to 13;" in text and "stopped after 40 seconds" in text
    assert "| 4 | 2.00% (1.00%–3.00%) | 1.0 (1.0–1.0) | 2.0 (2.0–2.0) | 40.0 (40.0–40.0) | 300.0" in text
    assert "| process | after 1.01M env steps | after 10.01M env steps | growth |" in text
    assert "| largest worker, throughput | 250.0 | 252.0 | 2.0 |" in text and "| its parent | – | – | – |" in text
    assert "| 4 | 200.0k (100.0k–300.0k) | 20.0%" in text and "| sync | 200.0k" in text
    assert "| 1 | 200.0k (100.0k–300.0k) | 40.0%" in text  # one worker can use one CPU
    assert "| masked-cartpole | 1.50 (1.50–1.50) |" in text
    assert "| largest worker, fast | 250 (250–250) | 50 |" in text
    assert "| first update is on disk | 3.00 (3.00–3.00) |" in text and "| 1x2 @ 2x3 | 100.0 |" in text


def test_numbers_tables_and_figure_are_written_without_paths_of_this_machine(results, tmp_path):
    written.write(results, tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "benchmark.json",
        "benchmark.md",
        "benchmark.png",
    ]
    numbers = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert numbers["run"]["masked-cartpole"]["sps"] == {"median": 2e5, "min": 1e5, "max": 3e5, "values": SPEEDS}
    assert numbers["scaling"]["workers"] == [
        [1, "--workers 1"],
        [2, "masked-cartpole"],
        [4, "--workers 4"],
        [8, "--workers 8"],
    ]
    assert str(ROOT) not in json.dumps(numbers)


def test_what_was_not_measured_is_left_out(results, tmp_path):
    """Without /proc nobody knows a worker's memory; without runs there is no figure."""
    command = Command(sections="startup")
    few = {"machine": MACHINE | {"git_commit": None, "memory_bytes": None}}
    few |= written.summarise(command, {"startup": made_up(command)["startup"]})
    written.write(few, tmp_path)
    assert not (tmp_path / "benchmark.png").exists()
    assert (tmp_path / "benchmark.md").read_text().count("**") == 2  # one title
    for run in results["run"].values():
        run["worker_bytes"] = None
    assert "| largest worker, masked-cartpole | – | – |" in page(results)
    written.write({key: value for key, value in results.items() if key != "scaling"}, tmp_path)
    assert (tmp_path / "benchmark.png").stat().st_size > 1000


@pytest.mark.parametrize("name", ["benchmark", "benchmark_solved"])
def test_the_committed_page_is_drawn_again_from_the_committed_numbers(name, tmp_path):
    committed = ROOT / "experiments" / "results" / name
    (tmp_path / "benchmark.json").write_bytes((committed / "benchmark.json").read_bytes())
    benchmark.run(Command(redraw=True, out=tmp_path))
    for file in ("benchmark.json", "benchmark.md"):
        assert (tmp_path / file).read_bytes() == (committed / file).read_bytes()


def test_without_numbers_there_is_nothing_to_draw_again(tmp_path):
    with pytest.raises(ValueError, match=r"^--out \S+: it holds no benchmark.json to draw from$"):
        benchmark.run(Command(redraw=True, out=tmp_path))


def test_help_opens_at_once_and_explains_the_options():
    done = _command("-X", "importtime", "-m", "experiments.speed.benchmark", "--help")
    assert done.returncode == 0 and "--solve-seconds" in done.stdout and "env steps a second" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "rl.config" in imported and not imported & {"matplotlib", "torch", "wandb"}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--sections", "speed"], f"error: --sections 'speed': a list out of {','.join(SECTIONS)} is needed"),
        (["--sections", ","], f"error: --sections ',': a list out of {','.join(SECTIONS)} is needed"),
        (["--repetitions", "0"], "error: --repetitions 0: a whole number of at least 1 is needed"),
        (["--run-seconds", "nan"], "error: --run-seconds nan: a number above 0 is needed"),
        (["--first-seed", "-1"], "error: --first-seed -1: a whole number of at least 0 is needed"),
        (["--memory-env-steps", "0"], "error: --memory-env-steps 0: a whole number of at least 1 is needed"),
    ],
)
def test_a_wrong_option_is_one_line_before_anything_is_measured(options, line, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmark", *options])
    monkeypatch.setattr(jobs, "measure_all", lambda _jobs: pytest.fail("measured"))
    with pytest.raises(SystemExit) as end:
        benchmark.main()
    assert end.value.code == 2
    assert capsys.readouterr().err.strip() == line


def test_a_wrong_number_of_workers_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmark", "--workers", "1,none"])
    with pytest.raises(SystemExit):
        benchmark.main()
    assert capsys.readouterr().err.startswith("error: --workers 'none': a list of whole numbers of at least 1")


def _command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300)
