"""The comparison with others on Pong: its table, and what it refuses."""

import pytest

from experiments.speed import pong_peers
from experiments.speed.benchmark_peers.outcomes import OURS, outcome, set_ratios
from experiments.speed.benchmark_peers.processes import ProcessFailed
from experiments.speed.pong_peers import PEERS, Command, page

KNOWN = {"startup_seconds": 2.0, "best_mean": -20.0, "version": "fast 1.0", "settings": "as shipped"}


def test_the_table_has_a_number_of_each_round_and_says_what_failed():
    """1,800 against 300 env steps a second: 6 times as many."""
    runs = [
        outcome([(sps * second, float(second)) for second in range(1, 60)], [], **KNOWN, round=number, peer=peer)
        for number, speeds in ((1, {OURS: 1800, "pong_sb3": 300}), (2, {OURS: 2000, "pong_sb3": 250}))
        for peer, sps in speeds.items()
    ]
    runs.append({"round": 1, "peer": "pong_torch", "sps": None, "solved": False, "error": "exit code 1\nno games"})
    set_ratios(runs)
    machine = {"date": "2026-11-28T00:00", "processor": "a processor"}
    text = page({"machine": machine, "cpus": 2, "peer_seconds": 60.0, "outcomes": runs})
    assert "| **carryover (ours)** | fast 1.0 | as shipped | 1,800 / 2,000 | – / – |" in text
    assert f"| {PEERS['pong_sb3'].title} | fast 1.0 | as shipped | 300 / 250 | 6 / 8 |" in text
    assert f"{PEERS['pong_torch'].title} failed in round 1, and said last:\n\n```\nexit code 1\nno games\n```" in text


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"rounds": 0}, "--rounds 0: a number from 1 to 1000 is needed"),
        ({"peer_seconds": 0.5}, "--peer-seconds 0.5: a number from 1 to 1000000 is needed"),
        ({"cpus": 9}, "--cpus 9: a number from 0 to 2 is needed"),
    ],
)
def test_an_option_out_of_range_is_one_line(options, line):
    with pytest.raises(ValueError) as error:
        Command(**options).checked(2)
    assert str(error.value) == line


def test_each_is_run_in_every_round_and_one_that_cannot_be_installed_is_reported(tmp_path, monkeypatch, capsys):
    def install(name, packages, _runs_dir):
        if name == "pong_torch":
            raise ProcessFailed("no such package")
        assert packages == PEERS[name].packages
        return tmp_path / "python"

    def run(*_arguments, **_named):
        return outcome([(100, 1.0), (1_000, 10.0)], [], **KNOWN)

    for name, stand_in in (("install", install), ("run_ours", run), ("run_peer", run)):
        monkeypatch.setattr(f"experiments.speed.benchmark_peers.rounds.{name}", stand_in)
    pong_peers.run(Command(rounds=2, runs_dir=tmp_path / "runs", out=tmp_path / "out"))
    text = (tmp_path / "out" / "pong_peers.md").read_text()
    assert "| 100 / 100 | – / – |" in text and "| 100 / 100 | 1 / 1 |" in text
    assert text.count("no such package") == 2
    assert "round 2: pong_sb3, 100 env steps a second" in capsys.readouterr().out
