"""The page of defaults: what counts as reached, and how many tasks are learnt."""

import pytest

import envs
from experiments.defaults import MEMORYLESS, TASKS, arms, outcome, page
from experiments.lab.defaults import defaults_of
from rl.config import Config


def row(arm, seed, reached=True, sampled=0.0, **numbers):
    given = {"env_steps": 1000 * seed, "seconds": 10.0 * seed, "cpu_minutes": 0.5}
    return {
        "arm": arm,
        "seed": str(seed),
        "reached": str(reached),
        "sampled": str(sampled),
        "greedy": "0",
        **given,
        **numbers,
    }


def test_every_run_has_the_defaults_but_for_its_environment_its_length_and_its_end():
    own = {"env", "env_arg", "total_env_steps", "checkpoint_interval", "reward_threshold", "stop_when_solved"}
    for name, (config, _) in arms().items():
        try:
            envs.make_vector(config.env, 1, env_args=config.env_args).close()
        except ValueError:  # a package is missing
            continue
        default = vars(Config(**defaults_of(env=config.env, env_arg=config.env_arg)))
        differing = {option for option, value in vars(config).items() if value != default[option]}
        assert differing <= own | ({"core"} if name.endswith(MEMORYLESS) else set())


def test_there_are_16_marks_and_mountain_car_has_none():
    assert len(TASKS) == 17 and "MountainCar" in TASKS
    text = page([row("MountainCar", seed) for seed in range(1, 6)])
    assert "on 0 of 0 tasks" in text and "(not counted)" in text


def test_a_task_is_learnt_where_four_of_five_seeds_reach_its_mark():
    four = [row("RepeatPrevious", seed, reached=seed < 5, sampled=0.25) for seed in range(1, 6)]
    three = [row("CartPole", seed, reached=seed < 4) for seed in range(1, 6)]
    text = page(four + three)
    reached, ends = (
        "2,500 (1,000 to 4,000) | 25 (10 to 40) | 0.5 (0.5 to 0.5)",
        "0.25 (0.25 to 0.25) | 0.00 (0.00 to 0.00)",
    )
    assert f"| RepeatPrevious | 0.95 | 4 of 5 | {reached} | {ends} |\n" in text
    assert "mark on 1 of 2 tasks" in text


@pytest.mark.parametrize(("returned", "reached"), [(2000.0, 0), (2001.0, 1)])
def test_half_cheetah_must_earn_more_than_twice_what_the_mlp_earns(returned, reached):
    name = "HalfCheetah positions"
    rows = [row(name, 1, reached=False, sampled=returned)]
    assert outcome(name, rows) is None
    rows += [row(name + MEMORYLESS, seed, sampled=earned) for seed, earned in ((1, 500.0), (2, 1500.0))]
    found = outcome(name, rows)
    assert found.mark == 2000.0 and len(found.reached) == reached
