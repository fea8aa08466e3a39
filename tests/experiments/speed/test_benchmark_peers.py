"""The benchmark of peers: the rule that all are judged by, the numbers of a record, the table, a peer that fails."""

import csv
import json
import sys
from argparse import Namespace
from pathlib import Path
from textwrap import dedent

import pytest

from experiments import train
from experiments.lab.command_line import parse
from experiments.lab.records import Record
from experiments.speed import pong_peers
from experiments.speed.benchmark_peers import __main__ as benchmark_peers
from experiments.speed.benchmark_peers import processes, rounds
from experiments.speed.benchmark_peers.command import Command
from experiments.speed.benchmark_peers.outcomes import OURS, our_outcome, outcome, peer_outcome, set_ratios, speed
from experiments.speed.benchmark_peers.page import markdown, write
from experiments.speed.benchmark_peers.peers import PEERS
from experiments.speed.benchmark_peers.processes import ProcessFailed, run_process
from experiments.speed.benchmark_peers.rounds import outcomes
from experiments.speed.peers import measurement
from experiments.speed.peers.measurement import Measurement, SolvedRule

KNOWN = {"startup_seconds": 2.0, "best_mean": 480.0, "version": "fast 1.0", "settings": "as shipped"}


def trained(peer: str, sps: int, seconds: int = 60, solved_at: float | None = None, number: int = 1) -> dict:
    """A run of so many env steps a second, confirmed with a mean of 490 at this second if at all."""
    points = [(sps * second, float(second)) for second in range(1, seconds + 1)]
    crossing = {"confirmed": True, "confirmation": 490.0}
    attempts = [{**crossing, "env_steps": int(sps * solved_at), "seconds": solved_at}] if solved_at else []
    return outcome(points, attempts, **KNOWN, peer=peer, round=number, seed=number)


def results_of(*runs: dict) -> dict:
    titles = {OURS: "ours", "sb3": "SB3", "rllib": "RLlib"}
    set_ratios(list(runs))
    return {"words": "Measured on a machine.", "titles": titles, "outcomes": list(runs)}


def cells_of(results: dict, title: str) -> list[str]:
    (row,) = (line for line in markdown(results).splitlines() if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_window_is_100_episodes_or_twice_the_environments():
    assert [SolvedRule(environments).window.maxlen for environments in (1, 8, 50, 51, 64)] == [100, 100, 100, 102, 128]


def test_a_full_window_with_a_mean_of_475_is_a_crossing():
    rule = SolvedRule(environments=8)
    assert [rule.add(500.0) for _ in range(99)] == [False] * 99  # 99 perfect episodes are no window
    assert rule.add(0.0)  # 99 · 500 / 100 = 495
    assert [rule.add(0.0) for _ in range(5)] == [True, True, True, True, False]  # 490, 485, 480, 475, 470


def test_old_episodes_leave_the_window():
    rule = SolvedRule(environments=1)
    assert not any(rule.add(20.0) for _ in range(100))
    assert [rule.add(500.0) for _ in range(95)] == [False] * 94 + [True]  # (95 · 500 + 5 · 20) / 100 = 476


def test_a_crossing_that_fresh_episodes_do_not_confirm_empties_the_window(tmp_path):
    run = Measurement(Namespace(record=tmp_path / "r", seconds=60.0, began=0.0), 1, ("pytest",), "as shipped")
    run.start()
    assert not run.episodes([500.0] * 99, env_steps=1000)
    assert run.episodes([500.0], env_steps=1100)
    run.confirm(lambda: [400.0] * 100)
    assert not run.over and not run.episodes([500.0] * 99, env_steps=2000)
    assert run.episodes([500.0], env_steps=2100)
    run.confirm(lambda: [480.0] * 100)
    assert run.over
    run.end()
    result = peer_outcome([json.loads(line) for line in (tmp_path / "r").read_text().splitlines()])
    assert (result["solved"], result["attempts"]) == (True, 2)
    assert (result["env_steps"], result["confirmation"]) == (2100, 480.0)


def test_the_clock_stops_while_training_waits_for_a_confirmation(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(measurement.time, "perf_counter", lambda: clock[0])
    run = Measurement(Namespace(record=tmp_path / "r", seconds=60.0, began=0.0), 1, ("pytest",), "")

    def play() -> list[float]:
        clock[0] += 7.0
        return [0.0]

    run.start()
    clock[0] = 10.0
    run.episodes([500.0] * 100, env_steps=1000)
    run.confirm(play)
    assert run.seconds == 10.0
    run.episodes([500.0] * 100, env_steps=1000)
    run.confirm(play, pause=False)
    assert run.seconds == 17.0


def test_a_checkpoint_that_comes_later_confirms_the_crossing_at_its_own_time(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(measurement.time, "perf_counter", lambda: clock[0])
    run = Measurement(Namespace(record=tmp_path / "r", seconds=60.0, began=0.0), 1, ("pytest",), "")
    run.start()
    clock[0] = 10.0
    run.episodes([500.0] * 100, env_steps=1000)
    clock[0] = 12.0
    run.progress(1200)
    run.confirm(lambda: [480.0], "of its first checkpoint after it", pause=False)
    run.end()
    result = peer_outcome([json.loads(line) for line in (tmp_path / "r").read_text().splitlines()])
    assert (result["env_steps"], result["seconds"]) == (1000, 10.0)
    assert result["confirmed_with"] == "of its first checkpoint after it"


def test_speed_is_measured_after_four_seconds_of_warm_up():
    assert speed([(10, 1.0), (100, 4.0), (1100, 6.0)]) == 500.0  # (1100 - 100) / (6 - 4)
    assert speed([(100, 2.0), (300, 4.5)]) == 300 / 4.5  # too little is left: the whole run
    assert speed([]) is None


def test_what_a_run_does_after_its_crossing_does_not_count():
    run = outcome(
        [(1000, 5.0), (2000, 10.0), (9000, 20.0)],
        [{"env_steps": 2000, "seconds": 10.0, "confirmation": 481.0, "confirmed": True}],
    )
    assert (run["sps"], run["env_steps"], run["seconds"]) == (200.0, 2000, 10.0)


def test_our_own_crossing_counts_only_within_the_time_that_peers_have():
    config = {
        "mode": "async",
        "workers": 2,
        "envs_per_worker": 32,
        "segment_length": 32,
        "core": "lstm",
        "hidden_size": 64,
        "learning_rate": 3e-3,
        "total_env_steps": 1_500_000,
    }
    rows = [{"global_step": 1000 * second, "time/seconds": float(second)} for second in range(1, 21)]
    crossing = {"env_steps": 15_000, "seconds": 15.0, "window_mean": 478.0, "confirmation": 485.0, "confirmed": True}
    summary = {"solve_attempts": [crossing], "mean_return": 478.0, "startup_seconds": 3.0}
    run = Record(Path("run"), config, rows, summary, 475.0)
    in_time, too_late = our_outcome(run, 60.0), our_outcome(run, 12.0)
    assert (in_time["solved"], in_time["seconds"], in_time["env_steps"]) == (True, 15.0, 15_000)
    assert (too_late["solved"], too_late["seconds"], too_late["sps"]) == (False, 12.0, 1000.0)


def test_ratios_are_taken_within_a_round():
    runs = [
        trained(OURS, 8000, solved_at=10.0, number=1),
        trained("sb3", 400, solved_at=40.0, number=1),
        trained(OURS, 6000, solved_at=20.0, number=2),
        trained("sb3", 400, solved_at=50.0, number=2),
    ]
    set_ratios(runs)
    assert [run["speed_ratio"] for run in runs if run["peer"] == "sb3"] == [20.0, 15.0]
    assert [run["time_ratio"] for run in runs if run["peer"] == "sb3"] == [4.0, 2.5]


def test_a_run_of_ours_beside_a_peer_has_its_ratios_to_that_peer_of_the_same_round():
    runs = [
        trained(OURS, 8000, solved_at=10.0),
        trained("sb3_alike", 400),
        trained("ours-sb3_alike", 6000, solved_at=20.0),
        trained("ours-sb3_alike-as-one-array", 8000),
        trained("ours-sb3_alike", 6000, number=2),  # the peer failed in that round
    ]
    set_ratios(runs)
    assert [run.get("speed_ratio") for run in runs] == [None, 20.0, 15.0, 20.0, None]
    assert (runs[2]["time_ratio"], runs[2]["time_bound"]) == (3.0, ">")


@pytest.mark.parametrize(
    "ours, theirs, shown", [(10.0, 40.0, "4"), (10.0, None, ">6"), (None, 15.0, "<0.25"), (None, None, "–")]
)
def test_a_run_that_did_not_solve_the_task_gives_a_bound(ours, theirs, shown):
    results = results_of(trained(OURS, 8000, solved_at=ours), trained("sb3", 400, solved_at=theirs))
    assert cells_of(results, "SB3")[-1] == shown  # 60 seconds each


def test_the_table_has_a_row_a_peer_and_in_it_a_number_a_round():
    results = results_of(
        trained(OURS, 80_000, solved_at=10.0),
        trained("sb3", 400),
        trained(OURS, 80_000, solved_at=12.0, number=2),
        trained("sb3", 500, solved_at=48.0, number=2),
    )
    assert cells_of(results, "ours")[:6] == [
        "ours",
        "fast 1.0",
        "as shipped",
        "80.0k / 80.0k",
        "800.0k / 960.0k",
        "10.0 / 12.0",
    ]
    assert cells_of(results, "SB3")[3:] == [
        "400 / 500",
        "not in 24.0k / 24.0k",
        "not in 60.0 / 48.0",
        "no crossing / 490.0",
        "480 / 480",
        "2.0 / 2.0",
        "200 / 160",
        ">6 / 4",
    ]
    assert "What this table does not show" in markdown(results)


def test_the_table_says_with_whose_parameters_a_crossing_was_confirmed():
    run = trained("sb3", 400, solved_at=40.0)
    run["confirmed_with"] = "of its first checkpoint after it"
    assert cells_of(results_of(run), "SB3")[6] == "490.0 (of its first checkpoint after it)"


def test_three_files_hold_the_results(tmp_path):
    results = results_of(trained(OURS, 8000, solved_at=10.0), trained("sb3", 400))
    write(results, tmp_path / "new")
    assert json.loads((tmp_path / "new/peers.json").read_text()) == results
    assert (tmp_path / "new/peers.md").read_text().startswith("Measured on a machine.")
    with open(tmp_path / "new/peers.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["peer"], row["sps"], row["machine"]) for row in rows] == [
        (OURS, "8000.0", "Measured on a machine."),
        ("sb3", "400.0", "Measured on a machine."),
    ]


def test_the_committed_page_is_drawn_again_from_the_committed_results(tmp_path):
    committed = Path(measurement.__file__).parents[2] / "results" / "peers"
    (tmp_path / "peers.json").write_bytes((committed / "peers.json").read_bytes())
    benchmark_peers.run(Command(redraw=True, out=tmp_path))
    for file in ("peers.json", "peers.md", "peers.csv"):
        assert (tmp_path / file).read_bytes() == (committed / file).read_bytes()


FAILS = """\
    import sys
    print("no such thing as a \\x1b[31mred\\x1b[0m herring in", __file__)
    sys.exit(1)
"""
WORKS = """\
    import json, sys
    given = dict(word[2:].split("=") for word in sys.argv[1:])
    known = {"versions": {"fake": "1.0"}, "settings": f"seed {given['seed']}", "startup_seconds": 1.0}
    lines = [{"what": "start"} | known]
    lines += [{"what": "progress", "env_steps": 100 * s, "seconds": s, "returns": [9.0]} for s in range(1, 11)]
    lines += [{"what": "end", "env_steps": 1000, "seconds": 10.0, "best_mean": 9.0}]
    open(given["record"], "w").write("".join(json.dumps(line) + "\\n" for line in lines))
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository whose training and whose first peer fail; nothing is installed."""
    scripts = {
        "experiments/train.py": FAILS,
        "experiments/speed/peers/sb3.py": FAILS,
        "experiments/speed/peers/rllib.py": WORKS,
        "experiments/__init__.py": "",
        "experiments/speed/__init__.py": "",
        "experiments/speed/peers/__init__.py": "",
    }
    for name, text in scripts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(dedent(text))
    monkeypatch.setattr(processes, "ROOT", tmp_path)
    monkeypatch.setattr(rounds, "ROOT", tmp_path)
    monkeypatch.setattr(rounds, "install", lambda _name, _packages, _folder: Path(sys.executable))
    return tmp_path


def test_a_run_that_fails_is_reported_with_its_last_lines_and_the_others_run(repository):
    command = Command(peers="sb3,rllib", rounds=2, cpus=1, seed=5, runs_dir=repository / "runs")
    runs = list(outcomes(command, repository / "records"))
    assert [(run["round"], run["peer"], run["seed"]) for run in runs] == [
        (1, OURS, 5),
        (1, "sb3", 5),
        (1, "rllib", 5),
        (2, OURS, 6),
        (2, "sb3", 6),
        (2, "rllib", 6),
    ]
    assert [run["error"] is None for run in runs] == [False, False, True] * 2
    # neither colours nor folders of the machine get into the results
    assert runs[1]["error"] == "exit code 1\nno such thing as a red herring in ./experiments/speed/peers/sb3.py"
    assert (runs[2]["sps"], runs[5]["settings"]) == (100.0, "seed 6")
    text = markdown(results_of(*runs))
    assert "**SB3 failed in round 2**" in text and "red herring" in text
    assert cells_of(results_of(*runs), "SB3")[3] == "failed / failed"


def test_beside_a_peer_that_is_alike_runs_our_ppo_with_its_options(repository, monkeypatch):
    """They are options of the command line that works, and say what the peer's script says."""
    commands = {}

    def note(words, log, *_limit, **_variables):
        commands[log.stem] = words
        raise ProcessFailed("noted")

    monkeypatch.setattr(rounds, "run_process", note)
    command = Command(peers="sb3_alike,jax_alike", cpus=2, peer_seconds=30.0, runs_dir=repository / "runs")
    names = [run["peer"] for run in outcomes(command, repository / "records")]
    one_by_one, as_one_array = (f"ours-sb3_alike-environments-{how}" for how in ("one-by-one", "as-one-array"))
    assert names == [OURS, "sb3_alike", one_by_one, as_one_array, "jax_alike", "ours-jax_alike"]
    vector = "MaskedVelocityCartPole-v1"
    for name, environment in ((one_by_one, "PeersCartPole-v0"), (as_one_array, vector), ("ours-jax_alike", vector)):
        monkeypatch.setattr(sys, "argv", ["train", *commands[name][3:]])
        config = parse(train.Command, "", train.defaults()).config
        assert (config.algorithm, config.workers, config.max_seconds, config.stop_when_solved) == ("ppo", 2, 30, True)
        assert (config.envs_per_worker, config.segment_length, config.epochs, config.minibatches) == (16, 64, 4, 4)
        assert config.env_id == environment


def test_a_peer_that_cannot_be_installed_is_reported_and_the_others_run(repository, monkeypatch):
    def install(name: str, _packages: tuple[str, ...], _folder: Path) -> Path:
        if name == "sb3":
            raise ProcessFailed("exit code 1\nNo matching distribution found")
        return Path(sys.executable)

    monkeypatch.setattr(rounds, "install", install)
    command = Command(peers="sb3,rllib", cpus=1, runs_dir=repository / "runs")
    _, sb3, rllib = outcomes(command, repository / "records")
    assert sb3["error"].endswith("No matching distribution found") and rllib["error"] is None


def test_a_run_that_does_not_end_is_stopped(tmp_path):
    with pytest.raises(ProcessFailed, match=r"still running after 1 s\nstarted"):
        run_process([sys.executable, "-uc", "import time; print('started'); time.sleep(60)"], tmp_path / "log", 1.0)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"peers": "sb3,sb4"}, "--peers"),
        ({"rounds": 0}, "--rounds 0"),
        ({"cpus": 3}, "--cpus 3"),
        ({"peer_seconds": 0.0}, "--peer-seconds 0.0"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_installed(options, words):
    with pytest.raises(ValueError, match=words):
        Command(**options).checked(most_cpus=2)


def test_every_peer_has_a_script_of_its_own_and_pinned_packages():
    folder = Path(measurement.__file__).parent
    scripts = {path.stem for path in folder.glob("*.py")} - {"__init__", "measurement", "pong"}
    peers = PEERS | pong_peers.PEERS
    assert scripts == set(peers)
    assert all("==" in package for peer in peers.values() for package in peer.packages)
