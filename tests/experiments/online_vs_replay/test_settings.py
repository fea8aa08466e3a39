"""Tuning chooses the best complete trial of each arm."""

import pytest

from experiments.lab.rows import write_csv
from experiments.online_vs_replay.arms import ARMS
from experiments.online_vs_replay.settings import settings_of, tuned
from experiments.online_vs_replay.tasks import TASKS, normalised


def test_tuning_chooses_the_trial_with_the_best_mean_of_normalised_late_returns():
    """Masked (261 - 22) / 478 = 0.5 and 0.1 on recall are 0.3; 0.25 and 0.45 are 0.35, and win by both together."""
    assert normalised(TASKS["masked"], 261.0) == 0.5 and normalised(TASKS["recall 24"], 0.45) == 0.45
    late = {0: {"masked": 261.0, "recall 24": 0.1}, 3: {"masked": 141.5, "recall 24": 0.45}}
    rows = [
        {"arm": f"{task} / a2c lstm / {trial}", "seed": 901, "late_greedy": value, "final_greedy": 500.0}
        for trial, of in late.items()
        for task, value in of.items()
    ]
    assert tuned("a2c lstm", rows) == 3
    assert tuned("a2c gru", rows) == 0  # not tuned yet: its first


def test_of_trials_that_are_equally_good_the_first_is_chosen_and_other_arms_do_not_count():
    late = {"q lstm stored / 5": 300.0, "q lstm stored / 2": 300.0, "q lstm stored burn in / 7": 400.0}
    rows = [{"arm": f"masked / {name}", "late_greedy": value} for name, value in late.items()]
    assert (tuned("q lstm stored", rows), tuned("q lstm stored burn in", rows)) == (2, 7)


def test_a_trial_that_is_not_complete_is_not_chosen():
    rows = [
        {"arm": f"{task} / a2c lstm / {trial}", "late_greedy": late}
        for task, trial, late in (("masked", 1, 100.0), ("recall 24", 1, 0.0), ("masked", 2, 500.0))
    ]
    assert tuned("a2c lstm", rows) == 1


@pytest.mark.parametrize("trial", [5, 6])
def test_settings_are_read_from_the_rows_of_tuning(trial, tmp_path):
    row = {"arm": f"masked / a2c lstm / {trial}", "seed": 901, "late_greedy": 500.0}
    (tmp_path / "tuning").mkdir()
    write_csv(tmp_path / "tuning" / "runs.csv", [row])
    assert settings_of("a2c lstm", tmp_path) == ARMS["a2c lstm"].trials[trial]
