"""What is compared is equal but for what it is named by."""

import json
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from experiments.lab.study import Study
from experiments.online_vs_replay import tune
from experiments.online_vs_replay.__main__ import Command, quick, run
from experiments.online_vs_replay.arms import ARMS, config_of
from experiments.online_vs_replay.measures.watch import watch
from experiments.online_vs_replay.plan import chosen, shortened
from experiments.online_vs_replay.report import report
from experiments.online_vs_replay.settings import settings_of, tuning_tasks
from experiments.online_vs_replay.tasks import MORE_TASKS, TASKS
from experiments.online_vs_replay.tune import trials


def test_21_arms_on_six_tasks_are_107_cells():
    """17 of them on all six, the oracle, which sees all, on the two where something is hidden, and segments of 8 steps
    on one: 17 · 6 + 2 + 3."""
    cells = chosen()
    assert len(ARMS) == 21 and len(TASKS) == 6 and len(cells) == 107
    short = {name for name in cells if name.endswith(" 8")}
    assert short == {f"recall 48 / a2c {name} 8" for name in ("lstm", "rtu", "rtu gradient")}
    assert [name for name in cells if "oracle" in name] == ["masked / a2c mlp oracle", "flickering / a2c mlp oracle"]
    cells |= chosen(tasks="noisy")
    assert {arm.config.env for name, arm in cells.items() if "oracle" in name} == {"CartPole-v1"}
    assert cells["noisy / a2c mlp"].config.env == "NoisyPositionCartPole-v1"


def test_every_cell_is_measured_and_has_the_settings_that_tuning_chose():
    for name, (config, parts) in chosen().items():
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
    configs = [arm.config for arm in chosen(tasks=task).values()]
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


def test_the_six_ways_to_replay_differ_in_nothing_but_the_way():
    ways = ["transitions", "zero", "zero burn in", "stored", "stored burn in", "episodes"]
    configs = [asdict(config_of(TASKS["masked"], ARMS[f"q lstm {way}"], {})) for way in ways]
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
    assert len(planned) == 8 * sum(len(tuning_tasks(name, arm)) for name, arm in ARMS.items()) == 304
    for name, (config, _) in planned.items():
        task, arm, trial = name.split(" / ")
        settings = ARMS[arm].trials[int(trial)]
        assert config == replace(config_of(TASKS[task], ARMS[arm], settings), wandb_group=f"tuning {arm}")


def test_arms_with_memory_are_tuned_on_two_tasks_that_need_it_and_those_without_where_they_can_learn():
    tasks = {name: tuning_tasks(name, arm) for name, arm in ARMS.items()}
    assert tasks.pop("a2c mlp 2 frames") == ("masked",)
    for name, of in tasks.items():
        assert of == (("CartPole",) if "mlp" in name else ("masked", "recall 24"))


def test_quick_has_sixteen_cells_with_the_seeds_of_the_command():
    command = quick(Command(quick=True))
    assert len(chosen(command.part, command.tasks, command.arms)) == 16
    assert (quick(Command(quick=True)).seeds, quick(Command(quick=True, seeds=5)).seeds) == (3, 5)


@pytest.mark.parametrize(("name", "value"), [("part", "carry"), ("tasks", "masked"), ("arms", "q mlp")])
def test_quick_cannot_be_combined_with_part_tasks_or_arms(name, value):
    with pytest.raises(ValueError, match=rf"^--{name} {value}: --quick sets it, leave one of them out$"):
        quick(Command(quick=True, **{name: value}))


def test_a_part_is_trained_into_folders_of_its_own_and_the_report_covers_all(tmp_path, monkeypatch):
    seen = []
    study = lambda name, planned, command, *of: SimpleNamespace(complete=lambda: seen.append((planned, command)))  # noqa: E731
    monkeypatch.setattr("experiments.online_vs_replay.__main__.Study", study)
    monkeypatch.setattr("experiments.online_vs_replay.report.report.write_report", lambda out, _html: seen.append(out))
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
def test_unknown_tasks_and_arms_are_refused_in_one_line(options, line):
    with pytest.raises(ValueError) as raised:
        chosen(**options)
    assert str(raised.value).startswith(line) and "\n" not in str(raised.value)


@pytest.mark.parametrize("options", [{"arms": "a2c lstm"}, {"seeds": 2}, {"env_steps": 50_000}])
def test_a_report_of_a_part_of_the_rows_is_refused(options, tmp_path):
    with pytest.raises(ValueError, match=r"^--part report: it is of all rows in --out, give nothing else with it$"):
        run(Command(part="report", out=tmp_path, **options))


@pytest.mark.parametrize(("first", "seeds", "used"), [(901, 1, True), (900, 2, True), (899, 2, False), (902, 1, False)])
def test_the_seed_that_settings_were_tuned_with_is_not_compared(first, seeds, used, monkeypatch, tmp_path):
    trained = []
    monkeypatch.setattr(Study, "complete", lambda study: trained.append(study))
    monkeypatch.setattr(report, "write_report", lambda _out, _html: None)
    command = Command(first_seed=first, seeds=seeds, arms="a2c mlp", tasks="masked", runs_dir=tmp_path)
    if used:
        with pytest.raises(ValueError, match=f"^--first-seed {first}: seed 901 is the one that settings were tuned"):
            run(command)
    else:
        run(command)
    assert len(trained) == (not used)


def test_runs_of_other_env_steps_have_25_evaluations_too():
    planned = shortened(chosen(arms="a2c lstm", tasks="masked"), 50_000)
    config = planned["masked / a2c lstm"].config
    assert (config.total_env_steps, config.eval_interval, config.log_interval) == (50_000, 2_000, 1_000)
    assert shortened(planned, 25_000)["masked / a2c lstm"].config.eval_interval == 1_000
    with pytest.raises(ValueError, match=r"^--env-steps 24999: at least 25000 is needed, 25 evaluations"):
        shortened(planned, 24_999)


def test_learning_rates_are_multiples_of_the_tuned_one():
    cells = chosen(part="learning-rates", arms="a2c lstm")
    rates = {float(name.split(" / ")[2]): arm.config.learning_rate for name, arm in cells.items()}
    tuned_rate = settings_of("a2c lstm")["learning_rate"]
    assert rates == {factor: pytest.approx(factor * tuned_rate) for factor in (0.25, 0.5, 2, 4)}
    tasks = {name.split(" / ")[1]: name.split(" / ")[0] for name in chosen(part="learning-rates")}
    assert list(tasks) == [name for name in ARMS if "oracle" not in name and not name.endswith(" 8")]
    assert {name for name, task in tasks.items() if task != "masked"} == {"a2c mlp", "q mlp"}


def test_sequences_and_their_burn_in_are_as_long_as_the_segments_they_are_compared_with():
    """Updates are of 1024 steps, or of 1280 with those of the burn-in: 128 · 8 and 160 · 8 to 4 · 256 and 5 · 256."""
    planned = chosen(part="sequence-lengths")
    assert len(planned) == 3 * 3 * 6
    for name, (config, _) in planned.items():
        delay, rows = int(name.split(" / ")[0].removeprefix("recall ")), int(name.split(" / ")[2])
        assert config.env_arg == (f"delay={delay}",)
        if config.replays:
            assert config.burn_in_rows + config.trained_rows == rows and config.replay_batch * rows == 1280
            assert config.burn_in_rows == (4 if rows == 8 else 8)
        else:
            assert config.segment_length == rows and config.envs_per_worker * rows == 1024


def test_buffers_have_the_named_capacity_and_learning_starts_at_4000_steps():
    planned = chosen(part="buffer-age")
    assert len(planned) == 3 * 5 and all(arm.overrides.watch is watch for arm in planned.values())
    for name, (config, _) in planned.items():
        assert (config.replay_capacity, config.replay_warm_up) == (int(name.split(" / ")[2]), 4_000)


def test_the_zeroed_arms_start_every_segment_from_a_fresh_state_on_every_task():
    planned = chosen(part="carry")
    assert list(dict.fromkeys(name.split(" / ")[0] for name in planned)) == list(TASKS) and len(planned) == 3 * 6
    assert {(arm.config.carry_state, arm.overrides.watch is watch) for arm in planned.values()} == {(False, True)}
    assert planned["recall 4 / q lstm online / zeroed"].config.env_arg == ("delay=4",)


def test_workers_are_asynchronous_and_have_the_named_number():
    found = {
        name.split(" / ", 1)[1]: (arm.config.mode, arm.config.workers) for name, arm in chosen(part="workers").items()
    }
    assert found == {
        f"{name} / {workers}": ("async", workers)
        for name in ("a2c lstm", "q lstm stored burn in")
        for workers in (1, 2, 4)
    }
