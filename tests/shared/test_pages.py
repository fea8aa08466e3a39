"""Pages and the lock: whoever is killed, at whatever line of an update, what the others see is whole and goes on."""

import copy
import os
import random
import signal
import sys
import threading
import time

import numpy as np
import pytest
import torch

from rl.config import Config
from rl.parameters.learner import Learner
from rl.parameters.sync import SyncLearner
from rl.shared.arrays import SharedArrays
from rl.shared.learner_memory import LearnerMemory
from rl.shared.locks import Gate, Lock
from rl.shared.published import Pages, Publication
from rl.shared.signs import WorkerSigns

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


def test_a_change_that_fails_leaves_everything_as_it_was_and_the_next_one_begins_from_there():
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


# --- the lock


def forked(action):
    """The id of a process that runs `action` and ends."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
        finally:
            os._exit(0)
    return pid


def holding(lock):
    """The id of a process that has taken the lock, and keeps it for an hour."""
    ready, theirs = os.pipe()

    def hold():
        lock.acquire()
        os.write(theirs, b"x")
        time.sleep(3600)

    pid = forked(hold)
    assert os.read(ready, 1) == b"x"
    os.close(ready), os.close(theirs)
    return pid


@pytest.mark.parametrize("stop_first", [False, True])
def test_the_lock_of_a_process_that_is_killed_is_free_and_that_of_one_that_lives_is_not(stop_first):
    """Also of one that was stopped before: nothing in it can run any more, and nothing needs to."""
    lock = Lock()
    holder = holding(lock)
    if stop_first:
        os.kill(holder, signal.SIGSTOP)
    began = time.monotonic()
    assert not lock.acquire(timeout=0.2) and time.monotonic() - began >= 0.2
    os.kill(holder, signal.SIGKILL)
    assert lock.acquire(timeout=5)
    lock.release()
    os.waitpid(holder, 0)


def test_of_two_that_wait_for_a_killed_one_each_gets_the_lock():
    lock, ready = Lock(), SharedArrays({"got": ((2,), np.int64)})
    holder = holding(lock)

    def wait(number):
        with lock:
            ready.got[number] = 1

    waiting = [forked(lambda number=number: wait(number)) for number in range(2)]
    time.sleep(0.1)
    assert ready.got.tolist() == [0, 0]
    os.kill(holder, signal.SIGKILL)
    for pid in (holder, *waiting):
        os.waitpid(pid, 0)
    assert ready.got.tolist() == [1, 1]


def test_nobody_else_is_between_acquire_and_release_in_processes_and_threads():
    """Three processes of two threads each add one 200 times, by reading and a moment later writing: 1200."""
    lock, shared = Lock(), SharedArrays({"sum": ((1,), np.int64)})

    def add():
        for _ in range(200):
            with lock:
                value = shared.sum[0]
                time.sleep(0)
                shared.sum[0] = value + 1

    def two_threads():
        threads = [threading.Thread(target=add) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    for pid in [forked(two_threads) for _ in range(3)]:
        os.waitpid(pid, 0)
    assert shared.sum[0] == 1200


def test_a_thread_that_does_not_get_the_lock_in_time_is_told_so():
    lock, got = Lock(), []
    with lock:
        thread = threading.Thread(target=lambda: got.append(lock.acquire(timeout=0.05)))
        thread.start()
        thread.join(5)
    assert got == [False] and lock.acquire(timeout=0)


# --- signs of life


def test_a_gate_has_as_many_permits_as_were_given_whichever_process_gave_them():
    gate = Gate()
    assert not gate.acquire(block=False)
    for _ in range(2):
        os.waitpid(forked(gate.release), 0)
    gate.release()
    assert [gate.acquire(block=False) for _ in range(4)] == [True, True, True, False]
    late = forked(lambda: (time.sleep(0.2), gate.release()))
    assert gate.acquire() and not gate.acquire(block=False)
    os.waitpid(late, 0)


def test_time_in_which_a_worker_waits_is_progress_and_no_other():
    signs = WorkerSigns(2)
    with pytest.raises(OSError), signs.waits(1):
        signs.beat(0), signs.beat(1)
        raise OSError
    signs.beat(0), signs.beat(1)
    assert signs.progress.tolist() == [0, 1]


# --- updates

LOSSES = {"policy_loss": 1.0, "value_loss": 2.0, "entropy": 3.0, "explained_variance": 4.0}
NOT_REPEATED = ("staleness", "sums", "rows")  # where several push at once


class Pusher:
    """A learner of 5 parameters. Update u pushes the gradient of number u, 10 env steps and 25 episodes worth u: each
    one closes a row and asks for a checkpoint, and the 4th, which fills the window, crosses the threshold."""

    def __init__(self, kind=Learner, **options):
        self.config = Config(
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
        """The update that is next, or one with the gradient of this number."""
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
    """Whether `action`, in a process of its own, was killed as it came to its line number `line` in rl/, from 0."""
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


@pytest.mark.parametrize("kind", [Learner, pytest.param(SyncLearner, marks=pytest.mark.slow)])
def test_a_worker_killed_at_any_line_of_an_update_has_made_all_of_it_or_nothing(kind):
    """It is killed at line 0, 1, 2, … of the update that crosses the threshold, each time in another run, then another
    worker makes the next ones. What all see is after every one of them what a run of so many updates sees that nobody
    died in."""
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


def test_workers_killed_at_random_moments_leave_what_the_others_go_on_with():
    """Two at a time push the same gradient as fast as they can, one of them is killed within 10 ms, and another begins:
    20 times. n updates later all is what one worker's n updates make, and n are entered."""
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
    """The ledger fails after the optimiser's step; the next update is made from what was there before."""
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
