"""When a run counts as solved."""

import pytest

from tests.support.ledgers import losses, make_ledger, push


@pytest.mark.parametrize(
    ("workers", "envs_per_worker", "window"), [(1, 1, 100), (2, 25, 100), (3, 17, 102), (2, 32, 128), (4, 256, 2048)]
)
def test_the_newest_100_episodes_decide_or_two_of_each_environment_where_that_is_more(workers, envs_per_worker, window):
    ledger = make_ledger(workers=workers, envs_per_worker=envs_per_worker)
    assert not push(ledger, [10.0] * (window - 1)) and ledger.crossings.mean_return is None
    assert push(ledger, [10.0]) and ledger.crossings.mean_return == 10.0


def test_the_push_that_lifts_the_mean_to_the_threshold_is_the_crossing():
    """99 returns of 10 and one of 9 have mean 9.99. The next return of 10 drives out the oldest 10: still 9.99. A
    return of 11 gives 10.00 exactly, which is enough."""
    ledger = make_ledger(threshold=10.0)
    assert not push(ledger, [10.0] * 99)
    assert not push(ledger, [9.0]) and ledger.crossings.mean_return == 9.99
    assert not push(ledger, [10.0]) and ledger.crossings.mean_return == 9.99
    assert push(ledger, [11.0], env_steps=7) and ledger.crossings.mean_return == 10.0
    assert ledger.crossings.pending and not ledger.crossings.confirmed
    env_steps, seconds, mean = ledger.crossings.newest
    assert (env_steps, seconds, mean) == (37, 0.0, 10.0)  # the clock was never started


def test_only_the_newest_episodes_count_and_they_enter_in_the_order_of_the_pushes():
    ledger = make_ledger(threshold=10.0)
    push(ledger, [0.0] * 100)
    for number in range(1, 100):
        assert not push(ledger, [10.0]) and ledger.crossings.mean_return == pytest.approx(number / 10)
    assert push(ledger, [10.0])  # the last 0 has gone


def test_many_episodes_of_one_push_are_tested_once_at_its_end():
    """In the middle of this push the mean would be 20; at its end it is 0."""
    ledger = make_ledger(threshold=10.0)
    assert not push(ledger, [20.0] * 100 + [0.0] * 100)


@pytest.mark.parametrize("before", [0, 1, 99, 100, 130])
@pytest.mark.parametrize("episodes", [1, 100, 101, 199, 200, 1234])
def test_of_more_episodes_than_decide_in_one_update_the_last_100_stay(before, episodes):
    """As if they had come one by one, whatever was there before: the same episodes, count and sums."""
    together, one_by_one = (make_ledger(log_interval=1_000_000) for _ in range(2))
    for ledger in (together, one_by_one):
        push(ledger, [-1.0] * before)
    numbered = [(float(number), 2 * number + 1) for number in range(episodes)]
    together.record(10, losses(), numbered)
    for episode in numbered:
        one_by_one.record(10, losses(), [episode])
    expected = sorted(([-1.0] * before + [value for value, _ in numbered])[-100:])
    assert sorted(together.pages.now.returns.tolist()[: len(expected)]) == expected
    for name in ("returns", "returns_seen"):
        assert getattr(together.pages.now, name).tolist() == getattr(one_by_one.pages.now, name).tolist()
    push(together, [-2.0]), push(one_by_one, [-2.0])  # both drive out the same one
    assert together.pages.now.returns.tolist() == one_by_one.pages.now.returns.tolist()
    [row], [other] = ((ledger.close_row(), ledger.rows.closed(0))[1] for ledger in (together, one_by_one))
    assert row.episodes == other.episodes == before + episodes + 1
    assert (row.episode_return, row.episode_length) == (other.episode_return, other.episode_length)
    total = episodes * (episodes - 1) / 2 - before - 2
    assert row.episode_return == total / (before + episodes + 1)
    assert row.episode_length == (episodes**2 + 5 * before + 5) / (before + episodes + 1)  # 1 + 3 + 5 + … = episodes²


def test_after_a_failed_attempt_100_new_episodes_are_needed():
    ledger = make_ledger(threshold=10.0)
    assert push(ledger, [10.0] * 100, env_steps=100)
    assert not push(ledger, [10.0])  # one attempt at a time
    ledger.dues.judged(confirmed=False)
    assert not ledger.crossings.pending and not ledger.crossings.confirmed and ledger.crossings.mean_return is None
    for _ in range(99):
        assert not push(ledger, [10.0], env_steps=1)
    assert push(ledger, [10.0], env_steps=1)  # the 100th since
    assert ledger.crossings.newest[0] == 100 + 10 + 100


def test_after_a_confirmed_attempt_the_run_stays_solved_at_its_crossing():
    ledger = make_ledger(threshold=10.0)
    push(ledger, [10.0] * 100, env_steps=100)
    push(ledger, [0.0] * 100)  # async workers push while the evaluation is played
    ledger.dues.judged(confirmed=True)
    assert ledger.crossings.confirmed and ledger.crossings.newest[0] == 100
    assert not push(ledger, [50.0] * 100)  # and no further attempt
    assert ledger.crossings.confirmed and ledger.crossings.newest[0] == 100


def test_an_environment_without_a_threshold_is_never_solved():
    ledger = make_ledger(threshold=None)
    assert not push(ledger, [1e9] * 200)
