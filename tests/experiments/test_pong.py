"""Pong: which arms there are, and a page and a figure from rows alone."""

import pytest

from experiments.lab.learning_curves import RETURN
from experiments.pong import Command, arms, config_of, figure, page, studies


def test_arms_differ_in_their_memory_and_in_what_they_see_alone():
    lstm = vars(config_of("lstm"))
    assert (lstm["core"], lstm["frame_stack"], lstm["algorithm"], lstm["reward_threshold"]) == ("lstm", 1, "ppo", 19.0)
    for name, (config, _) in arms().items():
        differing = {option for option, value in vars(config).items() if value != lstm[option]}
        assert differing <= {"core", "frame_stack", "env_arg"}, name
        assert (config.core == "mlp") == name.startswith("no memory")
        assert ("blank_probability=0.5" in config.env_arg) == name.endswith("flickering")
        assert config.frame_stack == (4 if "4 pictures" in name else 1)


def test_the_lstm_has_the_seeds_of_the_command_and_every_other_arm_one(tmp_path):
    several, single = studies(Command(out=tmp_path))
    assert sorted(several.planned) == [("lstm", 1), ("lstm", 2), ("lstm", 3)]
    assert len(single.planned) == 4 and {seed for _, seed in single.planned} == {1}
    [alone] = studies(Command(arms="no memory", seeds=2, out=tmp_path))
    assert list(alone.planned) == [("no memory", 1)]
    with pytest.raises(ValueError, match="--arms 'gru': all, or a list out of lstm,no memory,"):
        studies(Command(arms="gru"))


def rows(solved):
    """Two seeds that solve it for 80 and 100 CPU minutes, and a third for 200, or not at all."""
    numbers = {"seconds": "2400", "last_100": "19.1", "sampled": "19.5", "greedy": "20", "env_steps": "2000000"}
    return [
        {"arm": "lstm", "seed": str(seed), "solved": str(done), "cpu_minutes": str(minutes), **numbers}
        for seed, minutes, done in ((1, 80, solved > 0), (2, 100, solved > 1), (3, 200, solved > 2))
    ]


def test_the_price_is_the_median_over_seeds_and_a_seed_that_does_not_solve_it_counts_as_endless():
    assert "median of 3 seeds: **100 CPU minutes**." in page(rows(3)) and "**100 CPU minutes**" in page(rows(2))
    assert "median of 3 seeds: **not reached**." in page(rows(1))
    assert "| lstm | 1 | yes | 2,000,000 | 40 | 80 | 19.1 | 19.5, 20.0 |" in page(rows(1))
    assert "| lstm | 3 | no | 2,000,000 | 40 | 200 | 19.1 | 19.5, 20.0 |" in page(rows(1))


def test_the_figure_is_drawn_from_points_alone(tmp_path):
    points = [
        {"arm": arm, "seed": "1", "global_step": str(k * 25_000), "cpu_minutes": str(k), RETURN: str(k - 21)}
        for arm in arms()
        for k in range(1, 41)
    ]
    figure(points, tmp_path / "pong.png")
    assert (tmp_path / "pong.png").stat().st_size > 10_000
