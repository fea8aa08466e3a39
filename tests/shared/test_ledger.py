"""The ledger: when a run counts as solved, what a row of the record sums up, and that a resumed run goes on exactly."""

import json

import numpy as np
import pytest

import envs
from rl.config import Config
from rl.running.run import new_run, resumed_run
from rl.shared.ledger import Ledger
from rl.shared.published import Publication


@pytest.fixture
def clock(monkeypatch):
    """What stands for the time, in seconds; only a test moves it."""
    now = [1000.0]
    monkeypatch.setattr("rl.shared.clock.time.monotonic", lambda: now[0])
    return now


def make_ledger(threshold=10.0, start_env_steps=0, **options):
    """A ledger of one environment, whose window is 100, unless options say otherwise."""
    defaults = {"workers": 1, "envs_per_worker": 1, "total_env_steps": 1_000_000, "log_interval": 1000}
    return Ledger(Config(**{**defaults, **options}), threshold, Publication(), start_env_steps)


def losses(**values):
    names = ("policy_loss", "value_loss", "entropy", "explained_variance", "grad_norm", "staleness", "learning_rate")
    return {**dict.fromkeys(names, 0.0), **values}


def push(ledger, returns=(), env_steps=10, **values):
    """One update with episodes of such returns; whether it crossed the threshold."""
    ledger.record(env_steps, losses(**values), [(float(value), 5) for value in returns])
    return ledger.crosses()


@pytest.mark.parametrize(
    ("workers", "envs_per_worker", "window"), [(1, 1, 100), (2, 25, 100), (3, 17, 102), (2, 32, 128), (4, 256, 2048)]
)
def test_the_window_is_the_last_100_episodes_or_two_for_each_environment_where_that_is_more(
    workers, envs_per_worker, window
):
    ledger = make_ledger(workers=workers, envs_per_worker=envs_per_worker)
    assert not push(ledger, [10.0] * (window - 1)) and ledger.crossings.mean_return is None
    assert push(ledger, [10.0]) and ledger.crossings.mean_return == 10.0


def test_the_window_crosses_at_the_push_that_lifts_its_mean_to_the_threshold():
    """99 returns of 10, one of 9: mean 9.99. The next return of 10 drives out the oldest 10: still 9.99. A return of
    11 gives 10.00 exactly, and that is enough."""
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
    """In the middle of this push the window's mean was 20; at its end it is 0."""
    ledger = make_ledger(threshold=10.0)
    assert not push(ledger, [20.0] * 100 + [0.0] * 100)


@pytest.mark.parametrize("before", [0, 1, 99, 100, 130])
@pytest.mark.parametrize("episodes", [1, 100, 101, 199, 200, 1234])
def test_of_more_episodes_than_the_window_in_one_update_the_last_100_stay(before, episodes):
    """As if they had come one by one, whatever the window held before: the same window, count and sums."""
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


def test_after_a_failed_attempt_the_window_is_empty_and_must_refill():
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
    push(ledger, [0.0] * 100)  # async workers went on while the evaluation was played
    ledger.dues.judged(confirmed=True)
    assert ledger.crossings.confirmed and ledger.crossings.newest[0] == 100
    assert not push(ledger, [50.0] * 100)  # and no further attempt
    assert ledger.crossings.confirmed and ledger.crossings.newest[0] == 100


def test_an_environment_without_a_threshold_is_never_solved():
    ledger = make_ledger(threshold=None)
    assert not push(ledger, [1e9] * 200)


@pytest.mark.parametrize(("mode", "stands_still"), [("sync", True), ("serial", True), ("async", False)])
def test_the_clock_stands_still_for_a_verdict_where_workers_wait_for_it(clock, mode, stands_still):
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


# --- rows


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
    """60 of them, then 60 with an update: one row of 120 with the means of that update. 100 more: a row without any."""
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
        ("q_online", ["td_loss", "q_values", "explained_variance"]),
        ("q_replay", ["td_loss", "q_values", "explained_variance", "state_age"]),
    ],
)
def test_what_is_logged_of_a_loss_is_that_of_the_algorithm(algorithm, names):
    ledger = make_ledger(algorithm=algorithm)
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


def test_the_staleness_histogram_counts_every_update_and_keeps_the_very_old_in_its_last_bin():
    ledger = make_ledger()
    for staleness in (0, 0, 1, 3, 63, 64, 1000):
        push(ledger, staleness=staleness)
    assert ledger.staleness == [2, 1, 0, 1, *[0] * 59, 3]
    assert sum(ledger.staleness) == ledger.updates == 7


def test_the_record_has_room_for_what_async_workers_push_behind_the_last_env_step():
    """8 workers, a row for each push: the 10th push reaches the total, the 7 others were under way."""
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


def test_a_run_asked_to_stop_ends_with_the_next_update_and_not_before():
    ledger = make_ledger()
    ledger.request_stop()
    assert not ledger.finished  # sync workers must all see the same
    push(ledger)
    assert ledger.finished


# --- seconds


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


def test_the_wait_for_a_verdict_uses_none_of_the_seconds(clock):
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


def test_a_ledger_that_goes_on_has_the_seconds_that_are_left(clock):
    """3 of 5 seconds were used: 2 are left, however long the machine was off."""
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


def test_a_run_of_5_cpu_seconds_ends_with_the_update_that_fills_them_up(clock):
    """1.5, 3 and 4.5 of them are not enough; the clock of the run does not matter."""
    ledger = make_ledger(max_cpu_seconds=5.0)
    ledger.start_clock()
    clock[0] += 1000
    for number in range(1, 4):
        ledger.record(10, losses(), [], 1.5)
        assert not ledger.finished and not ledger.complete and ledger.cpu_seconds == 1.5 * number
    ledger.record(10, {}, [], 0.5)
    assert ledger.finished and ledger.complete and ledger.cpu_seconds == 5.0


def test_cpu_seconds_are_in_the_rows_and_go_on_where_a_run_goes_on():
    """Without a limit they are counted too, and end nothing."""
    ledger = make_ledger(log_interval=10)
    for _ in range(2):
        ledger.record(10, losses(), [], 1.5)
    assert [row.cpu_seconds for row in ledger.rows.closed(0)] == [1.5, 3.0]
    resumed = make_ledger(log_interval=10)
    resumed.load_state(json.loads(json.dumps(ledger.state())))
    resumed.record(10, losses(), [], 1e9)
    assert resumed.cpu_seconds == 1e9 + 3.0 and not resumed.finished


@pytest.mark.parametrize(("mode", "waits"), [("serial", True), ("sync", True), ("async", False)])
def test_workers_and_clock_stand_still_for_an_evaluation_in_training_but_for_async_ones(clock, mode, waits):
    """Rows of 100 env steps, an evaluation every 200: the second row asks for one, and the next at 400."""
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
def test_a_verdict_and_an_evaluation_at_the_same_update_are_one_stop_of_the_clock(clock, verdict_first):
    """10 and 20 seconds for them, in either order; workers go on when both are there."""
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


SECOND_EACH = {
    "env": "tests.support.faulty_envs:Faulty-v0",
    "mode": "serial",
    "workers": 1,
    "envs_per_worker": 4,
    "segment_length": 8,
    "hidden_size": 4,
    "total_env_steps": 320,
    "wandb": "disabled",
    "eval_episodes": 2,
}


def executed(run, clock, stop_after=None):
    """Execute a run whose updates of 32 env steps take a second each, and stop it by a signal after so many."""
    record = run.setup.ledger.record

    def a_second_later(*arguments):
        clock[0] += 1
        record(*arguments)
        if run.setup.ledger.updates == stop_after:
            run.outcome.note_signal(15)

    run.setup.ledger.record = a_second_later
    return run.execute(lambda _line: None)


@pytest.mark.parametrize(
    ("max_seconds", "updates", "reason"),
    [
        (1e-9, 1, "max_seconds"),
        (4, 4, "max_seconds"),
        (9.5, 10, "total_env_steps"),
        (10, 10, "total_env_steps"),
        (1e6, 10, "total_env_steps"),
        (0, 10, "total_env_steps"),
    ],
)
def test_a_run_says_whether_its_seconds_or_its_env_steps_were_over_first(tmp_path, clock, max_seconds, updates, reason):
    """10 updates of a second each make the env steps full; where both are over at once, the env steps are it."""
    run = new_run(Config(**SECOND_EACH, max_seconds=max_seconds, run_dir=str(tmp_path / "run")), envs.make_vector)
    summary = executed(run, clock)
    assert (summary["exit_reason"], summary["exit_code"]) == (reason, 0)
    assert (summary["updates"], summary["env_steps"], summary["seconds"]) == (updates, 32 * updates, updates)
    assert summary["eval_greedy"] == 8.0  # it ended as a run does that is complete


def test_a_run_that_used_its_seconds_is_complete_and_one_stopped_before_goes_on_for_those_left(tmp_path, clock):
    run = new_run(Config(**SECOND_EACH, max_seconds=4, run_dir=str(tmp_path / "run")), envs.make_vector)
    summary = executed(run, clock, stop_after=3)
    assert (summary["exit_reason"], summary["updates"]) == ("SIGTERM", 4)  # it ends with the update after
    with pytest.raises(ValueError, match=r"run: the run is complete, at 128 env steps; a longer one is a new run$"):
        resumed_run(tmp_path / "run", envs.make_vector)

    run = new_run(Config(**SECOND_EACH, max_seconds=4, run_dir=str(tmp_path / "other")), envs.make_vector)
    assert executed(run, clock, stop_after=1)["updates"] == 2
    summary = executed(resumed_run(tmp_path / "other", envs.make_vector), clock)
    assert (summary["exit_reason"], summary["exit_code"], summary["updates"]) == ("max_seconds", 0, 4)
    assert (summary["seconds"], summary["env_steps"]) == (4.0, 128)


def test_a_run_without_a_limit_of_seconds_goes_on_whatever_it_has_used(tmp_path, clock):
    run = new_run(Config(**SECOND_EACH, run_dir=str(tmp_path / "run")), envs.make_vector)
    assert executed(run, clock, stop_after=2)["seconds"] == 3.0
    summary = executed(resumed_run(tmp_path / "run", envs.make_vector), clock)
    assert (summary["exit_reason"], summary["updates"]) == ("total_env_steps", 10)


# --- through a run


@pytest.mark.parametrize("stop_when_solved", [True, False])
def test_every_attempt_stands_in_the_summary_and_the_run_is_solved_at_its_crossing(tmp_path, stop_when_solved):
    """4 environments end an episode every 8 steps, so a push of 32 env steps brings 4 returns of 8, and 25 pushes fill
    the window: it crosses the threshold of 1 at 800. Refuted there, it must refill, until 1600. Confirmed: solved."""
    config = Config(
        env="tests.support.faulty_envs:Easy-v0",
        mode="serial",
        workers=1,
        envs_per_worker=4,
        segment_length=8,
        hidden_size=4,
        total_env_steps=3200,
        stop_when_solved=stop_when_solved,
        wandb="disabled",
        run_dir=str(tmp_path / "run"),
        eval_episodes=3,
    )
    run = new_run(config, envs.make_vector)
    setup, verdicts, refuted = run.setup, run.duties.verdicts, []
    confirmation = verdicts.confirmation

    def refute_once(stop):
        played = confirmation(stop)
        assert played == 8.0  # 8 steps worth 1 each
        assert setup.ledger.crossings.pending  # played by the parameters of the crossing
        assert np.array_equal(setup.agent.parameters.numpy(), setup.memory.candidate.parameters)
        assert setup.agent.parameters.any()
        refuted.append(played)
        return 0.5 if len(refuted) == 1 else played

    verdicts.confirmation = refute_once
    summary = run.execute(lambda _line: None)
    first, second = summary["solve_attempts"]
    assert (first["env_steps"], first["window_mean"], first["confirmation"], first["confirmed"]) == (
        800,
        8.0,
        0.5,
        False,
    )
    assert (second["env_steps"], second["window_mean"], second["confirmation"]) == (1600, 8.0, 8.0)
    assert second["confirmed"] and summary["solved"] and summary["solved_at_env_steps"] == 1600
    assert 0 < first["seconds"] < second["seconds"] == summary["solved_at_seconds"] <= summary["seconds"]
    assert summary["env_steps"] == (1600 if stop_when_solved else 3200)
    assert summary["exit_reason"] == ("solved" if stop_when_solved else "total_env_steps")
    assert summary["mean_return"] == summary["eval_greedy"] == summary["eval_sampled"] == 8.0


# --- going on


def test_a_ledger_that_goes_on_from_its_state_ends_as_one_that_was_never_stopped(clock):
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
