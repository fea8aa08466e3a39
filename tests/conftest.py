"""What all tests share: one thread a process, a limit of time, and which of them stay in one process of several.

One thread, since a second one makes networks of this size slower.
"""

import collections
import functools
import itertools
import signal
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
LINES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def signals_of_a_terminal():
    """A shell's job in the background ignores Ctrl-C, and one under nohup SIGHUP; the programs of tests must not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


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


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is slow
def pytest_collection_modifyitems(items):
    """Files that stay in one process come first; of a test marked `product`, variants without a new pair are slow.

    A pair is two values of two parameters.
    """
    items.sort(key=lambda item: not shares_fixtures(item.nodeid.partition("::")[0]))  # so no process waits for a file
    variants = collections.defaultdict(list)
    for item in items:
        if item.get_closest_marker("product"):
            values = sorted((name, repr(value)) for name, value in item.callspec.params.items())
            pairs = set(itertools.combinations(values, 2))
            variants[item.nodeid.partition("[")[0]].append((pairs, item))
    for left in variants.values():
        while left:
            pairs, chosen = max(left, key=lambda variant: len(variant[0]))
            if not pairs:
                for _, item in left:
                    item.add_marker("slow")
                break
            left[:] = [(others - pairs, item) for others, item in left if item is not chosen]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """The tests of a file with fixtures of its module stay in one process; any other test goes to whoever is free."""
    from xdist.scheduler import LoadScopeScheduling

    class WholeFiles(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return file if shares_fixtures(file) else nodeid

    return WholeFiles(config, log)


@functools.cache
def shares_fixtures(file):
    return 'scope="module"' in (ROOT / file).read_text()


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
