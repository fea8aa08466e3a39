"""What all tests share: one thread, since a second one makes networks of this size slower, and a limit of time."""

import signal

import pytest
import torch

LINES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_test_hangs(request):
    """A run that waits for ever is a red test and not a silent one."""
    seconds = 1200 if request.node.get_closest_marker("slow") else 300  # a tenth of that where nothing else runs

    def too_long(_number, _frame):
        raise TimeoutError(f"the test took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def say_at_the_end(request):
    """Takes a line to show below all results."""
    return request.config.stash.setdefault(LINES, []).append


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(LINES, []):
        terminalreporter.write_line(line)
