"""The progress of a run: its end, its limits, and how it continues from a state."""

import json

import pytest

from tests.support.ledgers import losses, make_ledger, push


def test_the_staleness_histogram_counts_every_update_and_keeps_the_very_old_in_its_last_bin():
    ledger = make_ledger()
    for staleness in (0, 0, 1, 3, 63, 64, 1000):
        push(ledger, staleness=staleness)
    assert ledger.staleness == [2, 1, 0, 1, *[0] * 59, 3]
    assert sum(ledger.staleness) == ledger.updates == 7


def test_a_run_asked_to_stop_ends_with_the_next_update_and_not_before():
    ledger = make_ledger()
    ledger.request_stop()
    assert not ledger.finished  # sync workers must all see the same
    push(ledger)
    assert ledger.finished


@pytest.mark.parametrize("mode", ["serial", "sync", "async"])
def test_a_run_of_5_seconds_ends_with_the_first_update_that_comes_after_5_and_not_between_updates(clock, mode):
    ledger = make_ledger(max_seconds=5.0, mode=mode)
    ledger.start_clock()
    clock[0] += 4.75
    push(ledger)
    assert not ledger.finished and not ledger.complete
    clock[0] += 0.25
    assert not ledger.finished  # sync workers must all see the same
    push(ledger)
    assert ledger.finished and ledger.complete and ledger.clock.trained_seconds == 5.0


@pytest.mark.parametrize("seconds", [0, 0.0])
def test_0_seconds_are_no_limit(clock, seconds):
    ledger = make_ledger(max_seconds=seconds)
    ledger.start_clock()
    clock[0] += 1e9
    push(ledger)
    assert not ledger.finished and not ledger.complete


def test_a_run_of_5_cpu_seconds_ends_with_the_update_that_fills_them_up(clock):
    """1.5, 3 and 4.5 CPU seconds are not enough; the clock of the run does not matter."""
    ledger = make_ledger(max_cpu_seconds=5.0)
    ledger.start_clock()
    clock[0] += 1000
    for number in range(1, 4):
        ledger.record(10, losses(), [], 1.5)
        assert not ledger.finished and not ledger.complete and ledger.cpu_seconds == 1.5 * number
    ledger.record(10, {}, [], 0.5)
    assert ledger.finished and ledger.complete and ledger.cpu_seconds == 5.0


def test_a_resumed_run_has_the_seconds_that_are_left(clock):
    """3 of 5 seconds were used, so 2 are left, however long the machine was off."""
    stopped = make_ledger(max_seconds=5.0)
    stopped.start_clock()
    clock[0] += 3
    push(stopped)
    resumed = make_ledger(max_seconds=5.0)
    resumed.load_state(stopped.state())
    clock[0] += 1000
    resumed.start_clock()
    clock[0] += 1.5
    push(resumed)
    assert not resumed.finished
    clock[0] += 0.5
    push(resumed)
    assert resumed.finished and resumed.clock.trained_seconds == 5.0


def test_a_ledger_that_continues_from_its_state_ends_as_one_that_was_never_stopped(clock):
    def play(ledger, start, end):
        for number in range(start, end):
            clock[0] += 1
            if push(ledger, [number / 10] * 3, env_steps=7, entropy=number, staleness=number % 2):
                ledger.dues.judged(confirmed=number > 150)
        return ledger

    whole = make_ledger(log_interval=50)
    whole.start_clock()
    expected = play(whole, 0, 200).state()

    stopped = make_ledger(log_interval=50)
    stopped.start_clock()
    written = len(play(stopped, 0, 90).rows.closed(0))
    state = json.loads(json.dumps(stopped.state(written)))  # plain Python: it survives a file
    resumed = make_ledger(log_interval=50, start_env_steps=90 * 7)
    resumed.load_state(state)
    clock[0] += 1000  # the machine was off
    assert resumed.clock.seconds() == 90.0  # also before the clock starts
    resumed.start_clock()
    play(resumed, 90, 200)

    assert resumed.state() == {**expected, "rows": expected["rows"][written:]} and resumed.crossings.confirmed
    assert stopped.rows.closed(0) + resumed.rows.closed(0) == whole.rows.closed(0)
