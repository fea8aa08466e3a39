"""Online against replay: what is compared is equal but for what it is named by, and each number of a row by hand."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import envs
from experiments.lab.learning_study import Study, write_csv
from experiments.online_vs_replay import tune
from experiments.online_vs_replay.__main__ import Command, chosen, quick, run, shortened
from experiments.online_vs_replay.arms import (
    ARMS,
    MORE_TASKS,
    TASKS,
    config_of,
    normalised,
    settings_of,
    tuned,
    tuning_tasks,
)
from experiments.online_vs_replay.measures import memory as memory_measures
from experiments.online_vs_replay.measures import staleness
from experiments.online_vs_replay.measures.measured import MEASURES, run_result
from experiments.online_vs_replay.measures.memory import r_squared, r_squared_of_agent, return_with_memory_of
from experiments.online_vs_replay.measures.staleness import Watched, gap, gaps, of_buffer, watch
from experiments.online_vs_replay.report import report
from experiments.online_vs_replay.tune import trials
from rl.acting.evaluate import evaluate
from rl.acting.segment import Segment
from rl.agent.agent import AgentOutput
from rl.agent.build import make_agent
from rl.config import Config
from rl.learning.replay.buffer import SequenceBuffer
from rl.loop import NO_OVERRIDES, Overrides
from rl.running.run import new_run

WAYS = ["transitions", "zero", "zero burn in", "stored", "stored burn in", "episodes"]
SMALL = {
    "hidden_size": 6,
    "torso_size": 5,
    "envs_per_worker": 4,
    "segment_length": 8,
    "eval_interval": 0,
    "eval_episodes": 1,
    "wandb": "disabled",
    "total_env_steps": 8 * 4 * 60,
    "dtype": "float64",
}
SMALL_REPLAY = {"replay_capacity": 4 * 240, "replay_warm_up": 4 * 56, "replay_batch": 4}


def small(name, tmp_path, **options):
    """A few thousand env steps of an arm on the masked CartPole, in float64."""
    config = config_of(TASKS["masked"], ARMS[name], ARMS[name].trials[0])
    replays = SMALL_REPLAY if config.replays else {}
    if config.replay_way == "episodes":
        replays = {**replays, "replay_capacity": 4 * 512}  # which hold an episode of 500 steps
    own = {**SMALL, **replays, "run_dir": str(tmp_path / name.replace(" ", "-")), **options}
    return replace(config, **own)


def trained(config, parts=NO_OVERRIDES):
    run = new_run(config, envs.make_vector, parts)
    assert run.execute(notify=lambda _line: None)["exit_code"] == 0
    return run


def measured(config):
    run = trained(config, Overrides(watch=watch))
    return run, [json.loads(line) for line in (Path(config.run_dir) / "measures.jsonl").read_text().splitlines()]


# --- what is compared


def test_fourteen_arms_on_six_tasks_are_eighty_cells():
    """Thirteen of them on all six, and the oracle, which sees all, on the two where something is hidden: 13 · 6 + 2."""
    cells = chosen(Command())
    assert len(ARMS) == 14 and len(TASKS) == 6 and len(cells) == 80
    assert [name for name in cells if "oracle" in name] == ["masked / a2c mlp oracle", "flickering / a2c mlp oracle"]
    cells |= chosen(Command(tasks="noisy"))
    assert {arm.config.env for name, arm in cells.items() if "oracle" in name} == {"CartPole-v1"}
    assert cells["noisy / a2c mlp"].config.env == "NoisyPositionCartPole-v1"


def test_every_cell_is_measured_and_has_the_settings_that_tuning_chose():
    for name, (config, parts) in chosen(Command()).items():
        task, arm = name.split(" / ")
        assert config == replace(config_of(TASKS[task], ARMS[arm], settings_of(arm)), wandb_group=arm)
        assert parts.watch is watch


@pytest.mark.parametrize("task", [*TASKS, *MORE_TASKS])
def test_all_arms_of_a_task_have_the_same_env_steps_evaluations_network_size_and_time(task):
    same = (
        "total_env_steps",
        "eval_interval",
        "log_interval",
        "interval_episodes",
        "hidden_size",
        "torso_size",
        "core_layers",
        "torso_layers",
        "max_cpu_seconds",
        "discount",
        "mode",
        "workers",
        "dtype",
    )
    configs = [arm.config for arm in chosen(Command(tasks=task)).values()]
    assert len(configs) >= 13 and len({tuple(getattr(config, name) for name in same) for config in configs}) == 1
    one = configs[0]
    assert one.total_env_steps // one.eval_interval == 25 and one.max_cpu_seconds == 60.0
    assert (one.interval_episodes, one.eval_episodes) == (20, 100)  # while learning, and at the end


def test_q_learning_sees_a_tenth_of_cartpoles_rewards_actor_critics_half_of_that_and_both_all_of_recall_cues():
    scales = {
        (task, arm): config_of(TASKS[task], ARMS[arm], {}).reward_scale
        for task in ("masked", "recall 4")
        for arm in ("a2c lstm", "a2c lstm replay", "q lstm zero")
    }
    assert list(scales.values()) == [0.05, 0.05, 0.1, 1.0, 1.0, 1.0]


def test_the_gradient_reaches_32_steps_back_at_most_in_every_arm_with_memory():
    for name, arm in ARMS.items():
        for settings in arm.trials:
            config = config_of(TASKS["masked"], arm, settings)
            if config.replays:
                assert config.trained_rows == (1 if "transitions" in name or name == "q mlp" else 32)
            else:
                assert config.segment_length <= 32


def test_the_six_ways_to_replay_differ_in_nothing_but_the_way():
    configs = [asdict(config_of(TASKS["masked"], ARMS[f"q lstm {way}"], {})) for way in WAYS]
    differing = {key for config in configs for key in config if config[key] != configs[-1][key]}
    assert differing == {"replay_way", "replay_batch"}  # a transition is one step, so there are more of them
    assert [config["replay_batch"] for config in configs] == [256, 32, 32, 32, 32, 32]
    for name in ("q mlp", "q lstm transitions"):
        assert config_of(TASKS["masked"], ARMS[name], {"replay_batch": 16}).replay_batch == 128


def test_every_arm_is_tuned_by_eight_trials_with_seeds_that_are_not_used_again():
    assert {name: len(arm.trials) for name, arm in ARMS.items()} == dict.fromkeys(ARMS, 8)
    assert all(len({json.dumps(trial, sort_keys=True) for trial in arm.trials}) == 8 for arm in ARMS.values())
    assert (tune.Command().first_seed, tune.Command().seeds, Command().first_seed) == (901, 1, 1)
    planned = trials(list(ARMS))
    assert len(planned) == 8 * sum(len(tuning_tasks(name, arm)) for name, arm in ARMS.items()) == 192
    for name, (config, _) in planned.items():
        task, arm, trial = name.split(" / ")
        settings = ARMS[arm].trials[int(trial)]
        assert config == replace(config_of(TASKS[task], ARMS[arm], settings), wandb_group=f"tuning {arm}")


def test_arms_with_memory_are_tuned_on_two_tasks_that_need_it_and_those_without_where_they_can_learn():
    tasks = {name: tuning_tasks(name, arm) for name, arm in ARMS.items()}
    assert tasks.pop("a2c mlp 2 frames") == ("masked",)
    for name, of in tasks.items():
        assert of == (("CartPole",) if "mlp" in name else ("masked", "recall 24"))


def test_quick_is_sixteen_cells_of_as_many_seeds_as_asked_for():
    assert len(chosen(quick(Command(quick=True)))) == 16
    assert (quick(Command(quick=True)).seeds, quick(Command(quick=True, seeds=5)).seeds) == (3, 5)


@pytest.mark.parametrize(("name", "value"), [("part", "carry"), ("tasks", "masked"), ("arms", "q mlp")])
def test_quick_takes_no_part_no_tasks_and_no_arms_of_its_own(name, value):
    with pytest.raises(ValueError, match=rf"^--{name} {value}: --quick sets it, leave one of them out$"):
        quick(Command(quick=True, **{name: value}))


def test_a_part_is_trained_into_folders_of_its_own_and_the_report_covers_all(tmp_path, monkeypatch):
    seen = []
    study = lambda name, planned, command, *of: SimpleNamespace(complete=lambda: seen.append((planned, command)))  # noqa: E731
    monkeypatch.setattr("experiments.online_vs_replay.__main__.Study", study)
    monkeypatch.setattr("experiments.online_vs_replay.report.report.write_report", seen.append)
    out, runs = tmp_path / "out", tmp_path / "runs"
    run(Command(part="workers", arms="a2c lstm", env_steps=50_000, out=out, runs_dir=runs))
    (planned, command), reported = seen
    assert (command.out, command.runs_dir, reported) == (out / "workers", runs / "workers", out)
    assert len(planned) == 3 and {arm.config.total_env_steps for arm in planned.values()} == {50_000}
    assert (command.arms, command.env_steps) == ("all", 0)  # they are in the plan
    run(Command(part="report", out=out))
    run(Command(quick=True, out=out))
    assert seen[2] == seen[4] == out and len(seen[3][0]) == 16


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"tasks": "maksed"}, "--tasks 'maksed': all, or a list out of CartPole,masked,"),
        ({"arms": "a2c"}, "--arms 'a2c': all, or a list out of a2c mlp,"),
        ({"part": "workers", "arms": "q mlp"}, "--arms q mlp: --part workers has none of them on these tasks"),
        ({"part": "workers", "tasks": "masked"}, "--tasks masked: --part workers has tasks of its own, leave it out"),
    ],
)
def test_what_there_is_not_is_refused_in_one_line(options, line):
    with pytest.raises(ValueError) as raised:
        chosen(Command(**options))
    assert str(raised.value).startswith(line) and "\n" not in str(raised.value)


@pytest.mark.parametrize("options", [{"arms": "a2c lstm"}, {"seeds": 2}, {"env_steps": 50_000}])
def test_a_report_of_a_part_of_the_rows_is_refused(options, tmp_path):
    with pytest.raises(ValueError, match=r"^--part report: it is of all rows in --out, give nothing else with it$"):
        run(Command(part="report", out=tmp_path, **options))


@pytest.mark.parametrize(("first", "seeds", "used"), [(901, 1, True), (900, 2, True), (899, 2, False), (902, 1, False)])
def test_the_seed_that_settings_were_tuned_with_is_not_compared(first, seeds, used, monkeypatch, tmp_path):
    trained = []
    monkeypatch.setattr(Study, "complete", lambda study: trained.append(study))
    monkeypatch.setattr(report, "write_report", lambda out: None)
    command = Command(first_seed=first, seeds=seeds, arms="a2c mlp", tasks="masked", runs_dir=tmp_path)
    if used:
        with pytest.raises(ValueError, match=f"^--first-seed {first}: seed 901 is the one that settings were tuned"):
            run(command)
    else:
        run(command)
    assert len(trained) == (not used)


def test_runs_of_other_env_steps_have_25_evaluations_too():
    planned = shortened(chosen(Command(arms="a2c lstm", tasks="masked")), 50_000)
    config = planned["masked / a2c lstm"].config
    assert (config.total_env_steps, config.eval_interval, config.log_interval) == (50_000, 2_000, 1_000)
    assert shortened(planned, 25_000)["masked / a2c lstm"].config.eval_interval == 1_000
    with pytest.raises(ValueError, match=r"^--env-steps 24999: at least 25000 is needed, 25 evaluations"):
        shortened(planned, 24_999)


def test_learning_rates_are_multiples_of_the_tuned_one_which_the_grid_has():
    cells = chosen(Command(part="learning-rates", arms="a2c lstm"))
    rates = {float(name.split(" / ")[2]): arm.config.learning_rate for name, arm in cells.items()}
    tuned_rate = settings_of("a2c lstm")["learning_rate"]
    assert rates == {factor: pytest.approx(factor * tuned_rate) for factor in (0.25, 0.5, 2, 4)}
    tasks = {name.split(" / ")[1]: name.split(" / ")[0] for name in chosen(Command(part="learning-rates"))}
    assert list(tasks) == [name for name in ARMS if "oracle" not in name]
    assert {name for name, task in tasks.items() if task != "masked"} == {"a2c mlp", "q mlp"}


def test_sequences_and_their_burn_in_are_as_long_as_the_segments_they_are_compared_with():
    """Updates are of 1024 steps, or of 1280 with those of the burn-in: 128 · 8 and 160 · 8 to 4 · 256 and 5 · 256."""
    planned = chosen(Command(part="sequence-lengths"))
    assert len(planned) == 3 * 3 * 6
    for name, (config, _) in planned.items():
        delay, rows = int(name.split(" / ")[0].removeprefix("recall ")), int(name.split(" / ")[2])
        assert config.env_arg == (f"delay={delay}",)
        if config.replays:
            assert config.burn_in_rows + config.trained_rows == rows and config.replay_batch * rows == 1280
            assert config.burn_in_rows == (4 if rows == 8 else 8)
        else:
            assert config.segment_length == rows and config.envs_per_worker * rows == 1024


def test_buffers_hold_what_is_said_and_begin_to_be_learnt_from_at_4000_steps():
    planned = chosen(Command(part="buffer-age"))
    assert len(planned) == 3 * 5 and all(arm.parts.watch is watch for arm in planned.values())
    for name, (config, _) in planned.items():
        assert (config.replay_capacity, config.replay_warm_up) == (int(name.split(" / ")[2]), 4_000)


def test_the_zeroed_arms_start_every_segment_from_a_fresh_state_on_every_task():
    planned = chosen(Command(part="carry"))
    assert list(dict.fromkeys(name.split(" / ")[0] for name in planned)) == list(TASKS) and len(planned) == 3 * 6
    assert {(arm.config.carry_state, arm.parts.watch is watch) for arm in planned.values()} == {(False, True)}
    assert planned["recall 4 / q lstm online / zeroed"].config.env_arg == ("delay=4",)


def test_workers_are_asynchronous_and_as_many_as_is_said():
    found = {
        name.split(" / ", 1)[1]: (arm.config.mode, arm.config.workers)
        for name, arm in chosen(Command(part="workers")).items()
    }
    assert found == {
        f"{name} / {workers}": ("async", workers)
        for name in ("a2c lstm", "q lstm stored burn in")
        for workers in (1, 2, 4)
    }


# --- the choice of settings


def test_tuning_chooses_the_trial_with_the_best_mean_of_normalised_late_returns():
    """Masked (261 - 22) / 478 = 0.5 and 0.1 on recall are 0.3; 0.25 and 0.45 are 0.35, and win by both together."""
    assert normalised(TASKS["masked"], 261.0) == 0.5 and normalised(TASKS["recall 24"], 0.45) == 0.45
    late = {0: {"masked": 261.0, "recall 24": 0.1}, 3: {"masked": 141.5, "recall 24": 0.45}}
    rows = [
        {"arm": f"{task} / a2c lstm / {trial}", "seed": 901, "late_greedy": value, "final_greedy": 500.0}
        for trial, of in late.items()
        for task, value in of.items()
    ]
    assert tuned("a2c lstm", rows) == 3
    assert tuned("a2c gru", rows) == 0  # not tuned yet: its first


def test_of_trials_that_are_equally_good_the_first_is_chosen_and_other_arms_do_not_count():
    late = {"q lstm stored / 5": 300.0, "q lstm stored / 2": 300.0, "q lstm stored burn in / 7": 400.0}
    rows = [{"arm": f"masked / {name}", "late_greedy": value} for name, value in late.items()]
    assert (tuned("q lstm stored", rows), tuned("q lstm stored burn in", rows)) == (2, 7)


def test_a_trial_that_is_not_complete_is_not_chosen():
    rows = [
        {"arm": f"{task} / a2c lstm / {trial}", "late_greedy": late}
        for task, trial, late in (("masked", 1, 100.0), ("recall 24", 1, 0.0), ("masked", 2, 500.0))
    ]
    assert tuned("a2c lstm", rows) == 1


@pytest.mark.parametrize("trial", [5, 6])
def test_settings_are_read_from_the_rows_of_tuning(trial, tmp_path):
    row = {"arm": f"masked / a2c lstm / {trial}", "seed": 901, "late_greedy": 500.0}
    (tmp_path / "tuning").mkdir()
    write_csv(tmp_path / "tuning" / "runs.csv", [row])
    assert settings_of("a2c lstm", tmp_path) == ARMS["a2c lstm"].trials[trial]


# --- one run in numbers


@pytest.fixture
def hand_made_run(tmp_path):
    """Ten evaluations; the threshold is 475. The third, fifth and tenth reach it."""
    greedy = [10, 20, 475, 400, 500, 100, 200, 300, 400, 480]
    config = replace(Config(), run_dir=str(tmp_path), seed=3)
    header = {"config": {"env": "MaskedVelocityCartPole-v1", "core": "lstm", "seed": 3}, "reward_threshold": 475.0}
    lines = []
    for k, value in enumerate(greedy, start=1):
        between = {"global_step": 1000 * k - 500, "losses/updates": 2, "time/cpu_seconds": 0.1 * k - 0.05}
        lines += [
            between,
            {
                "global_step": 1000 * k,
                "losses/updates": 3,
                "eval/cpu_seconds": 0.1 * k,
                "eval/episodic_return": value,
                "eval/episodic_return_sampled": value / 2,
            },
        ]
    lines[1]["charts/episodic_return"] = 9.5
    summary = {
        "env_steps": 10_000,
        "updates": 50,
        "seconds": 1.5,
        "cpu_seconds": 1.0,
        "solved_at_env_steps": None,
        "eval_greedy": 470.0,
        "exit_reason": "total_env_steps",
        "exit_code": 0,
        "staleness": [30, 15, 5],
    }
    (tmp_path / "config.json").write_text(json.dumps(header))
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    return config


def test_solved_is_the_first_evaluation_at_the_threshold_and_after_is_the_share_of_later_ones(hand_made_run):
    """At 3,000 env steps, 3 · 5 updates and 0.3 CPU seconds; of the seven later ones two reach 475: 0.286."""
    row, tables = run_result(hand_made_run, NO_OVERRIDES)
    assert [row[f"solved_{name}"] for name in ("env_steps", "updates", "cpu_seconds")] == [3000, 15, 0.3]
    assert row["after"] == 0.286 and row["window_solved_env_steps"] == ""
    assert tables["curves"][0] == {
        "env_steps": 1000,
        "updates": 5,
        "cpu_seconds": 0.1,
        "greedy": 10,
        "sampled": 5.0,
        "training": 9.5,
    }
    assert tables["curves"][1]["training"] == "" and len(tables["curves"]) == 10 and tables["measures"] == []


def test_final_late_and_mean_returns_are_of_the_last_tenth_the_second_half_and_all(hand_made_run):
    """480; (100 + 200 + 300 + 400 + 480) / 5 = 296; the ten together 2,885 / 10."""
    row, _ = run_result(hand_made_run, NO_OVERRIDES)
    assert (row["final_greedy"], row["final_sampled"], row["late_greedy"], row["mean_greedy"]) == (480, 240, 296, 288.5)


def test_the_lag_is_the_mean_age_of_gradients_in_updates_of_others(hand_made_run):
    """30 of age 0, 15 of age 1 and 5 of age 2: 25 / 50."""
    assert run_result(hand_made_run, NO_OVERRIDES)[0]["lag"] == 0.5


def with_record(config, lines):
    (Path(config.run_dir) / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run_result(config, NO_OVERRIDES)


def test_of_25_evaluations_the_end_is_the_last_two_and_the_second_half_the_last_thirteen(hand_made_run):
    """1 to 25: (24 + 25) / 2 = 24.5, and 13 to 25 are 19 in the middle."""
    row, _ = with_record(
        hand_made_run,
        [
            {"global_step": 1000 * k, "losses/updates": 3, "eval/episodic_return": k, "eval/episodic_return_sampled": k}
            for k in range(1, 26)
        ],
    )
    assert (row["final_greedy"], row["final_sampled"], row["late_greedy"]) == (24.5, 24.5, 19.0)


def test_asynchronous_rows_behind_one_evaluation_are_one_point_at_the_env_steps_of_its_parameters(hand_made_run):
    """Others went on by 100, 300 and 100 env steps; updates are those of all rows so far: 2, 2 + 3 + 4."""
    times = ((1100, 1000, 2), (1300, 1000, 3), (2100, 2000, 4))
    _, tables = with_record(
        hand_made_run,
        [
            {
                "global_step": now,
                "eval/global_step": of,
                "losses/updates": updates,
                "eval/episodic_return": 5,
                "eval/episodic_return_sampled": 5,
            }
            for now, of, updates in times
        ],
    )
    assert [(point["env_steps"], point["updates"]) for point in tables["curves"]] == [(1000, 2), (2000, 9)]


def test_totals_and_the_last_evaluation_of_100_episodes_are_the_summarys(hand_made_run):
    row, _ = run_result(hand_made_run, NO_OVERRIDES)
    assert [row[name] for name in ("env_steps", "updates", "seconds", "cpu_seconds", "greedy_100", "exit_reason")] == [
        10_000,
        50,
        1.5,
        1.0,
        470.0,
        "total_env_steps",
    ]


def test_a_run_that_never_gets_there_has_blanks_and_not_zeros(hand_made_run):
    record = Path(hand_made_run.run_dir) / "metrics.jsonl"
    record.write_text(record.read_text().replace("475", "474").replace("500,", "474,").replace("480", "474"))
    record.write_text(record.read_text().replace('_return": 500', '_return": 474'))
    row, _ = run_result(hand_made_run, NO_OVERRIDES)
    assert [row[f"solved_{name}"] for name in ("env_steps", "updates", "cpu_seconds")] == ["", "", ""]
    assert row["after"] == ""


def test_measures_are_rows_with_a_column_for_each_and_blanks_for_what_a_learner_does_not_have(hand_made_run):
    lines = [{"env_steps": 300, "true_first": 0.123456, "r2_pole": 0.5}, {"env_steps": 600, "bytes": 1_234_567}]
    (Path(hand_made_run.run_dir) / "measures.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    first, second = run_result(hand_made_run, NO_OVERRIDES)[1]["measures"]
    assert list(first) == ["env_steps", *MEASURES]
    assert (first["true_first"], first["r2_pole"], first["bytes"]) == (0.1235, 0.5, "")
    assert (second["env_steps"], second["bytes"], second["true_first"]) == (600, 1_235_000, "")


# --- measures while learning


@pytest.mark.parametrize("name", ["a2c lstm", "q lstm stored burn in", "q lstm episodes"])
def test_a_measured_run_learns_what_the_same_run_learns_unmeasured_bit_for_bit(name, tmp_path):
    run, found = measured(small(name, tmp_path / "measured"))
    other = trained(small(name, tmp_path / "plain"))
    assert len(found) == 3 and all(("bytes" in line) == run.config.replays for line in found)
    assert torch.equal(run.learner.parameters, other.learner.parameters)


STILL = {"learning_rate": 1e-300, "carry_state": True}  # no parameter moves, so nothing is stale


@pytest.mark.parametrize(
    "name",
    [
        "a2c lstm",
        "a2c gru",
        "q lstm online",
        "q lstm stored",
        "q lstm stored burn in",
        "q lstm episodes",
        "a2c lstm replay",
    ],
)
def test_where_parameters_stand_still_carried_and_stored_states_are_the_true_ones(name, tmp_path):
    """To 1e-10, over 128 rows before: the measure itself adds nothing (google-deepmind/acme#259: a state that is one
    observation too late would show here)."""
    _, found = measured(small(name, tmp_path, **STILL))
    gaps_found = {key: value for line in found for key, value in line.items() if key.startswith(("true", "stored"))}
    assert "true_first" in gaps_found and max(gaps_found.values()) < 1e-10
    assert all(line.get("disagree_first", 0.0) == 0.0 for line in found)


def test_where_parameters_stand_still_zero_states_and_transitions_are_wrong_at_first_and_burn_in_helps(tmp_path):
    last = {
        name: measured(small(name, tmp_path, **STILL))[1][-1]
        for name in ("q lstm zero", "q lstm zero burn in", "q lstm transitions")
    }
    zero, burn_in, transitions = (last[f"q lstm {way}"] for way in ("zero", "zero burn in", "transitions"))
    assert zero["true_first"] > 3 * burn_in["true_first"] > 0.0
    assert zero["stored_first"] > 0.0 and zero["true_first"] > 10 * zero["true_last"]
    assert transitions["true_first"] == transitions["true_last"] > 0.0 and "stored_first" not in transitions


def test_the_age_of_stored_states_is_counted_in_updates(tmp_path):
    """30 segments, an update every 2 of them (8 · 4 · 2 = 64 of the 4 · 32 steps of an update). A sequence takes 37
    rows, so the first 26 of them can be drawn: of ages 29 to 4 segments, 15 or 14 to 2 updates, mean 8 and a bit."""
    _, found = measured(small("q lstm stored", tmp_path))
    assert 8.0 <= found[-1]["age_mean"] <= 9.0 and 13 < found[-1]["age_p95"] <= 15


def test_a_carried_state_is_one_update_old(tmp_path):
    """It came out of the segment before, whose gradient was applied meanwhile."""
    _, found = measured(small("a2c lstm", tmp_path))
    assert [line["age_mean"] for line in found] == [1.0, 1.0, 1.0]


def test_the_gap_is_the_distance_by_the_largest_value_of_the_window():
    """Rows 0 and 1 of one window: V = 3 and 4 against 2 and -5, so 1 / 5 and 9 / 5; of another, 10 and 10 against 20
    and 40: 10 / 40 and 30 / 40. The first row alone: 1 / 2 in both."""
    ours, other = (
        AgentOutput(torch.zeros(2, 2, 2), torch.tensor(values))
        for values in ([[3.0, 10.0], [4.0, 10.0]], [[2.0, 20.0], [-5.0, 40.0]])
    )
    found = gaps("true", ours, other, Config(), (0, 1))
    assert found["true_first"] == pytest.approx((1 / 5 + 10 / 40) / 2)
    assert found["true_last"] == pytest.approx((9 / 5 + 30 / 40) / 2)
    first = AgentOutput(ours.logits[0], ours.values[0]), AgentOutput(other.logits[0], other.values[0])
    assert gap(*first, Config()) == pytest.approx(0.5)


def test_the_gap_of_action_values_is_the_euclidean_distance_of_q():
    """V = 1 and A = (3, -3) make Q = (4, -2); V = 1, A = 0 make (1, 1): distance √18, largest |Q| of the other 1."""
    ours = AgentOutput(torch.tensor([[3.0, -3.0]]), torch.tensor([1.0]))
    other = AgentOutput(torch.zeros(1, 2), torch.tensor([1.0]))
    assert gap(ours, other, Config(algorithm="q_replay")) == pytest.approx(18**0.5)


def test_kl_and_disagreement_of_two_policies_by_hand():
    """π = (3/4, 1/4) truly, (3/8, 5/8) in training: KL = 3/4 log 2 - 1/4 log 5/2 = 0.2908, not 0.3128 as from the
    other side, and other actions. Action values are no policy, so Q-learning has none."""
    true = AgentOutput(torch.tensor([[[3.0, 1.0]]]).log(), torch.ones(1, 1))
    ours = AgentOutput(torch.tensor([[[3.0, 5.0]]]).log(), torch.ones(1, 1))
    found = gaps("true", ours, true, Config(), (0,))
    assert found["kl_first"] == pytest.approx(0.2908, abs=1e-4) and found["disagree_first"] == 1.0
    assert "kl_first" not in gaps("true", ours, true, Config(algorithm="q_online"), (0,))


class Halving:
    """An agent whose state is halved at every row, and zero where an episode opens; what it says is its state."""

    def initial_state(self, batch):
        return (torch.zeros(1, batch, 1),)

    def step(self, _observation, state, is_first):
        value = torch.where(is_first, 0.0, state[0][0, :, 0] / 2)
        return AgentOutput(torch.zeros(len(value), 2), value), (value[None, :, None],)

    def unroll(self, observations, state, is_first):
        said = []
        for observation, first in zip(observations, is_first, strict=True):
            output, state = self.step(observation, state, first)
            said.append(output.values)
        return AgentOutput(torch.zeros(len(said), len(said[0]), 2), torch.stack(said)), state


def two_rows(state):
    """A segment of one environment, in mid-episode, which the actor began with this state."""
    zeros = torch.zeros(2, 1)
    return Segment(
        torch.zeros(3, 1, 1),
        zeros.new_zeros(3, 1).bool(),
        zeros.long(),
        zeros,
        zeros.bool(),
        zeros.bool(),
        zeros,
        (torch.full((1, 1, 1), state),),
        None,
        torch.zeros(2, 1, 1),
        zeros,
    )


def replayed(states, version, **options):
    """A buffer of 12 rows into which segments of two rows went, of versions 0, 1, 2, …"""
    agent = Halving()
    config = Config(
        **{
            "algorithm": "a2c_replay",
            "segment_length": 2,
            "sequence_length": 4,
            "burn_in": 2,
            "envs_per_worker": 1,
            "workers": 1,
            "replay_batch": 1,
            "replay_capacity": 12,
            "replay_warm_up": 12,
            **options,
        }
    )
    buffer = SequenceBuffer(12, 1, 2, 1, agent.initial_state(1), torch.float32, np.random.default_rng(0))
    for number, state in enumerate(states):
        buffer.add(two_rows(state), number)
    return SimpleNamespace(config=config, buffer=buffer, agent=agent, learner=SimpleNamespace(pulled_version=version))


UNREAD = float("nan")


def test_online_the_true_state_is_that_before_the_oldest_rows_run_over_them_and_not_the_carried_one(monkeypatch):
    """16 is halved at each of the four rows before, to 1; so V = 0.5 and 0.25 where the carried 3 says 1.5 and 0.75.
    The distances 1 and 0.5 by 0.5, the largest, are 2 and 1."""
    monkeypatch.setattr(staleness, "HISTORY", 4)
    watched = Watched(SimpleNamespace(flat=SimpleNamespace(agent=Halving())), Config(segment_length=2), 0)
    newest = two_rows(3.0)
    newest.is_first[2] = True  # the bootstrap's row is none of the segment's
    watched.segments.extend([two_rows(16.0), two_rows(UNREAD), newest])
    watched.versions.extend([7, 8])
    found = watched.of_segments()
    assert (found["true_first"], found["true_last"], found["age_mean"]) == (pytest.approx(2), pytest.approx(1), 1)
    watched.segments.popleft()
    assert watched.of_segments() == {}  # not enough rows yet


def test_in_a_buffer_the_true_and_the_stored_state_are_those_before_their_rows(monkeypatch):
    """Rows 0 to 3 are before, 4 and 5 the burn-in, 6 to 9 trained. Truly 1024 is halved to V = 32 at row 4, the
    window's largest, 8 at row 6 and 1 at row 9; from the stored 128 at row 4 it is 16 and 2: 8 / 32 and 1 / 32. What
    the actor had at rows 6 and 10, 20 and 4, says 10 and 2, and training there 16 and 1: 6 / 10 and 1 / 2. Windows
    start at versions 0, 1 and 2."""
    monkeypatch.setattr(staleness, "HISTORY", 4)
    experience = replayed([1024.0, UNREAD, 128.0, 20.0, UNREAD, 4.0], 5, replay_way="stored_burn_in")
    found = of_buffer(experience, np.random.default_rng(0))
    expected = {
        "true_first": 1 / 4,
        "true_last": 1 / 32,
        "stored_first": 0.6,
        "stored_last": 0.5,
        "age_mean": 4.0,
        "age_p95": 4.9,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_in_episodes_the_carried_state_is_compared_where_the_next_piece_begins(monkeypatch):
    """Rows 2 to 13 are there. From row 8 to 13 halving makes 128 into 2 where the carried 6 says 3: 1 / 2. From row 6
    to 10 it makes 64 into 2, as the carried 4 says: 0. Of the four rows before row 4 two are gone. Rows 13 and 10 are
    of versions 6 and 5, which are 3 and 4 updates old."""
    monkeypatch.setattr(staleness, "HISTORY", 4)
    experience = replayed([UNREAD, UNREAD, UNREAD, 64.0, 128.0, UNREAD, UNREAD], 9, replay_way="episodes")
    experience.reader = SimpleNamespace(numbers=np.array([4, 13, 10]), columns=np.zeros(3, np.int64))
    experience.state_read = (torch.tensor([[[UNREAD], [6.0], [4.0]]]),)
    found = of_buffer(experience, np.random.default_rng(0))
    assert (found["true_first"], found["age_mean"]) == (pytest.approx(0.25), 3.5)


def test_the_first_worker_measures_at_30_60_and_90_percent_of_all_workers_steps_off_the_clock(monkeypatch):
    """Two workers' segments of 10 steps each are 20 at a time, of 100: the second, third and fifth. Each measure takes
    3 CPU seconds, by which the update counts as begun later."""
    clock, segment = iter([5.0, 8.0] * 3), two_rows(0.0)._replace(actions=torch.zeros(5, 2))
    monkeypatch.setattr(staleness, "time", SimpleNamespace(thread_time=lambda: next(clock)))
    for rank, moments, busy_since in ((0, [40, 60, 100], 10.0), (1, [], 1.0)):
        learner = SimpleNamespace(pulled_version=0, busy_since=1.0)
        experience = SimpleNamespace(flat=None, learner=learner, add=lambda _segment: 1)
        watched, found = Watched(experience, Config(workers=2, total_env_steps=100), rank), []
        monkeypatch.setattr(watched, "measure", lambda watched=watched, found=found: found.append(watched.env_steps))
        assert [watched.add(segment) for _ in range(5)] == [1] * 5
        assert (found, learner.busy_since) == (moments, busy_since)


# --- what memories hold


def test_r_squared_is_1_for_features_that_hold_the_velocities_and_near_0_for_noise():
    generator = np.random.default_rng(1)
    velocities = generator.normal(size=(50, 20, 2))
    mixed = np.stack([velocities.sum(-1), velocities[..., 0] - 3 * velocities[..., 1], np.ones((50, 20))], -1)
    assert min(r_squared(mixed, velocities)) > 0.99999
    assert max(np.abs(r_squared(generator.normal(size=(50, 20, 3)), velocities))) < 0.05


def test_r_squared_is_of_episodes_that_it_was_not_fitted_to():
    """Features that hold the velocities in the first ten episodes and not in the others predict those no better than
    their mean: at most 0."""
    velocities = np.random.default_rng(2).normal(size=(50, 20, 2))
    features = velocities.copy()
    features[:, 10:] = np.random.default_rng(3).normal(size=(50, 10, 2))
    assert max(r_squared(features, velocities)) < 0.0


def test_r_squared_of_two_predictions_by_hand():
    """Fitted to y = x and y = -x in one episode. In the other x = 3 and 5 where y = 2 and 6, 4 in the mean:
    1 - (1 + 1) / (4 + 4); and -3 and -5 are right."""
    features = np.array([[[0.0], [3.0]], [[1.0], [5.0]]])
    velocities = np.array([[[0.0, 0.0], [2.0, -3.0]], [[1.0, -1.0], [6.0, -5.0]]])
    assert r_squared(features, velocities) == pytest.approx((0.75, 1.0), abs=1e-3)


def test_one_observation_tells_nothing_of_the_velocities_and_two_tell_about_half():
    controls = memory_measures.controls()
    assert max(controls["observation"]) < 0.02
    assert controls["two observations"] == pytest.approx((0.640, 0.440), abs=1e-3)


def test_the_probe_reads_the_state_of_a_memory_and_the_output_of_what_has_none():
    agents = {core: make_agent(small_config(core), 2, 2) for core in ("mlp", "gru", "lstm")}
    found = {core: r_squared_of_agent(agent) for core, agent in agents.items()}
    assert max(found["mlp"]) < 0.1 < min(found["gru"]) and min(found["lstm"]) > 0.1


def small_config(core):
    return Config(core=core, hidden_size=32, torso_size=16)


def test_the_probe_reads_all_of_the_last_layers_state_from_the_opening_of_an_episode_on(monkeypatch):
    monkeypatch.setattr(memory_measures, "r_squared", lambda features, _velocities: features)
    agent = make_agent(replace(small_config("lstm"), core_layers=2), 2, 2)
    seen, is_first, _ = memory_measures.movement()
    row, column = is_first.nonzero()[-1].tolist()
    assert row > 0  # an episode that follows another
    with torch.no_grad():
        _, state = agent.step(seen[row, [column]], agent.initial_state(1), torch.tensor([True]))
    expected = [*state[0][1, 0].tolist(), *state[1][1, 0].tolist()]
    assert r_squared_of_agent(agent)[row, column].tolist() == pytest.approx(expected, abs=1e-5)


def test_velocities_are_asked_for_on_the_masked_cartpole_and_short_memories_of_agents_that_have_one(monkeypatch):
    monkeypatch.setattr(memory_measures, "r_squared_of_agent", lambda _agent: (0.1, 0.7))
    monkeypatch.setattr(memory_measures, "return_with_memory_of", lambda _agent, _config, length: 10.0 * length)

    def found(core, last=True, **options):
        config = replace(small_config(core), **options)
        return memory_measures.memory_measures(make_agent(config, 2, 2), config, last)

    r2 = {"r2_cart": 0.1, "r2_pole": 0.7}
    returns = {"memory_1": 10.0, "memory_2": 20.0, "memory_4": 40.0, "memory_8": 80.0, "memory_16": 160.0}
    masked = "MaskedVelocityCartPole-v1"
    assert found("lstm", env=masked) == r2 | returns and found("lstm", last=False, env=masked) == r2
    assert found("mlp", env=masked) == r2 and found("mlp", env=masked, frame_stack=2) == {}
    assert found("gru", env="FlickeringCartPole-v1") == returns


def test_a_memory_longer_than_the_episode_plays_as_well_as_the_whole_and_one_of_a_single_step_is_none(monkeypatch):
    config = Config(env="RecallCue-v0", env_arg=("delay=2", "max_blanks=6"), core="gru", hidden_size=4, torso_size=3)
    agent = make_agent(config, 3, 2)
    monkeypatch.setattr(memory_measures, "EPISODES_OF_PLAY", 20)
    whole = evaluate(agent, config, envs.make_vector, 20, greedy=True, seed=config.seed, offset=2**25).mean()
    assert return_with_memory_of(agent, config, 9) == whole  # an episode shows nine observations at most
    fresh, step = agent.initial_state(20), agent.core.step
    monkeypatch.setattr(agent.core, "step", lambda inputs, _state, first: step(inputs, fresh, first))
    alone = evaluate(agent, config, envs.make_vector, 20, greedy=True, seed=config.seed, offset=2**25).mean()
    monkeypatch.undo()
    assert return_with_memory_of(agent, config, 1) == alone


class Summing:
    """An agent whose state is the sum of what it saw since its episode opened, and whose logits are linear in it."""

    def __init__(self, weights):
        self.weights = torch.tensor(weights)
        self.policy_head = SimpleNamespace(weight=self.weights)

    def initial_state(self, batch):
        return (torch.zeros(1, batch, len(self.weights)),)

    def step(self, observation, state, is_first):
        seen = torch.where(is_first[:, None], 0.0, state[0][0]) + observation
        return AgentOutput(seen @ self.weights, seen[:, 0]), (seen[None],)


def test_a_cue_of_two_steps_ago_is_known_from_the_last_three_observations_and_not_from_two():
    config = Config(env="RecallCue-v0", env_arg=("delay=2", "max_blanks=0"))
    names_the_cue = Summing([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    returns = [return_with_memory_of(names_the_cue, config, length) for length in (3, 2, 1)]
    assert returns[0] == 1.0 and abs(returns[1]) < 0.5 and returns[2] == returns[1]  # then it says 0


def test_with_a_short_memory_episodes_are_played_to_their_limit_too():
    """One observation of CartPole, with its velocities, is enough for a linear rule that never falls."""
    rule = Summing([[0.0, 0.02], [0.0, 0.1], [0.0, 1.0], [0.0, 0.5]])
    assert return_with_memory_of(rule, Config(env="CartPole-v1"), 1) == 500.0


def test_three_moments_are_measured_and_short_memories_only_at_the_last(tmp_path):
    _, found = measured(small("a2c lstm", tmp_path))
    total = SMALL["total_env_steps"]
    assert [line["env_steps"] / total for line in found] == [
        pytest.approx(share, abs=0.02) for share in (0.3, 0.6, 0.9)
    ]
    assert ["memory_4" in line for line in found] == [False, False, True]
    assert staleness.MOMENTS == (0.3, 0.6, 0.9)
