"""What all tests share: one thread a process, a limit of time, and which of them stay in one process of several.

One thread, since a second one makes networks of this size slower.
"""

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
    seconds = 1800 if request.node.get_closest_marker("slow") else 600  # a twentieth of that on a quiet machine

    def too_long(_number, _frame):
        raise TimeoutError(f"the test took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests that read the same fixture of their module stay in one process, so that it is computed once."""
    for item in items:
        fixtures = item._fixtureinfo.name2fixturedefs
        shared = sorted(name for name, found in fixtures.items() if found[-1].scope == "module")
        if shared:
            item.add_marker(pytest.mark.xdist_group(f"{item.module.__name__}.{'.'.join(shared)}"))


@pytest.fixture
def clock(monkeypatch):
    """Stands for the time of training, in seconds; only the test moves it."""
    now = [1000.0]
    monkeypatch.setattr("rl.shared.clock.time.monotonic", lambda: now[0])
    return now


# --- lines below all results


@pytest.fixture(scope="session")
def say_at_the_end(request):
    """Takes a line to show below all results."""
    return request.config.stash.setdefault(LINES, []).append


def pytest_sessionfinish(session):
    """A process of pytest-xdist hands its lines over."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["lines"] = session.config.stash.get(LINES, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    node.config.stash.setdefault(LINES, []).extend(getattr(node, "workeroutput", {}).get("lines", []))


def pytest_terminal_summary(terminalreporter, config):
    for line in config.stash.get(LINES, []):
        terminalreporter.write_line(line)
