"""The section of the report about what carrying the gradient buys."""

import pytest

from experiments.online_vs_replay.report.cells import markdown
from experiments.online_vs_replay.report.rows import Part
from experiments.online_vs_replay.report.sections.aggregates import aggregate_section
from experiments.online_vs_replay.report.sections.costs import cost_section
from experiments.online_vs_replay.report.sections.headline import headline
from experiments.online_vs_replay.report.sections.horizon import horizon_findings, horizon_section, horizon_table
from tests.support.finished_runs import HIGH, LOW, REPLAY, cell


def recall_48(gradient=HIGH, gradient_8=HIGH, replay=LOW):
    """Rows of recall 48: LSTMs and the state alone at 0.10 to 0.14."""
    arms = {
        **dict.fromkeys(("a2c lstm", "a2c lstm 8", "a2c rtu", "a2c rtu 8"), LOW),
        "a2c rtu gradient": gradient,
        "a2c rtu gradient 8": gradient_8,
        REPLAY: replay,
    }
    return Part([run for arm, values in arms.items() for run in cell(arm, values, "recall 48")])


def test_arms_of_32_and_8_steps_stand_side_by_side_and_replay_beside_them():
    solved = cell("a2c lstm 8", [0.96, 0.98], "recall 48", solved=(100, 2, 0.5))
    grid = Part([*solved, *cell("a2c rtu gradient", [0.5], "recall 48"), *cell(REPLAY, [0.25], "recall 48")])
    assert horizon_table(grid) == [
        ["arm", "segments of 32", "segments of 8"],
        ["a2c lstm", "–", "0.97 [0.96, 0.98], 2 of 2"],
        ["a2c rtu gradient", "0.50, 0 of 1", "–"],
        [REPLAY, "0.25, 0 of 1", "–"],
    ]


def test_the_gradient_is_judged_against_state_lstm_and_replay_at_both_lengths():
    """Five claims at each of two lengths, and three of one length against the other."""
    found = horizon_findings(recall_48())
    verdicts = {one.claim: one.verdict for one in found}
    assert len(found) == len(verdicts) == 13
    for end, length in (("", 32), (" 8", 8)):
        on = f"on recall 48, segments of {length}"
        mine = f"a2c rtu gradient{end}"
        assert verdicts.pop(f"{mine} ends higher than a2c rtu{end} {on}") == "holds"
        assert verdicts.pop(f"{mine} ends higher than a2c lstm{end} {on}") == "holds"
        assert verdicts.pop(f"{mine} ends higher than the best from replay ({REPLAY}) {on}") == "holds"
        for other in ("a2c lstm", "a2c rtu"):
            claim = f"{other}{end} ends higher than the best from replay ({REPLAY}) {on}"
            assert verdicts.pop(claim) == "not decided"
    assert set(verdicts.values()) == {"not decided"} and len(verdicts) == 3  # lengths, of each of the three


def test_a_shorter_segment_that_costs_something_is_seen():
    (found,) = (
        one
        for one in horizon_findings(recall_48(gradient_8=LOW))
        if one.claim.startswith("a2c rtu gradient ends higher with")
    )
    assert found.verdict == "holds" and found.numbers.startswith("P(a2c rtu gradient > a2c rtu gradient 8) = 1.00")


@pytest.mark.parametrize(
    ("gradient", "replay", "verdict"), [(HIGH, LOW, "holds"), (LOW, HIGH, "does not hold: the opposite does")]
)
def test_the_headline_says_who_wins_past_the_horizon(gradient, replay, verdict):
    found = {one.claim: one.verdict for one in headline(recall_48(gradient, gradient, replay))}
    for end, length in (("", 32), (" 8", 8)):
        claim = f"a2c rtu gradient{end} ends higher than the best from replay ({REPLAY}) on recall 48, segments of"
        assert found[f"{claim} {length}"] == verdict


def test_without_an_rtu_or_segments_of_8_there_is_nothing_to_say(tmp_path):
    grid = Part([*cell("a2c lstm", HIGH, "recall 48"), *cell("a2c gru", HIGH), *cell(REPLAY, LOW, "recall 48")])
    assert horizon_section(grid, tmp_path) == [] and list(tmp_path.iterdir()) == []


def test_the_section_draws_all_tasks_and_both_lengths(drawn, tmp_path):
    grid = Part([*recall_48(), *cell("a2c rtu", HIGH, "recall 4"), *cell("a2c mlp", HIGH, "recall 4")])
    said = "\n\n".join(horizon_section(grid, tmp_path))
    assert markdown(horizon_table(grid)) in said and "a2c rtu gradient ends higher than a2c rtu" in said
    assert list(drawn["curves_rtu.png"]) == ["recall 4", "recall 48"]
    assert set(drawn["curves_rtu.png", "legend"]) == {"a2c lstm", "a2c rtu", "a2c rtu gradient", REPLAY}
    long, short = (set(drawn["horizon.png"][f"recall 48: segments of {length}"]) for length in (32, 8))
    assert {name for name in long if not name.startswith("_")} == {"a2c lstm", "a2c rtu", "a2c rtu gradient", REPLAY}
    assert {name for name in short if not name.startswith("_")} == {
        *("a2c lstm 8", "a2c rtu 8", "a2c rtu gradient 8", REPLAY)
    }


def test_a_task_past_the_horizon_that_nobody_with_a_gradient_was_trained_on_has_no_table(drawn, tmp_path):
    said = "\n\n".join(horizon_section(Part(cell("a2c rtu gradient", HIGH)), tmp_path))
    assert "segments of 8" not in said and "horizon.png" not in drawn and "curves_rtu.png" in drawn


def test_rtus_have_figures_of_their_own_beside_a_few_lstms(drawn, tmp_path):
    grid = Part([run for arm in ("a2c mlp", "a2c lstm", "a2c rtu", "q rtu episodes") for run in cell(arm, HIGH)])
    assert len(cost_section(grid, tmp_path)) == 4
    for key in ("cpu_seconds", "updates"):
        assert drawn[f"{key}.png", "legend"] == ["a2c mlp", "a2c lstm"]
        assert drawn[f"{key}_rtu.png", "legend"] == ["a2c lstm", "a2c rtu", "q rtu episodes"]


def test_an_open_diamond_learns_from_replay_and_a_full_one_online(monkeypatch, tmp_path):
    inside = {}

    def keep(figure, _file):
        panel = figure.axes[-1]
        names = [label.get_text() for label in panel.get_yticklabels()]
        diamonds = [mark for mark in panel.lines if mark.get_marker() == "D"]
        inside.update({name: mark.get_markerfacecolor() for name, mark in zip(names, diamonds, strict=True)})

    monkeypatch.setattr("experiments.online_vs_replay.report.panels.write_figure", keep)
    arms = ("a2c rtu", "a2c rtu 8", "q rtu episodes")
    grid = Part([run for arm in arms for run in cell(arm, HIGH, "recall 48")])
    aggregate_section(grid, tmp_path)
    assert {name: colour == "white" for name, colour in inside.items()} == {
        "a2c rtu": False,
        "a2c rtu 8": False,
        "q rtu episodes": True,
    }
