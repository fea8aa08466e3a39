"""Whatever a run or an evaluation changes in the caller's process is put back."""

import os
import random
import signal

import numpy as np
import pytest
import torch

import envs
from rl.acting.evaluate import evaluate
from rl.running.run import new_run
from rl.running.signals import ENDING
from tests.support.bits import assert_bit_equal
from tests.support.configs import cartpole_config
from tests.support.runs import SERIAL, TINY


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def of_the_caller():
    """What a caller has, and a library may forget to put back."""
    return {
        "threads": torch.get_num_threads(),
        "environment": dict(os.environ),
        "handlers": {number: signal.getsignal(number) for number in {*ENDING, signal.SIGTSTP, signal.SIGCHLD}},
        "blocked": signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "generators": [random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()],
        "denormals": (torch.tensor(1e-40) * 1.0).item(),
        "gradients": torch.is_grad_enabled(),
        "dtype": torch.get_default_dtype(),
        "numpy errors": np.geterr(),
        "folder": os.getcwd(),
    }


@pytest.mark.parametrize("options", [SERIAL, {**TINY, "mode": "async"}], ids=["serial", "async"])
def test_threads_variables_handlers_and_generators_are_the_callers_again(tmp_path, two_threads, options):
    """constantinpape/elf#75: a call sets the number of threads for all that follows. DLR-RM/stable-baselines3#973: it
    seeds, or moves, the generators of the program."""
    env = {"env": "tests.support.drawing_envs:Drawing-v0", "total_env_steps": 64, "run_dir": str(tmp_path / "run")}
    before = of_the_caller()
    run = new_run(cartpole_config(**{**options, **env}), envs.make_vector)
    assert_bit_equal(of_the_caller(), before)
    summary = run.execute(lambda _line: None)
    assert summary["exit_code"] == 0
    assert_bit_equal(of_the_caller(), before)
    for greedy in (True, False):
        evaluate(run.setup.agent.agent, run.setup.config, envs.make_vector, 2, greedy)
    assert_bit_equal(of_the_caller(), before)


def test_an_evaluation_that_fails_or_is_stopped_puts_them_back_too(tmp_path, two_threads):
    run = new_run(cartpole_config(**SERIAL, run_dir=str(tmp_path / "run")), envs.make_vector)
    before = of_the_caller()
    evaluate(run.setup.agent.agent, run.setup.config, envs.make_vector, 2, greedy=True, stop=lambda: True)
    with pytest.raises(ZeroDivisionError):
        evaluate(run.setup.agent.agent, run.setup.config, lambda *_given, **_named: 1 / 0, 2, greedy=True)
    assert_bit_equal(of_the_caller(), before)
