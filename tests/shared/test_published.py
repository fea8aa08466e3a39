"""Shared state changes whole or not at all, even if a process is killed at any line of an update."""

import copy
import os
import random
import signal
import sys
import time

import numpy as np
import pytest
import torch

from rl.parameters.learner import Learner
from rl.parameters.sync import SyncLearner
from rl.shared.learner_memory import LearnerMemory
from rl.shared.published import Pages, Publication
from tests.support.configs import cartpole_config
from tests.support.forks import forked

# --- pages


def pages_of_two():
    """Pages of the numbers a and b, and what another process would see of them."""
    pages = Pages(Publication(), {"a": ((1,), np.int64), "b": ((1,), np.int64)})
    other = copy.copy(pages)  # as pickled for a worker: the same memory, nothing open

    def seen():
        return int(other.now.a[0]), int(other.now.b[0])

    return pages, seen


def test_a_change_is_seen_when_it_has_ended_and_not_before():
    """Four changes, so that each page is written twice: what they leave alone stays."""
    pages, seen = pages_of_two()
    for number in range(1, 5):
        with pages.change():
            pages.now.a[0] = number
            assert seen()[0] == number - 1 and pages.now.a[0] == number
            if number == 2:
                pages.now.b[0] = 7
        assert seen() == (number, 7 if number > 1 else 0)


def test_a_change_within_a_change_is_published_with_it():
    pages, seen = pages_of_two()
    with pages.change():
        with pages.change():
            pages.now.a[0] = 1
        assert seen() == (0, 0) and pages.now.a[0] == 1
        pages.now.b[0] = 2
    assert seen() == (1, 2)


def test_a_change_that_fails_leaves_everything_as_it_was():
    pages, seen = pages_of_two()
    with pages.change():
        pages.now.a[0], pages.now.b[0] = 1, 1
    with pytest.raises(ZeroDivisionError), pages.change():
        pages.now.a[0] = 2 / 0 if pages.now.b[0] == 5 else 5
        pages.now.b[0] = 1 // 0
    assert seen() == (1, 1) and pages.now.a[0] == 1
    with pages.change():
        pages.now.b[0] = 3
    assert seen() == (1, 3)


def test_pages_of_one_publication_become_valid_together():
    publication = Publication()
    first, second = (Pages(publication, {"a": ((1,), np.int64)}) for _ in range(2))
    seen_first, seen_second = copy.copy(first), copy.copy(second)
    with publication.change():
        with first.change():
            first.now.a[0] = 1
        with second.change():
            second.now.a[0] = 2
        assert seen_first.now.a[0] == seen_second.now.a[0] == 0
    assert (seen_first.now.a[0], seen_second.now.a[0]) == (1, 2)


def test_a_turned_page_is_not_copied_and_a_change_of_other_pages_leaves_it_alone():
    """Parameters are turned: an update writes all of them, and a change of the ledger alone does not copy them."""
    publication = Publication()
    parameters, ledger = (Pages(publication, {"a": ((1,), np.int64)}) for _ in range(2))
    with publication.change():
        assert parameters.turn() == parameters.number == 1 and parameters.now.a[0] == 0
        parameters.now.a[0] = 1
    with ledger.change():
        ledger.now.a[0] = 5
    assert (parameters.number, ledger.number) == (1, 1)
    assert [page.a[0] for page in parameters.both] == [0, 1]
    with pytest.raises(ZeroDivisionError), publication.change():
        parameters.turn()
        parameters.now.a[0] = 1 // 0
    assert parameters.number == 1 and parameters.now.a[0] == 1


# --- updates

LOSSES = {"policy_loss": 1.0, "value_loss": 2.0, "entropy": 3.0, "explained_variance": 4.0}
NOT_REPEATED = ("staleness", "sums", "rows")  # these depend on the order of two workers' pushes


class Pusher:
    """A learner of 5 parameters. Update u pushes gradient number u, 10 env steps and 25 episodes of return u.

    Each update closes a row and asks for a checkpoint. The 4th brings the 100th episode and crosses the threshold."""

    def __init__(self, kind=Learner, **options):
        self.config = cartpole_config(
            mode="async" if kind is Learner else "sync",
            workers=1,
            envs_per_worker=25,
            log_interval=10,
            checkpoint_interval=10,
            dtype="float64",
            **{"total_env_steps": 1000, **options},
        )
        self.memory = LearnerMemory(self.config, 5, reward_threshold=1.0)
        self.ledger, self.learner = self.memory.ledger, kind(self.config, self.memory)
        self.learner.cpu_seconds = lambda: 0.125

    def push(self, number=None):
        """Make the next update, or one with the gradient of this number."""
        number = self.ledger.updates if number is None else number
        gradient = torch.from_numpy(np.random.default_rng(number).normal(size=5))
        self.learner.pulled_version = self.ledger.updates
        self.learner.push(gradient, 10, LOSSES, [(float(number), 3)] * 25)

    def seen(self, *without):
        """Everything that is published, by name; no clock runs."""
        arrays = {name: vector.tolist() for name, vector in self.learner.vectors.items()}
        ledger = self.ledger.state()
        arrays |= ledger.pop("arrays") | ledger
        arrays |= {"due": self.ledger.dues.checkpoint, "finished": self.ledger.finished}
        if self.ledger.crossings.pending:
            arrays["candidate"] = self.memory.candidate.parameters.tolist()
        return {name: value for name, value in arrays.items() if name not in without}


def killed_at_line(line, action):
    """Run `action` in another process and kill it at line number `line` of rl/, from 0; whether it came there."""
    left = line

    def trace(frame, event, _argument):
        nonlocal left
        if f"{os.sep}rl{os.sep}" not in frame.f_code.co_filename:
            return None
        if event == "line":
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
        return trace

    def traced():
        sys.settrace(trace)
        action()

    _, status = os.waitpid(forked(traced), 0)
    return os.WIFSIGNALED(status)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Learner, SyncLearner])
def test_a_worker_killed_at_any_line_of_an_update_has_made_all_of_it_or_nothing(kind):
    """It is killed at line 0, 1, 2, … of the update that crosses the threshold, each time in another run. Then another
    worker makes the next updates. After each of them, everything equals a run of so many updates without a kill."""
    expected, plain = [], Pusher(kind)
    for _ in range(8):
        expected.append(plain.seen())
        plain.push()
    assert expected[3]["attempt"] == [0] and expected[4]["attempt"] == [1]  # crossed by the 4th
    line, made = 0, []
    while True:
        pusher = Pusher(kind)
        for _ in range(3):
            pusher.push()
        died = killed_at_line(line, pusher.push)
        made.append(pusher.ledger.updates - 3)
        assert pusher.seen() == expected[3 + made[-1]], line
        for _ in range(2):
            pusher.push()
            assert pusher.seen() == expected[pusher.ledger.updates], line
        if not died:
            break
        line += 1
    assert made == sorted(made) and 0 < sum(made) < len(made) and line > 60


def test_workers_killed_at_random_moments_leave_the_others_whole_updates():
    """Two workers push the same gradient as fast as they can. 20 times, one is killed within 10 ms and another begins.
    After n updates everything equals the n updates of one worker, and n are entered."""
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    moments, pusher, plain = random.Random(seed), *(Pusher(total_env_steps=10_000_000) for _ in range(2))

    def push_for_ever():
        while True:
            pusher.push(0)

    workers = [forked(push_for_ever) for _ in range(2)]
    for _ in range(20):
        time.sleep(moments.uniform(0.0, 0.01))
        os.kill(workers[0], signal.SIGKILL)
        os.waitpid(workers.pop(0), 0)
        workers.append(forked(push_for_ever))
    before = pusher.ledger.updates
    while pusher.ledger.updates < before + 10:
        time.sleep(0.001)
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
    updates = pusher.ledger.updates
    for _ in range(updates):
        plain.push(0)
    assert pusher.seen(*NOT_REPEATED) == plain.seen(*NOT_REPEATED)
    assert pusher.ledger.env_steps == 10 * updates == 10 * sum(pusher.ledger.staleness)
    rows = pusher.ledger.rows.closed(0)
    assert [row.env_steps for row in rows] == [10 * number for number in range(1, updates + 1)]
    assert all(row.updates == 1 and row.episodes == 25 and row.losses["entropy"] == 3.0 for row in rows)


def test_a_gradient_that_is_not_finite_changes_nothing_and_frees_the_lock():
    pusher = Pusher()
    pusher.push()
    before = pusher.seen()
    with pytest.raises(FloatingPointError):
        pusher.learner.push(torch.full((5,), torch.inf), 10, LOSSES, [])
    assert pusher.seen() == before
    assert pusher.memory.lock.acquire(timeout=0)


def test_an_update_that_fails_half_way_is_as_if_it_had_never_begun(monkeypatch):
    """The ledger fails after the optimiser's step. The next update begins from what was there before."""
    pusher, plain = Pusher(), Pusher()
    for one in (pusher, plain):
        one.push()

    def fail(*_arguments):
        raise OSError("no room")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no room"):
        patch.setattr(pusher.ledger, "record", fail)
        pusher.push()
    assert pusher.seen() == plain.seen()
    for one in (pusher, plain):
        one.push()
    assert pusher.seen() == plain.seen() and pusher.ledger.updates == 2
