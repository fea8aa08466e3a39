"""What a row of the record sums up."""

import json

import pytest

from tests.support.ledgers import losses, make_ledger, push


def test_a_row_closes_with_the_push_that_completes_its_interval_and_holds_means_over_its_updates():
    ledger = make_ledger(log_interval=100)
    push(ledger, [1.0], env_steps=60, entropy=0.5, staleness=1, learning_rate=3.0)
    assert ledger.rows.closed(0) == []
    push(ledger, [3.0, 5.0], env_steps=60, entropy=0.25, staleness=0, learning_rate=1.0)  # 120
    push(ledger, [], env_steps=60)  # 180
    push(ledger, [], env_steps=60)  # 240
    first, second = ledger.rows.closed(0)
    assert (first.env_steps, first.interval_env_steps, first.updates, first.episodes) == (120, 120, 2, 3)
    assert (first.episode_return, first.episode_length) == (3.0, 5.0)
    assert (first.losses["entropy"], first.losses["staleness"], first.losses["learning_rate"]) == (0.375, 0.5, 2.0)
    assert (second.env_steps, second.interval_env_steps, second.updates, second.episodes) == (240, 120, 2, 0)
    assert ledger.rows.closed(1) == [second]


def test_steps_that_only_went_into_a_buffer_are_in_the_rows_without_updates_and_means():
    """60 such steps and 60 with an update make one row of 120 with the means of that update. 100 more make a row
    without an update."""
    ledger = make_ledger(log_interval=100)
    ledger.record(60, {}, [(4.0, 5)])
    assert (ledger.updates, ledger.env_steps, ledger.staleness) == (0, 60, [])
    push(ledger, [6.0], env_steps=60, entropy=0.5)
    ledger.record(100, {}, [])
    first, second = ledger.rows.closed(0)
    assert (first.env_steps, first.updates, first.losses["entropy"], first.episode_return) == (120, 1, 0.5, 5.0)
    assert (second.env_steps, second.updates, second.losses, second.episodes) == (220, 0, {}, 0)


@pytest.mark.parametrize(
    ("algorithm", "names"),
    [
        ("a2c", ["policy_loss", "value_loss", "entropy", "explained_variance"]),
        ("a2c_replay", ["policy_loss", "value_loss", "entropy", "explained_variance", "state_age"]),
        (
            "ppo",
            [
                *("policy_loss", "value_loss", "entropy", "explained_variance"),
                *("approx_kl", "clip_fraction", "stale_state_kl"),
            ],
        ),
        ("q_online", ["td_loss", "q_values", "explained_variance"]),
        ("q_replay", ["td_loss", "q_values", "explained_variance", "state_age"]),
    ],
)
def test_what_is_logged_of_a_loss_is_that_of_the_algorithm(algorithm, names):
    ledger = make_ledger(algorithm=algorithm, minibatches=1)
    names = [*names, "grad_norm", "staleness", "learning_rate"]
    ledger.record(10, {name: float(number) for number, name in enumerate(names)}, [])
    ledger.close_row()
    assert ledger.rows.closed(0)[0].losses == {name: float(number) for number, name in enumerate(names)}


def test_a_push_over_several_intervals_closes_one_row():
    ledger = make_ledger(log_interval=100)
    push(ledger, env_steps=350)
    push(ledger, env_steps=60)
    assert [row.env_steps for row in ledger.rows.closed(0)] == [350, 410]


def test_rows_add_up_to_everything_that_was_pushed():
    ledger = make_ledger(log_interval=70)
    for number in range(50):
        push(ledger, [number] * (number % 3), env_steps=13)
    ledger.close_row()
    rows = ledger.rows.closed(0)
    assert sum(row.interval_env_steps for row in rows) == 50 * 13 == ledger.env_steps
    assert sum(row.updates for row in rows) == 50 == ledger.updates
    assert sum(row.episodes for row in rows) == sum(number % 3 for number in range(50))
    assert sum(row.episode_return * row.episodes for row in rows) == pytest.approx(
        sum(number * (number % 3) for number in range(50))
    )
    ledger.close_row()  # nothing was entered since: no empty row
    assert ledger.rows.closed(0) == rows


def test_the_record_has_room_for_what_async_workers_push_behind_the_last_env_step():
    """8 workers close a row with each push. The 10th push reaches the total, and the 7 other workers push once more."""
    ledger = make_ledger(workers=8, total_env_steps=10_000, log_interval=1000)
    for number in range(10):
        assert not ledger.finished, number
        push(ledger, env_steps=1000)
    assert ledger.finished
    for _ in range(7):
        push(ledger, env_steps=1000)
    push(ledger, env_steps=1)
    ledger.close_row()
    assert [row.env_steps for row in ledger.rows.closed(0)] == [*range(1000, 17_001, 1000), 17_001]


def test_cpu_seconds_are_in_the_rows_and_a_resumed_run_adds_to_them():
    """Without a limit CPU seconds are counted too, and end nothing."""
    ledger = make_ledger(log_interval=10)
    for _ in range(2):
        ledger.record(10, losses(), [], 1.5)
    assert [row.cpu_seconds for row in ledger.rows.closed(0)] == [1.5, 3.0]
    resumed = make_ledger(log_interval=10)
    resumed.load_state(json.loads(json.dumps(ledger.state())))
    resumed.record(10, losses(), [], 1e9)
    assert resumed.cpu_seconds == 1e9 + 3.0 and not resumed.finished
