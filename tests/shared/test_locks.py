"""Locks, gates and signs of life: a killed process leaves nothing taken."""

import os
import signal
import threading
import time

import numpy as np
import pytest

from rl.shared.arrays import SharedArrays
from rl.shared.locks import Gate, Lock
from rl.shared.signs import WorkerSigns
from tests.support.forks import forked


def holding(lock):
    """The id of a process that holds the lock for an hour."""
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
    """Also if the process was stopped before, so that none of its code can run any more."""
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


def test_two_that_wait_for_a_killed_holder_both_get_the_lock():
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


def test_one_process_or_thread_at_a_time_is_between_acquire_and_release():
    """Three processes of two threads each read a number, wait, and write it plus one, 200 times: 1200."""
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


def test_acquire_says_whether_it_got_the_lock_in_time():
    lock, got = Lock(), []
    with lock:
        thread = threading.Thread(target=lambda: got.append(lock.acquire(timeout=0.05)))
        thread.start()
        thread.join(5)
    assert got == [False] and lock.acquire(timeout=0)


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


def test_only_waiting_counts_as_progress_by_itself():
    signs = WorkerSigns(2)
    with pytest.raises(OSError), signs.waits(1):
        signs.beat(0), signs.beat(1)
        raise OSError
    signs.beat(0), signs.beat(1)
    assert signs.progress.tolist() == [0, 1]
