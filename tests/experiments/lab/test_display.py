"""What a terminal of 80 columns shows while runs train."""

import io

import pytest
from rich.console import Console

from experiments.lab import display


@pytest.fixture
def shown(monkeypatch):
    """The text that bars leave on a terminal of 80 columns."""
    text = io.StringIO()
    monkeypatch.setattr(display, "Console", lambda **_: Console(file=text, width=80))
    return text


def test_a_terminal_of_80_columns_shows_the_return_and_then_the_speed(shown):
    with display.training_progress() as progress:
        bar = display.TrainingDisplay(progress, 1_500_000, "lstm on MaskedVelocityCartPole-v1")
        bar.row({"global_step": 1_234_567, "charts/episodic_return": 123.456, "charts/SPS": 54_321.0})
    (line,) = shown.getvalue().splitlines()
    assert len(line) <= 80 and "return 123.46  54,321 steps" in line


def test_a_study_shows_how_many_of_its_runs_are_complete(shown):
    with display.training_progress() as progress:
        study = display.StudyDisplay(progress, 12, 3)
        study.notify("Training 9 of 12 runs in [runs]")
        study.end()
    first, last = shown.getvalue().splitlines()
    assert first.rstrip() == "Training 9 of 12 runs in [runs]" and "4 of 12 runs" in last
