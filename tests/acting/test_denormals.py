"""Numbers below the normal range, slow on processors, are zeros while agents act and learn, and only then."""

import json

import gymnasium
import numpy as np
import pytest
import torch

import envs
from rl.acting.denormals import denormals_as_zeros
from rl.config import Config
from rl.running.run import new_run

TINY = 2.0**-126  # the smallest normal number of float32


def half_of_tiny():
    """What torch and NumPy compute, which is exact as a denormal number."""
    return float(torch.tensor(TINY) / 2), float(np.float32(TINY) / np.float32(2))


class Flushing(gymnasium.Env):
    """Episodes of 8 steps; a step is worth 1 where the half of the smallest normal number is zero, else 0."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.zeros(2, np.float32), float(half_of_tiny() == (0.0, 0.0)), self.steps == 8, False, {}


gymnasium.register("Flushing-v0", Flushing)


def test_they_are_zeros_within_and_what_they_were_afterwards():
    assert half_of_tiny() == (TINY / 2, TINY / 2)
    with pytest.raises(KeyError), denormals_as_zeros():
        assert half_of_tiny() == (0.0, 0.0)
        with denormals_as_zeros():
            assert half_of_tiny() == (0.0, 0.0)
        assert half_of_tiny() == (0.0, 0.0)  # the inner one leaves it to the outer one
        assert float(torch.tensor(TINY) * 2) == TINY * 2
        raise KeyError
    assert half_of_tiny() == (TINY / 2, TINY / 2)


@pytest.mark.parametrize(("mode", "workers"), [("serial", 1), ("sync", 2), ("async", 2)])
def test_they_are_zeros_in_every_worker_and_evaluation_and_not_in_the_callers_program(tmp_path, mode, workers):
    """chainer/chainer#2554: training on a CPU slowed down as it went on, and so did `make soak`, long after it had
    solved its task. Every episode of 8 steps is worth 8."""
    config = Config(
        env="tests.acting.test_denormals:Flushing-v0",
        mode=mode,
        workers=workers,
        envs_per_worker=4,
        segment_length=8,
        hidden_size=8,
        torso_size=8,
        total_env_steps=640,
        log_interval=64,
        eval_episodes=2,
        wandb="disabled",
        run_dir=str(tmp_path / "run"),
    )
    summary = new_run(config, envs.make_vector).execute(print)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    returns = [row["charts/episodic_return"] for row in rows if "charts/episodic_return" in row]
    assert len(returns) >= 10 and set(returns) == {8.0}
    assert summary["eval_greedy"] == summary["eval_sampled"] == 8.0
    assert half_of_tiny() == (TINY / 2, TINY / 2)
