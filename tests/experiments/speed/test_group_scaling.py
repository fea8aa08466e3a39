"""What an update costs a group: what is sent, and that what was measured is not measured again."""

import os

import pytest

from experiments.lab.rows import read_csv
from experiments.speed.group_scaling import __main__ as group_scaling
from experiments.speed.group_scaling import group
from experiments.speed.group_scaling.__main__ import Command
from experiments.speed.group_scaling.group import measure_group
from experiments.speed.group_scaling.medians import medians
from experiments.speed.group_scaling.page import limit
from experiments.speed.group_scaling.traffic import traffic
from tests.support.runs import ROOT


@pytest.mark.slow
def test_an_update_sends_a_gradient_and_the_parameters_for_each_other_worker():
    """4 · 100,000 bytes each way; all_reduce passes two thirds of a vector of 3 workers on, twice, in each of them."""
    ordered, together = measure_group(3, [100_000])
    megabytes = 2 * 2 * 0.4  # of two workers
    small = 0.1  # rows, ledgers and sums
    assert (ordered["reduce"], together["reduce"]) == ("ordered", "all_reduce")
    assert megabytes < ordered["all_bytes"] / 1e6 < megabytes + small
    assert 3 * 2 * 2 / 3 * 0.4 < together["all_bytes"] / 1e6 < 3 * 2 * 2 / 3 * 0.4 + small
    assert 2 * 0.4 < ordered["busiest_bytes"] / 1e6 < 2 * 0.4 + small
    assert 2 * 2 / 3 * 0.4 < together["busiest_bytes"] / 1e6 < 2 * 2 / 3 * 0.4 + small
    assert all(0 < row["exchange_seconds"] < row["seconds"] for row in (ordered, together))


def test_to_count_bytes_leaves_no_descriptor_open():
    traffic()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        traffic()
    assert len(os.listdir("/proc/self/fd")) == before


def rows_of(size, parameters, seconds=0.010):
    """As a group of this size measures them: worker 0 receives 4 bytes a parameter from each other worker, in order."""
    return [
        {
            "reduce": way,
            "parameters": many,
            "workers": size,
            "updates": 10,
            "seconds": seconds,
            "exchange_seconds": 0.008,
            "busiest_bytes": 4 * many * sent,
            "all_bytes": 8 * many * (size - 1),
        }
        for many in parameters
        for way, sent in (("ordered", size - 1), ("all_reduce", 2 * (size - 1) / size))
    ]


def test_a_command_that_was_interrupted_measures_what_is_missing(monkeypatch, tmp_path):
    """Two repetitions of two sizes: the third of four groups is cut off."""
    asked = []

    def measure(size, parameters, groups):
        asked.append((size, list(parameters)))
        if len(asked) > groups:
            raise KeyboardInterrupt
        return rows_of(size, parameters)

    command = Command(workers="2,4", parameters="1000", repetitions=2, out=tmp_path)
    monkeypatch.setattr(group, "measure_group", lambda *what: measure(*what, groups=2))
    with pytest.raises(KeyboardInterrupt):
        group_scaling.group_scaling(command)
    assert asked == [(2, [1000]), (4, [1000]), (2, [1000])]
    assert len(read_csv(tmp_path / "group_scaling.csv")) == 4
    asked.clear()
    monkeypatch.setattr(group, "measure_group", lambda *what: measure(*what, groups=9))
    group_scaling.group_scaling(command)
    group_scaling.group_scaling(Command(workers="4", parameters="1000,9000", repetitions=2, out=tmp_path))
    assert asked == [(2, [1000]), (4, [1000]), (4, [9000]), (4, [9000])]
    page = (tmp_path / "group_scaling.md").read_text()
    assert "Medians of 2 groups" in page and "| ordered | 9k | 10.00 (10.00 to 10.00) |" in page
    assert "2 workers" not in page  # they are in the file, and were not asked for
    assert (tmp_path / "group_scaling.png").stat().st_size > 10_000


def test_a_page_that_is_drawn_again_says_what_its_numbers_were_measured_on(monkeypatch, tmp_path):
    """It named the machine and the commit of whoever drew it."""
    monkeypatch.setattr(group, "measure_group", rows_of)
    for machine, parameters in (("one", "1000"), ("another", "1000,9000"), ("a third", "1000,9000")):
        monkeypatch.setattr(group_scaling, "this_machine", lambda machine=machine: machine)
        group_scaling.group_scaling(Command(workers="2", parameters=parameters, repetitions=1, out=tmp_path))
    assert (tmp_path / "group_scaling.md").read_text().startswith("Measured on one; another. Medians of 1 groups")


def test_the_committed_page_is_drawn_again_from_the_committed_rows(monkeypatch, tmp_path):
    committed = ROOT / "experiments" / "results" / "group_scaling"
    (tmp_path / "group_scaling.csv").write_bytes((committed / "group_scaling.csv").read_bytes())
    monkeypatch.setattr(group, "measure_group", lambda *_: pytest.fail("measured"))
    group_scaling.group_scaling(Command(out=tmp_path))
    for file in ("group_scaling.csv", "group_scaling.md"):
        assert (tmp_path / file).read_bytes() == (committed / file).read_bytes()


def test_medians_are_over_repetitions():
    written = [
        {key: str(value) for key, value in row.items()}
        for seconds in (0.030, 0.010, 0.011)
        for row in rows_of(2, [1000], seconds)
    ]
    ordered, together = medians(written)
    assert (ordered["seconds"], ordered["least"], ordered["most"]) == (0.011, 0.010, 0.030)
    assert (ordered["repetitions"], together["reduce"]) == (3, "all_reduce")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (
            0.010,
            [
                "The first limit of 8 workers is the link of worker 0. ",
                "takes its link 6.7 to 672 ms each way",
                "and 2 to 2 ms between exchanges",
                "many workers there are (1.7 to 168 ms)",
            ],
        ),
        (9.0, ["The first limit of 8 workers is what worker 0 does while the others wait. "]),
    ],
)
def test_the_limit_of_a_group_is_what_takes_longest_at_1_gbit_a_second(seconds, words):
    """In order of 8 workers worker 0 gets 7 · 4 bytes a parameter: 30,000 are 0.84 MB, 0.84 · 8 / 1000 s = 6.7 ms."""
    table = medians(
        [
            {key: str(value) for key, value in row.items()}
            for size in (2, 8)
            for row in rows_of(size, [30_000, 3_000_000], seconds)
        ]
    )
    assert all(one in limit(table) for one in words)
