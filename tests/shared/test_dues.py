"""What workers and the clock of training wait for."""

import pytest

from tests.support.ledgers import make_ledger, push


@pytest.mark.parametrize(("mode", "stands_still"), [("sync", True), ("serial", True), ("async", False)])
def test_the_clock_stands_still_for_a_verdict_if_workers_wait_for_it(clock, mode, stands_still):
    ledger = make_ledger(mode=mode)
    assert ledger.clock.seconds() == 0.0
    ledger.start_clock()
    clock[0] += 8
    push(ledger, [10.0] * 100)
    clock[0] += 30  # the evaluation
    assert ledger.clock.seconds() == (8.0 if stands_still else 38.0) and ledger.workers_wait is stands_still
    ledger.dues.judged(confirmed=False)
    clock[0] += 2
    assert ledger.clock.seconds() == (10.0 if stands_still else 40.0)
    assert ledger.crossings.newest[1] == 8.0


@pytest.mark.parametrize(("mode", "waits"), [("serial", True), ("sync", True), ("async", False)])
def test_workers_and_clock_stand_still_for_an_evaluation_but_not_in_async_mode(clock, mode, waits):
    """Rows of 100 env steps and an evaluation every 200: the second row asks for one, and the next row at 400."""
    ledger = make_ledger(mode=mode, log_interval=100, eval_interval=200)
    ledger.start_clock()
    push(ledger, env_steps=100)
    assert not ledger.workers_wait
    clock[0] += 2
    push(ledger, env_steps=100)
    assert ledger.workers_wait is waits
    clock[0] += 30
    assert ledger.clock.seconds() == (2.0 if waits else 32.0)
    ledger.dues.evaluated()
    assert not ledger.workers_wait
    clock[0] += 3
    push(ledger, env_steps=100)
    assert ledger.clock.seconds() == (5.0 if waits else 35.0) and not ledger.workers_wait
    push(ledger, env_steps=250)
    assert ledger.workers_wait is waits  # 300 to 550
    assert [ledger.evaluates(*row) for row in ((0, 199), (199, 200), (200, 399), (150, 650))] == [False, True] * 2


@pytest.mark.parametrize("verdict_first", [True, False])
def test_a_verdict_and_an_evaluation_of_the_same_update_are_one_pause_of_the_clock(clock, verdict_first):
    """They take 10 and 20 seconds, in either order; workers wait until both are there."""
    ledger = make_ledger(mode="sync", log_interval=100, eval_interval=100)
    ledger.start_clock()
    push(ledger, [10.0] * 100, env_steps=100)
    parent = [lambda: ledger.dues.judged(confirmed=False), ledger.dues.evaluated]
    for act, seconds in zip(parent if verdict_first else parent[::-1], (10, 20), strict=True):
        assert ledger.workers_wait
        clock[0] += seconds
        act()
    assert not ledger.workers_wait and ledger.clock.seconds() == 0.0
    clock[0] += 1
    assert ledger.clock.seconds() == 1.0


def test_without_an_interval_no_row_asks_for_an_evaluation():
    ledger = make_ledger(mode="sync", log_interval=100)
    push(ledger, env_steps=100)
    assert not ledger.workers_wait and not ledger.evaluates(0, 100)


def test_waiting_for_a_verdict_uses_none_of_the_seconds(clock):
    ledger = make_ledger(mode="sync", max_seconds=5.0)
    ledger.start_clock()
    clock[0] += 1
    assert push(ledger, [10.0] * 100)
    clock[0] += 30  # the evaluation
    ledger.dues.judged(confirmed=False)
    clock[0] += 3
    push(ledger)
    assert not ledger.finished
    clock[0] += 1
    push(ledger)
    assert ledger.finished
