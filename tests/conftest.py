"""What all tests share: one thread, since a second one makes networks of this size slower, and a limit of time."""

import signal

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_test_hangs(request):
    """A run that waits for ever is a red test and not a silent one."""
    seconds = 600 if request.node.get_closest_marker("slow") else 90

    def too_long(_number, _frame):
        raise TimeoutError(f"the test took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
