"""What all tests share: one thread, since a second one makes networks of this size slower, and a limit of time."""

import signal

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_test_hangs():
    """A run that waits for ever is a red test and not a silent one."""

    def too_long(_number, _frame):
        raise TimeoutError("the test took more than 90 s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(90)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
