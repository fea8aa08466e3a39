"""What the figures of the report show."""

import numpy as np
import pytest

from experiments.online_vs_replay.arms import ARMS
from experiments.online_vs_replay.measures import probe
from experiments.online_vs_replay.report import curves, panels
from experiments.online_vs_replay.report.rows import KEY_ARMS, Part, figures
from experiments.online_vs_replay.report.sections.buffer_age import buffer_section
from experiments.online_vs_replay.report.sections.headline import headline_section
from experiments.online_vs_replay.report.sections.learning_rates import with_tuned
from experiments.online_vs_replay.report.sections.memory import memory_section
from experiments.online_vs_replay.report.sections.sequence_lengths import lengths_section
from experiments.online_vs_replay.report.sections.staleness import staleness_section
from experiments.online_vs_replay.tasks import TASKS
from tests.support.finished_runs import REPLAY, a_run, cell


def test_every_arm_has_its_own_look_which_is_dashed_from_replay_and_dash_dotted_with_segments_of_8():
    assert set(panels.LOOKS) == set(ARMS) and len(set(panels.LOOKS.values())) == len(ARMS)
    for arm, (_, dashes) in panels.LOOKS.items():
        assert (dashes == panels.DASHED) == ARMS[arm].options["algorithm"].endswith("replay")
        assert (dashes == panels.DASH_DOTTED) == arm.endswith(" 8")
    assert set(KEY_ARMS) < set(ARMS)


def test_figures_share_the_arms_out_and_none_has_more_than_14():
    """14 arms without RTUs as before; 7 with an RTU or segments of 8, beside three LSTMs that are in both."""
    shared = figures(ARMS)
    assert [len(arms) for arms in shared.values()] == [14, 10] and list(shared) == ["", "_rtu"]
    assert set(shared[""]) | set(shared["_rtu"]) == set(ARMS)
    assert set(shared[""]) & set(shared["_rtu"]) == {"a2c lstm", "q lstm stored burn in", "q lstm episodes"}
    assert figures(["a2c lstm", "a2c gru"]) == {"": ["a2c lstm", "a2c gru"]}
    assert figures(["a2c rtu"]) == {"_rtu": ["a2c rtu"]}


def test_a_curve_is_the_middle_of_the_runs_on_a_common_grid_and_holds_what_ended():
    """Runs at 0, 100, 200 and at 50, 150: from 50 to 200, where the second holds its last value of 3."""
    one, other = [(0, 0, 1.0, 0.0), (100, 0, 2.0, 1.0), (200, 4, 4.0, 2.0)], [(50, 0, 1.0, 2.0), (150, 8, 3.0, 3.0)]
    runs = [a_run("a2c lstm", points=points) for points in (one, other)]
    grid, mean, _ = curves.curve(runs, "env_steps")
    np.testing.assert_allclose(grid, [50, 87.5, 125, 162.5, 200])
    np.testing.assert_allclose(mean[[0, -1]], [(0.5 + 2) / 2, (2 + 3) / 2])
    grid, *_ = curves.curve(runs, "cpu_seconds")
    np.testing.assert_allclose(grid, np.geomspace(1, 4, 5))
    assert curves.curve(runs, "updates")[0][0] == pytest.approx(0.008)  # of a logarithmic axis from 0 on


def test_curves_are_drawn_of_each_task_and_arm_with_the_threshold(drawn, tmp_path):
    points = [(100, 1, 1.0, 100.0), (200, 2, 2.0, 300.0)]
    grid = Part([*cell("a2c lstm", [300.0] * 2, "masked", points=points), *cell("q mlp", [0.5])])
    curves.curves_figure(grid, ["masked", "recall 4"], ["a2c lstm", "q mlp"], tmp_path / "x.png")
    masked = drawn["x.png"]["masked"]
    assert masked.pop("a2c lstm").tolist() == [[100, 125, 150, 175, 200], [100, 150, 200, 250, 300]]
    (threshold,) = masked.values()
    assert threshold[1].tolist() == [475, 475]
    assert drawn["x.png", "legend"] == ["q mlp", "a2c lstm"]  # in the order of LOOKS
    with pytest.raises(ValueError, match=r"x.png: no panels"):
        curves.curves_figure(grid, [], ["a2c lstm"], tmp_path / "x.png")


def test_the_headline_figure_shows_the_tasks_of_the_study_with_few_arms(drawn, tmp_path):
    runs = [run for task in TASKS for arm in ("a2c lstm", "q mlp") for run in cell(arm, [0.5], task)]
    headline_section(Part([*runs, *cell("a2c lstm", [0.5], "noisy")]), tmp_path)
    assert list(drawn["headline.png"]) == list(TASKS) and list(drawn["curves.png"]) == [*TASKS, "noisy"]
    assert drawn["headline.png", "legend"] == ["a2c lstm"] and "q mlp" in drawn["curves.png", "legend"]


def test_what_was_measured_is_drawn_at_its_moments(drawn, monkeypatch, tmp_path):
    monkeypatch.setattr(probe, "controls", lambda: {"observation": (-0.5, 0.25)})
    moments = [
        {"true_first": 0.5, "r2_cart": 0.1, "r2_pole": 0.2},
        {},
        {"true_first": 0.25, "r2_cart": 0.3, "r2_pole": 0.4},
    ]
    grid = Part([a_run(REPLAY, 300.0, "masked", moments=moments)])
    memory_section(grid, tmp_path)
    cart, pole = (drawn["probe.png"][f"{side} velocity"] for side in ("cart", "pole"))
    assert cart.pop(REPLAY).tolist() == [[0.3, 0.9], [0.1, 0.3]] and pole.pop(REPLAY).tolist()[1] == [0.2, 0.4]
    assert [level[1].tolist() for of in (cart, pole) for level in of.values()] == [[0, 0], [0.25, 0.25]]
    staleness_section(grid, tmp_path)
    assert drawn["staleness.png"]["masked: first position"][REPLAY].tolist() == [[0.3, 0.9], [0.5, 0.25]]
    assert not drawn["staleness.png"]["masked: last position"]


def test_what_was_measured_of_rtus_is_drawn_in_figures_of_their_own(drawn, monkeypatch, tmp_path):
    monkeypatch.setattr(probe, "controls", lambda: {})
    moments = [{"true_first": 0.5, "r2_cart": 0.1, "r2_pole": 0.2, **{f"memory_{k}": 50.0 for k in (1, 2, 4, 8, 16)}}]
    arms = ("a2c gru", "a2c lstm", "a2c rtu gradient")
    grid = Part([a_run(arm, 300.0, "masked", moments=moments) for arm in arms])
    said = "".join([*memory_section(grid, tmp_path), *staleness_section(grid, tmp_path)])
    for name in ("probe", "short_memory", "staleness"):
        assert drawn[f"{name}.png", "legend"] == ["a2c lstm", "a2c gru"]
        assert drawn[f"{name}_rtu.png", "legend"] == ["a2c lstm", "a2c rtu gradient"]
        assert f"![{name}.png]" in said and f"![{name}_rtu.png]" in said


def test_the_tuned_learning_rate_is_that_of_the_grid_with_the_same_seeds():
    grid = Part([*cell("a2c lstm", [500.0, 22.0, 261.0], "masked"), *cell("a2c gru", [22.0], "masked")])
    part = Part(cell("a2c lstm", [100.0, 200.0], "masked", "0.5"))
    both = with_tuned(grid, part)
    assert [(run.arm, run.variant, run.seed, run.row["final_greedy"]) for run in both] == [
        ("a2c lstm", "0.5", 1, 100.0),
        ("a2c lstm", "0.5", 2, 200.0),
        ("a2c lstm", "1", 1, 500.0),
        ("a2c lstm", "1", 2, 22.0),
    ]
    assert both.variants() == ["0.5", "1"]


def test_lengths_and_buffers_are_drawn_against_the_numbers_of_their_variants(drawn, tmp_path):
    age = [{"age_mean": 9.0}]
    part = Part([a_run(REPLAY, 100.0, "masked", "8", after=0.5, moments=age), a_run(REPLAY, 200.0, "masked", "32")])
    lengths_section(part, tmp_path)
    assert drawn["sequence_lengths.png"]["masked"][REPLAY].tolist() == [[8, 32], [100, 200]]
    buffer_section(part, tmp_path)
    found = [of[REPLAY].tolist() for of in drawn["buffer_age.png"].values()]
    assert found == [[[8, 32], [100, 200]], [[8], [0.5]], [[8], [9]]]
