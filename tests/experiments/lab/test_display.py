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


def test_a_study_says_how_long_the_other_runs_take_if_they_are_like_those_that_have_ended_here(shown, monkeypatch):
    """Two were found complete and count for nothing; one more has ended after 600 s, so the other 7 take 70 minutes."""
    clock = [0.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: clock[0])
    with display.training_progress() as progress:
        study = display.StudyDisplay(progress, 10, 2)
        assert study.line() == "2 of 10 runs"
        clock[0] = 600.0
        study.end()
        assert study.line() == "3 of 10 runs, about 70 min left"
        clock[0] = 3600.0
        assert study.line() == "3 of 10 runs, about 7.0 h left"
    assert [display.in_words(seconds) for seconds in (40, 89.9, 90, 5399)] == ["40 s", "90 s", "2 min", "90 min"]


def test_an_evaluation_shows_how_far_it_is_on_the_bar_of_its_run_and_in_lines(shown, monkeypatch, capsys):
    """takuseno/d3rlpy#209: minutes of silence. A clock that moves by 6 s at each look."""
    clock = iter(range(0, 600, 6))
    monkeypatch.setattr(display.time, "monotonic", lambda: next(clock))
    with display.training_progress() as progress:
        bar = display.TrainingDisplay(progress, 1_500_000, "lstm on CliffWalking-v1")
        bar.evaluation(3, 100, 15_000)
    assert "evaluation: 3 of 100, 15,000 steps" in shown.getvalue()
    with display.shown_progress("greedy") as show:
        for step in range(4):
            show(7, 100, 1000 * step)
    assert (
        capsys.readouterr().err
        == "greedy: 7 of 100 episodes have ended, the others have taken 1,000 steps\n" * 1
        + ("greedy: 7 of 100 episodes have ended, the others have taken 3,000 steps\n")
    )
