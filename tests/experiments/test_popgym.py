"""The POPGym table: its arms, how a run is judged, and its page."""

import numpy as np
import pytest

from experiments.lab.records import Record
from experiments.popgym import page as pages
from experiments.popgym.__main__ import Command, largest_mean, mean_before, points_of, result, with_parts
from experiments.popgym.arms import EASY, IDS, arms, config_of
from experiments.popgym.published import PUBLISHED
from experiments.popgym.trials import CORES, FIRST_SEED, TRIALS, trial_arms, trials_page
from rl.loop import NO_OVERRIDES
from tests.support.runs import train


def test_two_cores_play_all_environments_and_all_cores_the_easy_ones_which_come_first():
    every = arms(IDS, ("mlp", "gru", "lstm", "rtu", "mingru"))
    names = [arm.split(" / ") for arm in every]
    assert len(names) == 2 * len(IDS) + 3 * len(EASY)
    assert all(name.endswith("Easy") for name, _ in names[: 5 * len(EASY)])
    assert {core for name, core in names if not name.endswith("Easy")} == {"gru", "rtu"}
    assert set(PUBLISHED) <= set(IDS)


def test_all_arms_have_one_setting_but_for_what_their_core_needs():
    """The two diagonal cores differ in nothing but the core, and so do the three others."""
    of_core = {core: config_of("RepeatFirstEasy", core) for core in ("mlp", "gru", "lstm", "rtu", "mingru")}
    for names in (("mlp", "gru", "lstm"), ("rtu", "mingru")):
        assert len({repr(of_core[name]).replace(f"core='{name}'", "") for name in names}) == 1
    assert {config.learning_rate for config in of_core.values()} == {of_core["gru"].learning_rate}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"ids": "Pong"}, "--ids 'Pong': all, easy, or a list out of RepeatFirstEasy,"),
        ({"cores": "rnn"}, "--cores 'rnn': a list out of mlp,gru,lstm,rtu,mingru is needed"),
        ({"ids": "RepeatFirstHard", "cores": "mlp"}, "--cores mlp --ids RepeatFirstHard: these cores have Easy ones"),
        ({"seeds": 0}, "--seeds 0: a whole number of at least 1 is needed"),
    ],
)
def test_other_names_are_one_line(options, line):
    pytest.importorskip("popgym")
    with pytest.raises(ValueError) as error:
        Command(**options).study()
    assert str(error.value).startswith(line)


def test_without_the_package_that_judges_nothing_is_trained(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "popgym", None)
    with pytest.raises(ValueError, match=r"pip install .*popgym"):
        Command(ids="RepeatFirstEasy").study()


def test_quick_has_four_environments_three_cores_and_two_seeds_and_trials_have_seeds_of_their_own(tmp_path):
    pytest.importorskip("popgym")
    planned = Command(quick=True, out=tmp_path).study().planned
    assert len(planned) == 4 * 3 * 2 and {arm.config.total_env_steps for arm in planned.values()} == {1_000_000}
    assert {seed for _, seed in Command(trials=True, out=tmp_path).study().planned} == {FIRST_SEED}


def record_of(returns):
    rows = [{"global_step": 65_536 * (k + 1), "charts/episodic_return": value} for k, value in enumerate(returns)]
    return Record(None, {}, rows, {}, None)


def test_mmer_is_the_largest_epoch_and_early_ones_count_up_to_3_million_env_steps():
    """46 epochs of 65,536 env steps are 3.01 M, so the 46th does not count at 3 M, and the 42nd to 45th do."""
    run = record_of([0.0] * 41 + [0.1, 0.2, 0.3, 0.4] + [0.9] * 3)
    assert largest_mean(run) == 0.9 and largest_mean(run, 3_000_000) == 0.4
    assert mean_before(run, 3_000_000) == pytest.approx(0.25)
    assert np.isnan(mean_before(record_of([0.5]), 3_000_000))
    points = points_of(record_of(range(120)))
    assert len(points) == 60 and points[0] == {"global_step": 2 * 65_536, "charts/episodic_return": 0.5}


def test_a_run_is_judged_on_the_package_with_sampled_and_greedy_actions(tmp_path, monkeypatch):
    pytest.importorskip("popgym")
    monkeypatch.setattr("experiments.popgym.__main__.EPISODES", 20)
    small = {"envs_per_worker": 4, "segment_length": 8, "hidden_size": 8, "log_interval": 200, "wandb": "disabled"}
    config = config_of("RepeatFirstEasy", "rtu", 1_000, **small)
    run = train(tmp_path, **{name: value for name, value in vars(config).items() if name != "run_dir"}).run
    row, tables = result(run.setup.config, NO_OVERRIDES)
    assert -1.0 <= row["sampled"] < 0.9 and -1.0 <= row["greedy"] <= 1.0 and row["env_steps"] >= 1_000
    assert row["sampled"] != row["greedy"] and row["mmer"] >= tables["curves"][-1]["charts/episodic_return"]


def rows():
    """Two environments and cores, two seeds: the GRU reaches the paper's on one of them, the RTU on both."""
    numbers = {"sampled": 0.9, "greedy": 0.9, "mmer_early": 0.5, "return_early": 0.4, "cpu_minutes": 2.0}
    found = []
    for name, core, mmer in (
        ("RepeatFirstEasy", "gru", 1.0),
        ("RepeatPreviousMedium", "gru", -0.5),
        ("RepeatFirstEasy", "rtu", 1.0),
        ("RepeatPreviousMedium", "rtu", 0.7),
    ):
        found += [{"arm": f"{name} / {core}", "seed": str(seed), "mmer": str(mmer), **numbers} for seed in (1, 2)]
    return with_parts(found)


def test_the_page_counts_the_papers_figures_that_are_reached_and_the_figure_is_drawn(tmp_path):
    text = pages.page(rows())
    assert "| gru | 2 | 0.900 | 0.250 | 1 of 2 | 1 of 2 | 2.0 |" in text
    assert "| rtu, gradient carried | 2 | 0.900 | 0.850 | 2 of 2 | 1 of 2 | 2.0 |" in text  # LMU has 0.789
    theirs, ours = "-0.315 | 0.789 (LMU) | -0.461", "0.900 [0.900, 0.900] | 0.900 | -0.500 | 0.400 | 0.500 | 2.0"
    assert "### gru\n\n| environment" in text and f"| RepeatPreviousMedium | {theirs} | {ours} |" in text
    pages.figure(rows(), tmp_path / "popgym.png")
    assert (tmp_path / "popgym.png").stat().st_size > 5_000


def test_the_page_of_trials_has_a_line_for_each_core_and_trial():
    text = trials_page([{"arm": arm, "sampled": "0.25"} for arm in trial_arms()])
    assert text.count("| 0.250 | 0.250 | 0.250 | 0.250 |") == len(CORES) * len(TRIALS)
    assert "| gru | the setting |" in text
