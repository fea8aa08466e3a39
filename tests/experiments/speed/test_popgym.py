"""The speed of POPGym's environments beside the package: medians of rounds, the page, and a bad option."""

import json

import pytest

from experiments.speed.popgym import Command, page, row, run


def test_a_row_has_the_medians_of_rounds_and_of_their_ratios():
    """The median of 10, 40 and 30 is 30, which is not 400 / 20."""
    found = row("HigherLowerEasy", [(100.0, 10.0), (800.0, 20.0), (900.0, 30.0)])
    assert found == {"name": "HigherLowerEasy", "ours": 800.0, "official": 20.0, "ratio": 30.0}


def test_the_page_has_a_line_for_each_id_and_the_median_and_the_least_ratio():
    rows = [{"name": "One", "ours": 2000000.4, "official": 50000.0, "ratio": 40.0}]
    rows += [{"name": "Two", "ours": 1000.0, "official": 100.0, "ratio": 10.04}]
    lines = page(rows, 32, 3).splitlines()
    assert lines[4:6] == ["| One | 2,000,000 | 50,000 | 40.0 |", "| Two | 1,000 | 100 | 10.0 |"]
    assert lines[-1].startswith("The median ratio is 25.0, the least 10.0. Batches of 32,")


def test_it_measures_two_ids_of_which_ours_are_faster(tmp_path):
    """By 16 times or more; 1 holds on a busy machine too."""
    pytest.importorskip("popgym")
    run(Command(names="RepeatFirstEasy,ConcentrationEasy", rounds=1, seconds=0.05, out=tmp_path))
    found = json.loads((tmp_path / "popgym.json").read_text())
    assert [one["name"] for one in found["rows"]] == ["RepeatFirstEasy", "ConcentrationEasy"]
    assert all(one["ratio"] == one["ours"] / one["official"] > 1 for one in found["rows"])
    assert "| ConcentrationEasy | " in (tmp_path / "popgym.md").read_text()


def test_an_id_that_there_is_not_is_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"^--names 'Pong': a list of RepeatFirstEasy, .* is needed$"):
        run(Command(names="Pong", out=tmp_path))
    assert list(tmp_path.iterdir()) == []
