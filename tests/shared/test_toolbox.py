"""The toolbox of Python's multiprocessing, on the smallest problem there is: the squares of 0 to 63 by 8 processes.

The book chapter introduces it so: a pool that maps a function over numbers, then processes of one's own that put what
they find into a queue. `rl.running.supervisor` is the second with what a run needs beyond it; these tests use its form:

- processes are spawned, never forked: each imports what it runs, so that must be a top-level function of a module;
- each has a Connection of its own, over which it says "ready" and "done" and is told to start;
- they are daemons, so that none outlives its parent; they are joined, and their exit codes looked at.

A pool returns results in the order of its inputs; a queue in the order in which they were found, so that each must say
which one it is. A queue must be emptied before its processes are joined: a process does not end before what it put was
taken.
"""

import multiprocessing
import queue

import pytest

from rl.shared.processes import SPAWN
from tests.support.squares import fail, square, square_and_who, square_share

PROCESSES = 8
NUMBERS = range(64)
SQUARES = [
    0,
    1,
    4,
    9,
    16,
    25,
    36,
    49,
    64,
    81,
    100,
    121,
    144,
    169,
    196,
    225,
    256,
    289,
    324,
    361,
    400,
    441,
    484,
    529,
    576,
    625,
    676,
    729,
    784,
    841,
    900,
    961,
    1024,
    1089,
    1156,
    1225,
    1296,
    1369,
    1444,
    1521,
    1600,
    1681,
    1764,
    1849,
    1936,
    2025,
    2116,
    2209,
    2304,
    2401,
    2500,
    2601,
    2704,
    2809,
    2916,
    3025,
    3136,
    3249,
    3364,
    3481,
    3600,
    3721,
    3844,
    3969,
]


def launched(target, shares):
    """Spawn a process for each share; start them together once all are ready. Returns processes, channels, queue."""
    found, processes, channels = SPAWN.Queue(), [], []
    for rank in range(len(shares)):
        ours, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=target, args=(rank, shares, found, theirs), name=f"worker {rank}", daemon=True)
        process.start()
        theirs.close()  # ours then ends where the process does
        processes.append(process)
        channels.append(ours)
    return processes, channels, found


def test_a_pool_of_8_processes_returns_the_squares_of_0_to_63_in_order():
    with SPAWN.Pool(PROCESSES) as pool:
        assert pool.map(square, NUMBERS) == SQUARES
        found = pool.map(square_and_who, NUMBERS, chunksize=1)
        pool.close()
        pool.join()
    assert [number for number, _ in found] == SQUARES
    names = {name for _, name in found}
    assert multiprocessing.current_process().name not in names  # none of them was found here
    assert multiprocessing.active_children() == []


def test_8_spawned_processes_put_the_squares_of_0_to_63_into_a_queue_and_all_end_with_exit_code_0():
    shares = [NUMBERS[rank::PROCESSES] for rank in range(PROCESSES)]
    processes, channels, found = launched(square_share, shares)
    assert [channel.recv() for channel in channels] == ["ready"] * PROCESSES
    with pytest.raises(queue.Empty):
        found.get(block=False)  # nobody begins before all are ready
    for channel in channels:
        channel.send("start")
    squares = dict(found.get(timeout=30) for _ in NUMBERS)  # before the joins
    assert [squares[index] for index in NUMBERS] == SQUARES
    assert [channel.recv() for channel in channels] == ["done"] * PROCESSES
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    assert all(process.daemon for process in processes)
    assert multiprocessing.active_children() == []


def test_a_process_that_fails_is_seen_by_its_exit_code_and_its_closed_connection_and_the_others_results_stand():
    shares = [[3], [5]]
    processes, (first, second), found = launched(fail, shares)
    assert first.recv() == "ready"
    with pytest.raises(EOFError):
        second.recv()
    first.send("start")
    assert found.get(timeout=30) == (3, 9)
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 3]
