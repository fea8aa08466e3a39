"""Runs that end by a limit of seconds, or by a verdict."""

import numpy as np
import pytest

import envs
from rl.running.run import new_run, resumed_run
from tests.support.configs import cartpole_config

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
    """Execute a run whose updates of 32 env steps take a second each; a signal stops it after so many updates."""
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
def test_the_exit_reason_is_the_limit_that_was_reached_first(tmp_path, clock, max_seconds, updates, reason):
    """10 updates of a second each reach all env steps. Where both limits are reached at once, env steps decide."""
    run = new_run(
        cartpole_config(**SECOND_EACH, max_seconds=max_seconds, run_dir=str(tmp_path / "run")), envs.make_vector
    )
    summary = executed(run, clock)
    assert (summary["exit_reason"], summary["exit_code"]) == (reason, 0)
    assert (summary["updates"], summary["env_steps"], summary["seconds"]) == (updates, 32 * updates, updates)
    assert summary["eval_greedy"] == 8.0  # as after any complete run


def test_a_run_that_used_its_seconds_is_complete_and_a_resumed_one_has_those_left(tmp_path, clock):
    run = new_run(cartpole_config(**SECOND_EACH, max_seconds=4, run_dir=str(tmp_path / "run")), envs.make_vector)
    summary = executed(run, clock, stop_after=3)
    assert (summary["exit_reason"], summary["updates"]) == ("SIGTERM", 4)  # it ends with the update after
    assert executed(resumed_run(tmp_path / "run", envs.make_vector), clock)["eval_greedy"] == 8.0  # it was left out
    line = r"run: the run is complete, at 128 env steps; a larger --max-seconds trains it for longer$"
    with pytest.raises(ValueError, match=line):
        resumed_run(tmp_path / "run", envs.make_vector)

    run = new_run(cartpole_config(**SECOND_EACH, max_seconds=4, run_dir=str(tmp_path / "other")), envs.make_vector)
    assert executed(run, clock, stop_after=1)["updates"] == 2
    summary = executed(resumed_run(tmp_path / "other", envs.make_vector), clock)
    assert (summary["exit_reason"], summary["exit_code"], summary["updates"]) == ("max_seconds", 0, 4)
    assert (summary["seconds"], summary["env_steps"]) == (4.0, 128)


def test_a_run_without_a_limit_of_seconds_can_always_be_resumed(tmp_path, clock):
    run = new_run(cartpole_config(**SECOND_EACH, run_dir=str(tmp_path / "run")), envs.make_vector)
    assert executed(run, clock, stop_after=2)["seconds"] == 3.0
    summary = executed(resumed_run(tmp_path / "run", envs.make_vector), clock)
    assert (summary["exit_reason"], summary["updates"]) == ("total_env_steps", 10)


@pytest.mark.parametrize("stop_when_solved", [True, False])
def test_every_attempt_is_in_the_summary_and_the_run_is_solved_at_its_crossing(tmp_path, stop_when_solved):
    """4 environments end an episode every 8 steps, so a push of 32 env steps brings 4 returns of 8. The 100th episode
    crosses the threshold of 1, at 800 env steps. That is refuted, so 100 new ones are needed, until 1600; confirmed."""
    config = cartpole_config(
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
