"""Numbers below the normal range, slow on processors, are zeros while agents act and learn, and only then."""

import pytest
import torch

from rl.acting.denormals import denormals_as_zeros
from tests.support.flushing import TINY, half_of_tiny
from tests.support.runs import read_rows, train


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


@pytest.mark.parametrize(
    ("mode", "workers"), [("serial", 1), ("async", 2), pytest.param("sync", 2, marks=pytest.mark.slow)]
)
def test_they_are_zeros_in_every_worker_and_evaluation_and_not_in_the_callers_program(tmp_path, mode, workers):
    """chainer/chainer#2554: training on a CPU slowed down as it went on, and so did `make soak`, long after it had
    solved its task. Every episode of 8 steps is worth 8."""
    options = {"mode": mode, "workers": workers, "total_env_steps": 640, "log_interval": 64}
    summary = train(tmp_path / "run", env="tests.support.flushing:Flushing-v0", **options).summary
    rows = read_rows(tmp_path / "run")
    returns = [row["charts/episodic_return"] for row in rows if "charts/episodic_return" in row]
    assert len(returns) >= 10 and set(returns) == {8.0}
    assert summary["eval_greedy"] == summary["eval_sampled"] == 8.0
    assert half_of_tiny() == (TINY / 2, TINY / 2)
