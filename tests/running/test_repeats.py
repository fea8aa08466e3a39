"""The same seed has the same result, also where an environment draws from generators that are nobody's own."""

import numpy as np
import pytest
import torch

import envs
from rl.acting.evaluate import evaluate
from rl.acting.randomness import sequence
from rl.running.run import resumed_run
from tests.support.bits import assert_bit_equal
from tests.support.runs import SERIAL, TINY, finish, train

DRAWING = {"env": "tests.support.drawing_envs:Drawing-v0", "total_env_steps": 320, "log_interval": 32}
SYNC = {**TINY, "mode": "sync", "workers": 2}


@pytest.mark.parametrize("small", [SERIAL, pytest.param(SYNC, marks=pytest.mark.slow)], ids=["serial", "sync"])
def test_an_environment_that_draws_from_the_generators_of_its_process_repeats(tmp_path, small):
    """DLR-RM/stable-baselines3#973: Python's, NumPy's and torch's, its own without a seed, and that of its space. The
    caller has drawn meanwhile, and evaluations in training change nothing."""
    runs = []
    for name, options in (("one", {}), ("two", {"eval_interval": 96, "interval_episodes": 1}), ("three", {"seed": 2})):
        runs.append(train(tmp_path / name, small=small, **DRAWING, **options))
        np.random.uniform(size=5), torch.rand(5)
    rows = [[{k: v for k, v in row.items() if not k.startswith("eval/")} for row in run.rows] for run in runs]
    assert_bit_equal(rows[0], rows[1])
    assert_bit_equal(dict(runs[0].learnt), dict(runs[1].learnt))
    assert rows[0] != rows[2]
    for name in ("eval_greedy", "eval_sampled"):
        assert runs[0].summary[name] == runs[1].summary[name]


def test_workers_draw_different_numbers(tmp_path):
    drawn = {tuple(sequence(1, 0, "process", rank).generate_state(4)) for rank in range(8)}
    assert len(drawn) == 8


def test_an_evaluation_repeats_whatever_was_drawn_before_it(tmp_path):
    run = train(tmp_path / "run", **DRAWING).run
    agent, config, returns = run.setup.agent.agent, run.setup.config, []
    for _ in range(2):
        returns.append(evaluate(agent, config, envs.make_vector, 4, greedy=False, seed=3))
        np.random.uniform(size=5), torch.rand(5)
    assert_bit_equal(*returns)


def test_a_run_that_was_stopped_draws_on_where_it_stood(tmp_path):
    """The generators of the process are in the checkpoint; the caller and evaluations have drawn meanwhile."""
    options = {**DRAWING, "env": "tests.support.drawing_envs:Telling-v0", "anneal_learning_rate": False}
    whole = train(tmp_path / "whole", **options)
    train(tmp_path / "parts", **{**options, "total_env_steps": 160})
    np.random.uniform(size=5), torch.rand(5)
    again = resumed_run(tmp_path / "parts", envs.make_vector, changes={"total_env_steps": 320})
    parts = finish(again)
    assert parts.said[0].startswith("going on from 160 env steps, bit by bit")
    assert_bit_equal(parts.rows, whole.rows)
    assert_bit_equal(dict(parts.learnt), dict(whole.learnt))
