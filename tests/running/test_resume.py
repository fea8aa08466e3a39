"""Going on: a run that was stopped ends as the one that never was, bit for bit but for its times."""

import io
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch

import envs
from rl.record.checkpoint import load_checkpoint, save_checkpoint
from rl.running.run import new_run, resumed_run
from tests.support.bits import assert_bit_equal
from tests.support.configs import cartpole_config
from tests.support.every_case import CASES, FEW
from tests.support.runs import ROOT, SERIAL, untimed

SMALL = {**SERIAL, "hidden_size": 4, "torso_size": 4, "total_env_steps": 960, "log_interval": 96}
SECONDS = ("seconds", "cpu_seconds")  # of the summary's and the ledger's names


def timeless(ledger):
    arrays = {name: values for name, values in ledger["arrays"].items() if name not in SECONDS}
    arrays["opened"], arrays["crossing"] = arrays["opened"][:1], arrays["crossing"][::2]
    return {**{name: value for name, value in ledger.items() if name not in SECONDS}, "arrays": arrays}


def saved(folder):
    """Everything in a checkpoint but its times, workers opened."""
    state = load_checkpoint(folder / "checkpoint.pt")[1]
    state["ledger"] = timeless(state["ledger"])
    state["attempts"] = [{**attempt, "seconds": None} for attempt in state["attempts"]]
    state["workers"] = [opened(worker) for worker in state["workers"]]
    del state["config"]["run_dir"]
    return state


def opened(worker):
    """What a checkpoint holds of a worker."""
    return torch.load(io.BytesIO(worker.numpy().tobytes()), weights_only=True)


class Runs:
    """The same run in two folders: one to its end, the other as often stopped and resumed as is asked for."""

    def __init__(self, folder, change=lambda run: None, **options):
        self.folder, self.change, self.options, self.said = folder, change, {**SMALL, **options}, []
        self.whole = self.execute(self.new("whole"))
        assert self.whole["exit_code"] == 0

    def new(self, name):
        return new_run(cartpole_config(**{**self.options, "run_dir": str(self.folder / name)}), envs.make_vector)

    def execute(self, run, stop=lambda run: None):
        """Execute a run, stopped at a row for which `stop` asks it to."""
        self.change(run)
        return run.execute(self.said.append, stop(run) or (lambda _row: None))

    def stopped(self, *stops):
        """The summary of the run that is stopped like this, one time after the other, and resumed to its end."""
        for number, stop in enumerate(stops):
            run = resumed_run(self.folder / "parts", envs.make_vector) if number else self.new("parts")
            summary = self.execute(run, stop)
            assert summary["exit_reason"] == "SIGTERM", summary["exit_reason"]
        return self.execute(resumed_run(self.folder / "parts", envs.make_vector))

    def assert_equal(self, summary):
        """The resumed run ended as the other."""
        assert_bit_equal(untimed(self.folder / "whole"), untimed(self.folder / "parts"))
        assert_bit_equal(saved(self.folder / "whole"), saved(self.folder / "parts"))
        for name in ("env_steps", "updates", "mean_return", "eval_greedy", "eval_sampled", "staleness", "exit_reason"):
            assert summary[name] == self.whole[name], name
        steps = [row["global_step"] for row in untimed(self.folder / "parts")]
        assert steps == sorted(set(steps)) and steps[-1] == self.whole["env_steps"]


def at(env_steps):
    """Stop with the push that follows the row of so many env steps."""

    def stop(run):
        return lambda row: run.outcome.note_signal(signal.SIGTERM) if row["global_step"] >= env_steps else None

    return stop


def goes_on_bit_by_bit(runs):
    said = [line for line in runs.said if line.startswith("going on")]
    return said and all(re.fullmatch(r"going on from \d+ env steps, bit by bit", line) for line in said)


# --- serial: every environment, every core

ENVIRONMENTS = {
    "CartPole-v1": {"previous_reward": True},
    "MaskedVelocityCartPole-v1": {"frame_stack": 3},
    "NoisyPositionCartPole-v1": {"previous_action": True, "env_arg": ("max_episode_steps=20",)},
    "FlickeringCartPole-v1": {"frame_stack": 2, "previous_action": True, "previous_reward": True},
    "FallPenaltyCartPole-v1": {"observation_scale": "l2"},
    "RecallCue-v0": {"previous_action": True},
    "RepeatPrevious-v0": {"previous_reward": True, "observation_scale": "0.5,0.5,0.5,0.5"},
}


CORES = {"FlickeringCartPole-v1": "gru", "RecallCue-v0": "lstm"}


@pytest.mark.parametrize(
    ("env", "core"),
    [
        pytest.param(env, core, marks=[] if core == CORES.get(env) else pytest.mark.slow)
        for env in ENVIRONMENTS
        for core in ("mlp", "gru", "lstm")
    ],
)
def test_a_serial_run_that_was_stopped_three_times_is_the_one_that_never_was(tmp_path, env, core):
    """30 updates of 32 env steps: stopped within rows 1, 4 and 5, in the middle of episodes."""
    runs = Runs(tmp_path, env=env, core=core, **ENVIRONMENTS[env])
    runs.assert_equal(runs.stopped(at(96), at(384), at(480)))
    assert goes_on_bit_by_bit(runs)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"core": "rnn"}, marks=pytest.mark.slow),
        pytest.param({"core": "gru", "unroll": "again"}, marks=pytest.mark.slow),
        pytest.param({"core": "lstm", "carry_state": False}, marks=pytest.mark.slow),
        pytest.param({"core": "lstm", "separate_critic": True}, marks=pytest.mark.slow),
        pytest.param({"segment_length": 0, "envs_per_worker": 1}, marks=pytest.mark.slow),
        pytest.param({"stop_at_episode_end": True, "envs_per_worker": 1}, marks=pytest.mark.slow),
        pytest.param({"algorithm": "q_online"}, marks=pytest.mark.slow),
        {"algorithm": "ppo", "minibatches": 2, "normalise_observations": True, "normalise_returns": True},
        {"core": "rtu", "carry_gradient": True},
        pytest.param(
            {"core": "mingru", "carry_gradient": True, "algorithm": "ppo", "minibatches": 2}, marks=pytest.mark.slow
        ),
        pytest.param({"dtype": "float64"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_so_it_is_with_other_options(tmp_path, options):
    runs = Runs(tmp_path, **options)
    runs.assert_equal(runs.stopped(at(96), at(500)))


REPLAY = {
    "algorithm": "q_replay",
    "replay_warm_up": 160,
    "replay_capacity": 640,
    "sequence_length": 8,
    "burn_in": 4,
    "replay_batch": 8,
    "target_interval": 3,
    "env": "RecallCue-v0",
}


@pytest.mark.parametrize(
    "way",
    [
        "episodes",
        *(pytest.param(way, marks=pytest.mark.slow) for way in ("transitions", "zero", "zero_burn_in", "stored")),
        pytest.param("stored_burn_in", marks=pytest.mark.slow),  # the next test has it with priorities
    ],
)
def test_a_buffer_goes_on_too(tmp_path, way):
    """A ratio of 5.3 makes 2 or 3 updates of a segment, of a transition more: it is stopped between them, before the
    first of all, and after the buffer has begun to forget."""
    runs = Runs(tmp_path, **REPLAY, replay_way=way, replay_ratio=1.3 if way == "transitions" else 5.3)
    runs.assert_equal(runs.stopped(at(96), at(192), at(768)))
    assert goes_on_bit_by_bit(runs)


@pytest.mark.parametrize(
    "options",
    [
        {"priority_exponent": 0.9, "importance_exponent": 0.6, "reward_scale": 20.0},
        pytest.param({"algorithm": "a2c_replay"}, marks=pytest.mark.slow),
        pytest.param({"algorithm": "a2c_replay", "replay_way": "episodes", "core": "gru"}, marks=pytest.mark.slow),
        pytest.param({"core": "mlp", "replay_way": "transitions"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_so_does_one_with_priorities_and_one_of_actor_critic(tmp_path, options):
    """Errors are above 1, what the highest priority is before any: new rows get that of the run."""
    runs = Runs(tmp_path, **{**REPLAY, "replay_ratio": 5.3, **options})
    runs.assert_equal(runs.stopped(at(192), at(480)))


@pytest.mark.slow
def test_a_run_is_stopped_between_the_updates_of_one_segment_and_does_the_others_later(tmp_path):
    """That the tests above meet this: here a segment makes 10 updates, and the row that stops the run is closed by the
    first of them, which brings the env steps: the run ends with the second, and 8 are left."""
    runs = Runs(tmp_path, **REPLAY, replay_ratio=20.0)
    summary = runs.execute(runs.new("stopped"), at(288))
    assert summary["env_steps"] == 288
    [worker] = saved(tmp_path / "stopped")["workers"]
    assert worker["left"] == 8
    runs.assert_equal(runs.stopped(at(288), at(288)))


PPO = {  # 20 segments of 12 updates, and a row of each
    "algorithm": "ppo",
    "epochs": 3,
    "minibatches": 4,
    "learning_rate": 0.01,
    "total_env_steps": 640,
    "log_interval": 32,
}


@pytest.mark.parametrize(
    "options",
    [
        {"core": "gru", "target_kl": 1e-4},
        pytest.param({"core": "lstm", "minibatches": 1}, marks=pytest.mark.slow),
        pytest.param({"core": "mlp", "unroll": "again"}, marks=pytest.mark.slow),
        pytest.param(
            {"core": "lstm", "minibatches": 2, "mode": "sync", "workers": 2, "envs_per_worker": 2},
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
def test_so_does_ppo_between_the_updates_of_a_segment_and_within_one_whose_stale_state_is_measured(tmp_path, options):
    """A row is closed by the first update of a segment, and a serial run ends with the second: within an epoch of 4.
    The figure of segment 16, at 512 env steps, is measured by the last of its updates, which is in the next row."""
    runs = Runs(tmp_path, **{**PPO, **options})
    runs.execute(runs.new("stopped"), at(288))
    left = [worker["left"] for worker in saved(tmp_path / "stopped")["workers"]]
    assert len(set(left)) == 1 and ("mode" in options or left == [options.get("minibatches", 4) * 3 - 2])
    runs.assert_equal(runs.stopped(at(96), at(288), at(320), at(512)))
    assert goes_on_bit_by_bit(runs)
    measured = [row["global_step"] for row in untimed(tmp_path / "whole") if row["losses/stale_state_kl"] is not None]
    assert measured == ([] if options["core"] == "mlp" else [544])


@pytest.mark.parametrize("name", [pytest.param(one, marks=[] if one == FEW[-1] else pytest.mark.slow) for one in CASES])
def test_so_it_is_with_observations_and_actions_of_every_kind(tmp_path, name):
    """Online or with a buffer of half the run, in the middle of episodes of an environment that tells its state."""
    replay = {"algorithm": "a2c_replay", "replay_capacity": 480, "replay_warm_up": 96, "sequence_length": 8}
    runs = Runs(tmp_path, **CASES[name], **(replay if "l" in name else {}))
    runs.assert_equal(runs.stopped(at(96), at(480)))
    assert goes_on_bit_by_bit(runs)


# --- sync

SYNC = {"mode": "sync", "workers": 2, "envs_per_worker": 2}


@pytest.mark.parametrize(
    ("core", "env"),
    [
        pytest.param("mlp", "FlickeringCartPole-v1", marks=pytest.mark.slow),
        ("gru", "NoisyPositionCartPole-v1"),
        pytest.param("lstm", "RecallCue-v0", marks=pytest.mark.slow),
    ],
)
def test_a_sync_run_that_was_stopped_is_the_one_that_never_was(tmp_path, core, env):
    runs = Runs(tmp_path, **SYNC, env=env, core=core, **ENVIRONMENTS[env])
    runs.assert_equal(runs.stopped(at(400)))
    assert goes_on_bit_by_bit(runs)


@pytest.mark.parametrize(
    "options",
    [{"core": "lstm"}, pytest.param({**REPLAY, "replay_ratio": 20.0}, id="replay", marks=pytest.mark.slow)],
    ids=str,
)
def test_a_sync_run_whose_worker_was_killed_repeats_from_its_last_checkpoint_what_was_lost(tmp_path, options):
    """Nobody can ask it where it stood: its environments began new episodes, so the run was another one from there."""
    runs = Runs(tmp_path, **{**SYNC, **options, "checkpoint_interval": 320})
    run = runs.new("parts")

    def kill(row):
        if row["global_step"] >= 480:
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGKILL) if worker.name == "worker 1" else None

    summary = run.execute(runs.said.append, kill)
    assert summary["exit_reason"] == "worker 1 was killed by SIGKILL" and summary["env_steps"] >= 480
    at_last = saved(tmp_path / "parts")["env_steps"]
    assert at_last in (320, 640) and summary["env_steps"] == untimed(tmp_path / "parts")[-1]["global_step"] > at_last
    words = f"the checkpoint of {at_last} env steps stays: --resume repeats from there, bit by bit"
    assert runs.said == [summary["exit_reason"], words]
    runs.assert_equal(runs.execute(resumed_run(tmp_path / "parts", envs.make_vector)))
    assert goes_on_bit_by_bit(runs)


@pytest.mark.parametrize(
    ("fault", "interval"),
    [("raises", 64), *(pytest.param(*case, marks=pytest.mark.slow) for case in (("leaves", 64), ("killed", 10_000)))],
)
def test_where_a_worker_failed_by_itself_or_nothing_was_saved_before_its_environments_begin_their_next_episodes(
    tmp_path, fault, interval
):
    """From where it stood it would fail again, and no run would ever get past that. The fault is 50 steps of worker
    1's environments into the run, so in its 7th segment of 8: 6 updates, of 2 · 2 · 8 env steps, are 192 env steps."""
    given = ("tests.support.faulty_envs:Faulty-v0", f"fault={fault}", "at=97", f"folder={tmp_path}", "once=True")
    options = {
        **SMALL,
        **SYNC,
        "env": given[0],
        "env_arg": given[1:],
        "log_interval": 32,
        "checkpoint_interval": interval,
        "run_dir": str(tmp_path / "run"),
    }
    said = []
    summary = new_run(cartpole_config(**options), envs.make_vector).execute(said.append)
    assert summary["exit_code"] == 1 and summary["env_steps"] == 192
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")[1]["env_steps"] == 192
    assert not any("stays" in line for line in said)
    summary = resumed_run(tmp_path / "run", envs.make_vector).execute(said.append)
    assert summary["exit_code"] == 0 and summary["env_steps"] == 960
    words = "going on from 192 env steps, not bit by bit: environments of worker 0, 1 begin their next episodes"
    assert said[-1] == words


@pytest.mark.slow
def test_two_workers_with_buffers_go_on_between_the_updates_of_one_segment(tmp_path):
    runs = Runs(tmp_path, **{**REPLAY, **SYNC, "replay_ratio": 20.0, "checkpoint_interval": 200})
    runs.assert_equal(runs.stopped(at(480)))


@pytest.mark.slow
def test_where_one_of_two_synchronous_workers_is_lost_both_begin_with_empty_buffers(tmp_path):
    """Worker 1 was stopped while the run was saved. A row is a push here, and buffers are warm with 160 env steps in
    both: there is no update before. Worker 0 with its old buffer would make some, of which worker 1 knows nothing."""
    runs, path = Runs(tmp_path, **{**REPLAY, **SYNC, "log_interval": 32}), tmp_path / "parts" / "checkpoint.pt"
    runs.execute(runs.new("parts"), at(480))
    config, state = load_checkpoint(path)
    state["workers"][1] = None
    save_checkpoint(path, config, state)
    summary, at_first = runs.execute(resumed_run(path.parent, envs.make_vector)), state["env_steps"]
    updates = {row["global_step"] - at_first: row["losses/updates"] for row in untimed(path.parent)}
    assert summary["exit_code"] == 0 and [updates[32 * number] for number in range(1, 5)] == [0, 0, 0, 0]
    assert sum(updates[step] for step in updates if step > 0) > 0
    assert runs.said == [
        f"going on from {at_first} env steps, not bit by bit: environments of worker 0, 1 begin their next episodes; "
        "the buffer of worker 0, 1 is empty"
    ]


# --- single environments


SINGLES = "tests.support.broken_envs:"


@pytest.mark.parametrize(
    ("mode", "env"),
    [("serial", "StatefulCountedAndTold-v0"), pytest.param("sync", "Stateful-v0", marks=pytest.mark.slow)],
)
def test_single_environments_that_tell_their_state_go_on_bit_by_bit_through_all_that_is_around_them(
    tmp_path, mode, env
):
    """Farama-Foundation/Gymnasium#995: a wrapper hid the state. Stopped within episodes of 30 steps at most; the
    random numbers of the environment, its time limit and a wrapper that tells its count go on too."""
    runs = Runs(tmp_path, env=SINGLES + env, previous_reward=True, **(SYNC if mode == "sync" else {}))
    runs.assert_equal(runs.stopped(at(384)))
    assert goes_on_bit_by_bit(runs)


def test_a_wrapper_that_hides_its_state_lets_the_run_begin_new_episodes_and_say_so(tmp_path):
    runs = Runs(tmp_path, env=f"{SINGLES}StatefulCounted-v0")
    assert runs.stopped(at(384))["exit_code"] == 0
    said = [line for line in runs.said if line.startswith("going on")]
    assert said == ["going on from 416 env steps, not bit by bit: environments of worker 0 begin their next episodes"]


# --- verdicts and evaluations


def never_confirmed(run):
    """The window of 100 episodes crosses a threshold of 5 at once, and fresh episodes never reach theirs."""
    run.setup.ledger.crossings.threshold, run.duties.verdicts.threshold = 5.0, 1e9


def during_evaluations(number, kind):
    """Stop as soon as the evaluation of this number is being played: of a crossing, or of a row."""

    def stop(run):
        player = run.duties.verdicts if kind == "confirmation" else run.duties.rows
        play, begun = getattr(player, kind), []

        def stopped_within(*arguments, **named):
            begun.append(1)
            if len(begun) == number:
                run.outcome.note_signal(signal.SIGTERM)
            return play(*arguments, **named)

        setattr(player, kind, stopped_within)

    return stop


EVALUATED = {"eval_interval": 192, "interval_episodes": 2, "total_env_steps": 4800, "env_arg": ("max_episode_steps=8",)}


@pytest.mark.parametrize("mode", ["serial", pytest.param("sync", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["confirmation", pytest.param("evaluation", marks=pytest.mark.slow)])
def test_what_a_signal_cuts_short_is_played_by_the_run_that_goes_on(tmp_path, mode, kind):
    """Stopped in the second of the run's evaluations, and in the first of the run that goes on, which is the same."""
    runs = Runs(tmp_path, never_confirmed, **EVALUATED, **(SYNC if mode == "sync" else {}))
    attempts = runs.whole["solve_attempts"]
    assert len(attempts) >= 2 and not any(attempt["confirmed"] for attempt in attempts)
    summary = runs.stopped(during_evaluations(2, kind), during_evaluations(1, kind))
    runs.assert_equal(summary)
    assert goes_on_bit_by_bit(runs)
    for attempt, other in zip(attempts, summary["solve_attempts"], strict=True):
        assert {**attempt, "seconds": 0} == {**other, "seconds": 0}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["serial", "sync"])
def test_a_run_that_ends_when_it_is_solved_and_was_stopped_before_the_verdict_ends_there_too(tmp_path, mode):
    def confirmed(run):
        run.setup.ledger.crossings.threshold = run.duties.verdicts.threshold = 5.0  # every episode is worth 8

    runs = Runs(tmp_path, confirmed, **EVALUATED, stop_when_solved=True, **(SYNC if mode == "sync" else {}))
    assert runs.whole["exit_reason"] == "solved" and runs.whole["env_steps"] < 4800
    stop = during_evaluations(1, "confirmation")
    runs.assert_equal(runs.stopped(stop, stop))
    with pytest.raises(ValueError, match="the run is complete"):
        resumed_run(tmp_path / "parts", envs.make_vector)


def test_the_summary_of_a_run_stopped_before_a_verdict_says_so_and_the_resumed_one_has_it_once(tmp_path):
    runs = Runs(tmp_path, never_confirmed, **EVALUATED)
    stopped = runs.execute(runs.new("stopped"), during_evaluations(2, "confirmation"))
    first, second = stopped["solve_attempts"]
    assert first["confirmation"] is not None and second["confirmation"] is None and not second["confirmed"]
    assert second["env_steps"] == stopped["env_steps"] == runs.whole["solve_attempts"][1]["env_steps"]
    again = resumed_run(tmp_path / "stopped", envs.make_vector)
    assert again.setup.ledger.crossings.pending and len(again.duties.verdicts.attempts) == 1


@pytest.mark.slow
def test_a_complete_run_whose_last_evaluation_was_cut_short_plays_it_and_ends(tmp_path):
    """25 evaluations fall into 4800 env steps, the last of them when all are over."""
    runs = Runs(tmp_path, **EVALUATED)
    summary = runs.execute(runs.new("parts"), during_evaluations(25, "evaluation"))
    assert summary["exit_reason"] == "SIGTERM" and summary["env_steps"] == 4800
    runs.assert_equal(runs.execute(resumed_run(tmp_path / "parts", envs.make_vector)))
    with pytest.raises(ValueError, match=r"the run is complete, at 4800 env steps; "):
        resumed_run(tmp_path / "parts", envs.make_vector)


def test_what_another_run_has_written_meanwhile_stays(tmp_path):
    """Both runs were made while the folder was empty, or before the other went on: the second one overwrote a finished
    run, and one that went on from an old checkpoint threw away what the first had learnt since."""
    options = cartpole_config(**{**SMALL, "run_dir": str(tmp_path)})
    first, second = (new_run(options, envs.make_vector) for _ in range(2))
    said = []
    assert first.execute(said.append, at(480)(first))["exit_reason"] == "SIGTERM"
    with pytest.raises(ValueError, match=f"^--run-dir {tmp_path}: it is not empty"):
        second.execute(said.append)
    first, second = (resumed_run(tmp_path, envs.make_vector) for _ in range(2))
    first.execute(said.append)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=f"^--resume {tmp_path}: another process went on with it meanwhile"):
        second.execute(said.append)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_run_that_goes_on_and_is_stopped_before_it_begins_has_lost_nothing(tmp_path):
    """Twice: the signal is there before the first segment, so that no worker moves."""
    runs = Runs(tmp_path, **SYNC)

    def at_once(run):
        def train():
            run.duties.begin()
            run.outcome.note_signal(signal.SIGTERM)

        run.train = train  # as if no worker had come so far

    runs.assert_equal(runs.stopped(at(400), at_once, at_once))


# --- kills


COMMAND = """
import sys
import envs
from rl.config import Config
from rl.presets import MASKED_CARTPOLE
from rl.running.run import new_run, resumed_run

if __name__ == "__main__":
    folder, options = sys.argv[1:]
    config = Config(**MASKED_CARTPOLE | eval(options or "{}"))
    run = new_run(config, envs.make_vector) if options else resumed_run(folder, envs.make_vector)
    sys.exit(run.execute()["exit_code"])
"""


def killed(program, folder, options):
    """Start or resume a run and kill all its processes when it has saved itself twice; the env steps it is saved at."""
    path, seen = folder / "checkpoint.pt", []
    process = subprocess.Popen(
        [sys.executable, program, folder, options], env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True
    )
    try:
        before = path.stat().st_ino if path.exists() else None
        while len(seen) < 2 and process.poll() is None:
            now = path.stat().st_ino if path.exists() else None
            if now not in (before, *seen):
                seen.append(now)
            time.sleep(0.001)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not (folder / "summary.json").exists()
    return load_checkpoint(path)[1]["env_steps"]


BUFFERS = {**REPLAY, **SYNC, "replay_ratio": 5.3, "priority_exponent": 0.9}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="serial"),
        pytest.param(SYNC, id="sync", marks=pytest.mark.slow),
        pytest.param(BUFFERS, id="sync with buffers", marks=pytest.mark.slow),
    ],
)
def test_a_run_killed_twice_with_all_its_processes_goes_on_from_its_checkpoints_as_if_nothing_had_been(
    tmp_path, options
):
    """Checkpoints every 320 env steps, the kill when the second of them is there, wherever the run is then."""
    runs = Runs(tmp_path, **{**options, "checkpoint_interval": 320, "total_env_steps": 4800})
    (tmp_path / "program.py").write_text(COMMAND)
    words = repr({**runs.options, "run_dir": str(tmp_path / "parts")})
    at_first = killed(tmp_path / "program.py", tmp_path / "parts", words)
    then = killed(tmp_path / "program.py", tmp_path / "parts", "")
    assert 640 <= at_first <= then - 640 < 4800
    runs.assert_equal(runs.execute(resumed_run(tmp_path / "parts", envs.make_vector)))
    assert goes_on_bit_by_bit(runs)


def test_rows_that_were_not_written_when_the_run_was_saved_are_in_the_record_once(tmp_path):
    """A checkpoint at 480 env steps, when the record held the rows to 192; then it got those to 672, and then came a
    kill."""
    runs, kept = Runs(tmp_path), []
    run = runs.new("parts")
    write = run.duties.rows.write

    def late(*arguments, **named):
        if run.setup.ledger.env_steps == 480 and not kept:
            run.duties.save()
            kept.append((tmp_path / "parts" / "checkpoint.pt").read_bytes())
        if not 192 < run.setup.ledger.env_steps <= 480:
            write(*arguments, **named)
        if run.setup.ledger.env_steps == 672:
            raise KeyboardInterrupt  # what no part of a run answers

    run.duties.rows.write = late
    run.setup.ledger.record = checkpoint_due_at_480(run)
    with pytest.raises(KeyboardInterrupt):
        run.execute(runs.said.append)
    assert [row["global_step"] for row in untimed(tmp_path / "parts")] == [96, 192, 288, 384, 480, 576, 672]
    (tmp_path / "parts" / "checkpoint.pt").write_bytes(kept[0])
    again = resumed_run(tmp_path / "parts", envs.make_vector)
    assert [row.env_steps for row in again.setup.ledger.rows.closed(0)] == [288, 384, 480]
    runs.assert_equal(runs.execute(again))


def checkpoint_due_at_480(run):
    """The ledger's `record`, which has the worker tell where it stands at 480 env steps."""
    record = run.setup.ledger.record

    def telling(*arguments):
        record(*arguments)
        if run.setup.ledger.env_steps == 480:
            run.setup.ledger.pages.now.checkpoint_due[0] = 1

    return telling


# --- what does not go on as if nothing had been


def test_a_worker_that_has_moved_and_was_not_heard_of_does_not_go_on_from_where_it_stood_before(tmp_path):
    """It would bring env steps that are counted already. One that has not moved stands where it stood."""
    runs = Runs(tmp_path)
    runs.execute(runs.new("parts"), at(480))
    again = resumed_run(tmp_path / "parts", envs.make_vector)
    again.duties.save()
    assert load_checkpoint(tmp_path / "parts" / "checkpoint.pt")[1]["workers"] != [None]
    again.setup.learner.push(None, 32, {}, [])
    again.duties.save()
    assert load_checkpoint(tmp_path / "parts" / "checkpoint.pt")[1]["workers"] == [None]


def test_environments_that_cannot_tell_where_they_stand_begin_their_next_episodes_and_one_line_says_so(tmp_path):
    """All else goes on: the buffer is full at once, and no env step is counted twice."""
    runs = Runs(tmp_path, **{**REPLAY, "env": "tests.support.rl_small:Dice-v0"})
    summary = runs.stopped(at(480))
    assert [line for line in runs.said if line.startswith("going on")] == [
        "going on from 512 env steps, not bit by bit: environments of worker 0 begin their next episodes"
    ]
    steps = [row["global_step"] for row in untimed(tmp_path / "parts")]
    assert steps == [row["global_step"] for row in untimed(tmp_path / "whole")]
    assert summary["updates"] == runs.whole["updates"]
    assert untimed(tmp_path / "parts")[:5] == untimed(tmp_path / "whole")[:5] != untimed(tmp_path / "parts")[5:]


class Unreadable:
    """Vector environments that tell where they stand in NumPy's arrays."""

    def __init__(self, environments):
        self.environments = environments

    def __getattr__(self, name):
        return getattr(self.environments, name)

    def state_dict(self):
        return {"rows": self.environments._rows}


def make_unreadable(*arguments, **named):
    return Unreadable(envs.make_vector(*arguments, **named))


def test_environments_whose_words_a_checkpoint_cannot_hold_begin_their_next_episodes_too(tmp_path):
    """weights_only refuses NumPy's arrays: saved as they are, the run could never be read again."""
    config, said = cartpole_config(**{**SMALL, "env": "CartPole-v1", "run_dir": str(tmp_path / "run")}), []
    run = new_run(config, make_unreadable)
    run.execute(said.append, at(480)(run))
    summary = resumed_run(tmp_path / "run", make_unreadable).execute(said.append)
    assert summary["exit_code"] == 0 and summary["env_steps"] == 960
    assert said == ["going on from 512 env steps, not bit by bit: environments of worker 0 begin their next episodes"]


def test_an_async_run_goes_on_with_nothing_lost_and_says_that_it_does_not_repeat(tmp_path):
    """Its workers go on in the middle of the episodes that they had begun."""
    runs = Runs(tmp_path, **{**SYNC, "mode": "async"}, total_env_steps=3200)
    summary = runs.stopped(at(960), at(1920))
    said = [line for line in runs.said if line.startswith("going on")]
    assert len(said) == 2 and all("asynchronous workers do not repeat" in line for line in said)
    assert not any("next episodes" in line for line in said)
    parts = untimed(tmp_path / "parts")
    steps = [row["global_step"] for row in parts]
    assert steps == sorted(set(steps)) and steps[-1] == summary["env_steps"] >= 3200
    assert sum(row["losses/updates"] for row in parts) == summary["updates"] == sum(summary["staleness"])
    assert saved(tmp_path / "parts")["learner"]["step"].item() == summary["updates"]
    for rank in (0, 1):  # an episode that was begun before the stop
        worker = saved(tmp_path / "parts")["workers"][rank]
        assert worker["collector"]["environments"] is not None
