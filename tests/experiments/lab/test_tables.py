"""Tables and pages of a study."""

import pytest

from experiments.chapter5.length_study import COLUMNS
from experiments.lab.records import mean_staleness
from experiments.lab.tables import Column, publish, study_table
from tests.support.tiny_studies import row_of


@pytest.mark.parametrize(
    ("histogram", "mean"),
    [([2, 0, 2], 1.0), ([7], 0.0), ([0, 3], 1.0), ([1, 2, 1], 1.0), ([3, 0, 0, 1], 0.75), ([], 0.0)],
)
def test_the_mean_staleness_of_2_gradients_of_age_0_and_2_of_age_2_is_1(histogram, mean):
    assert mean_staleness(histogram) == mean


def test_a_table_of_one_seed_has_no_intervals():
    assert study_table([row_of("N = 10", 1, 99.96)], COLUMNS).splitlines() == [
        "| | seeds | env steps | updates | seconds | episode length at the end | greedy | sampled |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        "| N = 10 | 1 | 70,000 | 7,001 | 1.2 | 100.0 | 500.0 | 12.3 |",
    ]


def test_a_table_of_several_seeds_has_a_row_an_arm_medians_and_interquartile_means_with_intervals():
    """Of 0, 1, 2 and 100 the middle two: 1.5. Two runs of 0 and 100: every mean from 0 to 100 is in the interval."""
    rows = [row_of("b", seed, 100 * seed, updates=10**seed) for seed in (0, 1)]
    rows += [row_of("a", seed, final, updates=final) for seed, final in enumerate((0, 1, 2, 100))]
    table = study_table(
        rows, (Column("updates", "median", 1, True), Column("final_length", "mean", 0, False))
    ).splitlines()
    assert table[0] == "| | seeds | median | mean |"
    assert table[2] == "| b | 2 | 5.5 | 50 [0, 100] |"
    assert table[3].startswith("| a | 4 | 1.5 | 2 [") and len(table) == 4
    assert study_table(rows[:1] * 3, COLUMNS).splitlines()[2].endswith("| 500.0 [500.0, 500.0] | 12.3 [12.3, 12.3] |")


def test_a_page_is_written_and_printed_with_the_files_beside_it(tmp_path, capsys):
    (tmp_path / "runs.csv").touch()
    (tmp_path / "plain-s1").mkdir()
    publish(tmp_path, "page", "| table |\n\n")
    assert (tmp_path / "page.md").read_text() == "| table |\n"
    assert capsys.readouterr().out.endswith(f"Written to {tmp_path}: page.md, runs.csv\n")
