"""Online against replay: what is compared is equal but for what it is named by, and each number of a row by hand."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

import envs
from experiments.learning_study import Study, write_csv
from experiments.online_vs_replay import memory_measures, report, staleness
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
from experiments.online_vs_replay.measured import MEASURES, run_result
from experiments.online_vs_replay.memory_measures import r_squared, r_squared_of_agent, return_with_memory_of
from experiments.online_vs_replay.staleness import gap, gaps, watch
from experiments.online_vs_replay.tune import trials
from rl.agent import AgentOutput, make_agent
from rl.config import Config
from rl.evaluate import evaluate
from rl.train import new_run
from rl.worker import OWN, Parts

WAYS = ["transitions", "zero", "zero burn in", "stored", "stored burn in", "episodes"]
SMALL = {"hidden_size": 6, "torso_size": 5, "envs_per_worker": 4, "segment_length": 8, "eval_interval": 0,
         "eval_episodes": 1, "wandb": "disabled", "total_env_steps": 8 * 4 * 60, "dtype": "float64"}  # fmt: skip
SMALL_REPLAY = {"replay_capacity": 4 * 240, "replay_warm_up": 4 * 56, "replay_batch": 4}


def small(name, tmp_path, **options):
    """A few thousand env steps of an arm on the masked CartPole, in float64."""
    config = config_of(TASKS["masked"], ARMS[name], ARMS[name].trials[0])
    replays = SMALL_REPLAY if config.replays else {}
    if config.replay_way == "episodes":
        replays = {**replays, "replay_capacity": 4 * 512}  # which hold an episode of 500 steps
    own = {**SMALL, **replays, "run_dir": str(tmp_path / name.replace(" ", "-")), **options}
    return replace(config, **own)


def trained(config, parts=OWN):
    run = new_run(config, envs.make_vector, parts)
    assert run.execute(notify=lambda _line: None)["exit_code"] == 0
    return run


def measured(config):
    run = trained(config, Parts(watch=watch))
    return run, [json.loads(line) for line in (Path(config.run_dir) / "measures.jsonl").read_text().splitlines()]


# --- what is compared


def test_fourteen_arms_on_six_tasks_are_eighty_cells():
    """Thirteen of them on all six, and the oracle, which sees all, on the two where something is hidden: 13 · 6 + 2."""
    cells = chosen(Command())
    assert len(ARMS) == 14 and len(TASKS) == 6 and len(cells) == 80
    assert [name for name in cells if "oracle" in name] == ["masked / a2c mlp oracle", "flickering / a2c mlp oracle"]
    assert cells["masked / a2c mlp oracle"].config.env == "CartPole-v1"


@pytest.mark.parametrize("task", [*TASKS, *MORE_TASKS])
def test_all_arms_of_a_task_have_the_same_env_steps_evaluations_network_size_and_time(task):
    same = ("total_env_steps", "eval_interval", "log_interval", "interval_episodes", "hidden_size", "torso_size",
            "core_layers", "torso_layers", "max_core_seconds", "discount", "mode", "workers", "dtype")  # fmt: skip
    found = {
        tuple(getattr(arm.config, name) for name in same)
        for cell, arm in chosen(Command(tasks=task)).items()
        if cell.startswith(f"{task} / ")
    }
    assert len(found) == 1


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


def test_every_arm_is_tuned_by_eight_trials_with_seeds_that_are_not_used_again():
    assert {name: len(arm.trials) for name, arm in ARMS.items()} == dict.fromkeys(ARMS, 8)
    assert all(len({json.dumps(trial, sort_keys=True) for trial in arm.trials}) == 8 for arm in ARMS.values())
    planned = trials(list(ARMS))
    assert len(planned) == 8 * sum(len(tuning_tasks(name, arm)) for name, arm in ARMS.items()) == 192


def test_quick_is_sixteen_cells_and_takes_no_tasks_of_its_own():
    assert len(chosen(quick(Command(quick=True)))) == 16
    with pytest.raises(ValueError, match=r"^--tasks masked: --quick sets it, leave one of them out$"):
        quick(Command(quick=True, tasks="masked"))


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
    with pytest.raises(ValueError, match=r"^--env-steps 24999: at least 25000 is needed, 25 evaluations"):
        shortened(planned, 24_999)


def test_learning_rates_are_multiples_of_the_tuned_one_which_the_grid_has():
    cells = chosen(Command(part="learning-rates", arms="a2c lstm"))
    rates = {float(name.split(" / ")[2]): arm.config.learning_rate for name, arm in cells.items()}
    tuned_rate = settings_of("a2c lstm")["learning_rate"]
    assert rates == {factor: pytest.approx(factor * tuned_rate) for factor in (0.25, 0.5, 2, 4)}


def test_sequences_and_their_burn_in_are_as_long_as_the_segments_they_are_compared_with():
    for name, arm in chosen(Command(part="sequence-lengths")).items():
        config, rows = arm.config, int(name.split(" / ")[2])
        assert rows == (config.burn_in_rows + config.trained_rows if config.replays else config.segment_length)


# --- the choice of settings


def test_tuning_chooses_the_trial_with_the_best_mean_of_normalised_late_returns():
    """Masked (261 - 22) / 478 = 0.5 and 0.1 on recall are 0.3; 0.25 and 0.45 are 0.35, and win by both together."""
    assert normalised(TASKS["masked"], 261.0) == 0.5 and normalised(TASKS["recall 24"], 0.45) == 0.45
    late = {0: {"masked": 261.0, "recall 24": 0.1}, 3: {"masked": 141.5, "recall 24": 0.45}}
    rows = [
        {"arm": f"{task} / a2c lstm / {trial}", "seed": 901, "late_greedy": value}
        for trial, of in late.items()
        for task, value in of.items()
    ]
    assert tuned("a2c lstm", rows) == 3
    assert tuned("a2c gru", rows) == 0  # not tuned yet: its first


def test_a_trial_that_is_not_complete_is_not_chosen():
    rows = [{"arm": f"{task} / a2c lstm / {trial}", "late_greedy": late}
            for task, trial, late in (("masked", 1, 100.0), ("recall 24", 1, 0.0), ("masked", 2, 500.0))]  # fmt: skip
    assert tuned("a2c lstm", rows) == 1


def test_settings_are_read_from_the_rows_of_tuning(tmp_path):
    row = {"arm": "masked / a2c lstm / 5", "seed": 901, "late_greedy": 500.0}
    (tmp_path / "tuning").mkdir()
    write_csv(tmp_path / "tuning" / "runs.csv", [row])
    assert settings_of("a2c lstm", tmp_path) == ARMS["a2c lstm"].trials[5]


# --- one run in numbers


@pytest.fixture
def hand_made_run(tmp_path):
    """Ten evaluations; the threshold is 475. The third, fifth and tenth reach it."""
    greedy = [10, 20, 475, 400, 500, 100, 200, 300, 400, 480]
    config = replace(Config(), run_dir=str(tmp_path), seed=3)
    header = {"config": {"env": "MaskedVelocityCartPole-v1", "core": "lstm", "seed": 3}, "reward_threshold": 475.0}
    lines = []
    for k, value in enumerate(greedy, start=1):
        between = {"global_step": 1000 * k - 500, "losses/updates": 2, "time/core_seconds": 0.1 * k - 0.05}
        lines += [between, {"global_step": 1000 * k, "losses/updates": 3, "eval/core_seconds": 0.1 * k,
                            "eval/episodic_return": value, "eval/episodic_return_sampled": value / 2}]  # fmt: skip
    lines[1]["charts/episodic_return"] = 9.5
    summary = {"env_steps": 10_000, "updates": 50, "seconds": 1.5, "core_seconds": 1.0, "solved_at_env_steps": None,
               "eval_greedy": 470.0, "exit_reason": "total_env_steps", "exit_code": 0,
               "staleness": [30, 15, 5]}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(header))
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    return config


def test_solved_is_the_first_evaluation_at_the_threshold_and_after_is_the_share_of_later_ones(hand_made_run):
    """At 3,000 env steps, 3 · 5 updates and 0.3 core seconds; of the seven later ones two reach 475: 0.286."""
    row, tables = run_result(hand_made_run, OWN)
    assert [row[f"solved_{name}"] for name in ("env_steps", "updates", "core_seconds")] == [3000, 15, 0.3]
    assert row["after"] == 0.286 and row["window_solved_env_steps"] == ""
    assert tables["curves"][0] == {"env_steps": 1000, "updates": 5, "core_seconds": 0.1, "greedy": 10, "sampled": 5.0,
                                   "training": 9.5}  # fmt: skip
    assert tables["curves"][1]["training"] == "" and len(tables["curves"]) == 10 and tables["measures"] == []


def test_final_late_and_mean_returns_are_of_the_last_tenth_the_second_half_and_all(hand_made_run):
    """480; (100 + 200 + 300 + 400 + 480) / 5 = 296; the ten together 2,885 / 10."""
    row, _ = run_result(hand_made_run, OWN)
    assert (row["final_greedy"], row["final_sampled"], row["late_greedy"], row["mean_greedy"]) == (480, 240, 296, 288.5)


def test_the_lag_is_the_mean_age_of_gradients_in_updates_of_others(hand_made_run):
    """30 of age 0, 15 of age 1 and 5 of age 2: 25 / 50."""
    assert run_result(hand_made_run, OWN)[0]["lag"] == 0.5


def test_a_run_that_never_gets_there_has_blanks_and_not_zeros(hand_made_run):
    record = Path(hand_made_run.run_dir) / "metrics.jsonl"
    record.write_text(record.read_text().replace("475", "474").replace("500,", "474,").replace("480", "474"))
    record.write_text(record.read_text().replace('_return": 500', '_return": 474'))
    row, _ = run_result(hand_made_run, OWN)
    assert [row[f"solved_{name}"] for name in ("env_steps", "updates", "core_seconds")] == ["", "", ""]
    assert row["after"] == ""


def test_measures_are_rows_with_a_column_for_each_and_blanks_for_what_a_learner_does_not_have(hand_made_run):
    lines = [{"env_steps": 300, "true_first": 0.123456, "r2_pole": 0.5}, {"env_steps": 600, "bytes": 1_234_567}]
    (Path(hand_made_run.run_dir) / "measures.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    first, second = run_result(hand_made_run, OWN)[1]["measures"]
    assert list(first) == ["env_steps", *MEASURES]
    assert (first["true_first"], first["r2_pole"], first["bytes"]) == (0.1235, 0.5, "")
    assert (second["env_steps"], second["bytes"], second["true_first"]) == (600, 1_235_000, "")


# --- measures while learning


@pytest.mark.parametrize("name", ["a2c lstm", "q lstm stored burn in", "q lstm episodes"])
def test_a_measured_run_learns_what_the_same_run_learns_unmeasured_bit_for_bit(name, tmp_path):
    run, found = measured(small(name, tmp_path / "measured"))
    other = trained(small(name, tmp_path / "plain"))
    assert len(found) == 3
    assert torch.equal(run.learner.parameters, other.learner.parameters)


STILL = {"learning_rate": 1e-300, "carry_state": True}  # no parameter moves, so nothing is stale


@pytest.mark.parametrize("name", ["a2c lstm", "a2c gru", "q lstm online", "q lstm stored", "q lstm stored burn in",
                                  "q lstm episodes", "a2c lstm replay"])  # fmt: skip
def test_where_parameters_stand_still_carried_and_stored_states_are_the_true_ones(name, tmp_path):
    """To 1e-10, over 128 rows before: the measure itself adds nothing (google-deepmind/acme#259: a state that is one
    observation too late would show here)."""
    _, found = measured(small(name, tmp_path, **STILL))
    gaps_found = {key: value for line in found for key, value in line.items() if key.startswith(("true", "stored"))}
    assert "true_first" in gaps_found and max(gaps_found.values()) < 1e-10
    assert all(line.get("disagree_first", 0.0) == 0.0 for line in found)


def test_where_parameters_stand_still_zero_states_and_transitions_are_wrong_at_first_and_burn_in_helps(tmp_path):
    last = {name: measured(small(name, tmp_path, **STILL))[1][-1]
            for name in ("q lstm zero", "q lstm zero burn in", "q lstm transitions")}  # fmt: skip
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
    """Rows 0 and 1 of one window: V = 3 and 4 against 2 and -5, so 1 / 5 and 9 / 5; the first row alone, 1 / 2."""
    ours, other = (AgentOutput(torch.zeros(2, 1, 2), torch.tensor(values).unsqueeze(1)) for values in
                   ([3.0, 4.0], [2.0, -5.0]))  # fmt: skip
    found = gaps("true", ours, other, Config(), (0, 1))
    assert found["true_first"] == pytest.approx(0.2) and found["true_last"] == pytest.approx(1.8)
    first = AgentOutput(ours.logits[0], ours.values[0]), AgentOutput(other.logits[0], other.values[0])
    assert gap(*first, Config()) == pytest.approx(0.5)


def test_the_gap_of_action_values_is_the_euclidean_distance_of_q():
    """V = 1 and A = (3, -3) make Q = (4, -2); V = 1, A = 0 make (1, 1): distance √18, largest |Q| of the other 1."""
    ours = AgentOutput(torch.tensor([[3.0, -3.0]]), torch.tensor([1.0]))
    other = AgentOutput(torch.zeros(1, 2), torch.tensor([1.0]))
    assert gap(ours, other, Config(algorithm="q_replay")) == pytest.approx(18**0.5)


def test_kl_and_disagreement_of_two_policies_by_hand():
    """π = (3/4, 1/4) truly, (1/4, 3/4) in training: KL = 3/4 log 3 - 1/4 log 3 = 0.5493, and other actions."""
    true = AgentOutput(torch.tensor([[[3.0, 1.0]]]).log(), torch.ones(1, 1))
    ours = AgentOutput(torch.tensor([[[1.0, 3.0]]]).log(), torch.ones(1, 1))
    found = gaps("true", ours, true, Config(), (0,))
    assert found["kl_first"] == pytest.approx(0.5 * np.log(3)) and found["disagree_first"] == 1.0


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


def test_a_memory_longer_than_the_episode_plays_as_well_as_the_whole_and_one_of_a_single_step_is_none(monkeypatch):
    config = Config(env="RecallCue-v0", env_arg=("delay=2", "max_blanks=0"), core="gru", hidden_size=4, torso_size=3)
    agent = make_agent(config, 3, 2)
    monkeypatch.setattr(memory_measures, "EPISODES_OF_PLAY", 20)
    whole = evaluate(agent, config, envs.make_vector, 20, greedy=True, seed=config.seed, offset=2**25).mean()
    assert return_with_memory_of(agent, config, 3) == whole  # an episode shows three observations
    fresh, step = agent.initial_state(20), agent.core.step
    monkeypatch.setattr(agent.core, "step", lambda inputs, _state, first: step(inputs, fresh, first))
    alone = evaluate(agent, config, envs.make_vector, 20, greedy=True, seed=config.seed, offset=2**25).mean()
    monkeypatch.undo()
    assert return_with_memory_of(agent, config, 1) == alone


def test_three_moments_are_measured_and_short_memories_only_at_the_last(tmp_path):
    _, found = measured(small("a2c lstm", tmp_path))
    total = SMALL["total_env_steps"]
    assert [line["env_steps"] / total for line in found] == [
        pytest.approx(share, abs=0.02) for share in (0.3, 0.6, 0.9)
    ]
    assert ["memory_4" in line for line in found] == [False, False, True]
    assert staleness.MOMENTS == (0.3, 0.6, 0.9)
