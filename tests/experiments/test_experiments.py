"""The experiments: which runs they train, that they go on where they stopped, and what their numbers mean."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import envs
from experiments import carry_ablation, compare_cores
from experiments.lab import runs
from rl.config import Config
from rl.loop import Overrides
from rl.running.folder import choose_run_dir, claim
from rl.running.run import new_run

TINY = {
    "mode": "serial",
    "workers": 1,
    "envs_per_worker": 2,
    "segment_length": 4,
    "hidden_size": 4,
    "torso_size": 4,
    "total_env_steps": 400,
    "log_interval": 40,
    "eval_episodes": 2,
    "wandb": "disabled",
}


def test_the_demo_is_four_arms_of_three_seeds_with_two_workers():
    configs = compare_cores.Command().configs()
    assert [Path(config.run_dir).name for config in configs[:4]] == ["mlp-s1", "mlp-2-frames-s1", "gru-s1", "lstm-s1"]
    assert [config.seed for config in configs] == [1] * 4 + [2] * 4 + [3] * 4
    assert {(config.core, config.frame_stack): config.total_env_steps for config in configs} == {
        ("mlp", 1): 500_000,
        ("mlp", 2): 500_000,
        ("gru", 1): 1_500_000,
        ("lstm", 1): 1_500_000,
    }
    assert all(config.workers == 2 and config.mode == "async" and config.stop_when_solved for config in configs)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"arms": "lstm,rnn"}, "--arms 'rnn': a list out of mlp,mlp-2-frames,gru,lstm is needed"),
        ({"arms": ""}, "--arms '': a list out of"),
        ({"seeds": 0}, "--seeds 0: a whole number of at least 1 is needed"),
        ({"config": Config(core="gru", stop_when_solved=True)}, "--core gru: this experiment sets it itself"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_one_line(options, line):
    with pytest.raises(ValueError, match="^" + line.replace("'", ".")):
        compare_cores.Command(**options).configs()


def tiny_configs(folder, seeds=(1, 2), **options):
    return [Config(**{**TINY, **options}, seed=seed, run_dir=str(folder / f"s{seed}")) for seed in seeds]


def test_complete_runs_are_not_trained_again(tmp_path):
    first = runs.train_missing(tiny_configs(tmp_path))
    before = [(folder / "metrics.jsonl").stat().st_mtime_ns for folder in first]
    assert runs.train_missing(tiny_configs(tmp_path)) == first == [tmp_path / "s1", tmp_path / "s2"]
    assert [(folder / "metrics.jsonl").stat().st_mtime_ns for folder in first] == before


def test_an_unfinished_run_is_put_aside_and_trained_from_the_start(tmp_path):
    (folder,) = runs.train_missing(tiny_configs(tmp_path, seeds=[1]))
    (folder / "summary.json").unlink()  # what a kill leaves behind
    runs.train_missing(tiny_configs(tmp_path, seeds=[1]))
    assert (tmp_path / "s1.unfinished-1" / "metrics.jsonl").exists()
    assert json.loads((folder / "summary.json").read_text())["exit_code"] == 0


def test_a_folder_with_another_run_is_neither_used_nor_overwritten(tmp_path):
    runs.train_missing(tiny_configs(tmp_path, seeds=[1]))
    with pytest.raises(ValueError, match=r"holds a run with learning_rate 0.003, not 0.01: name another --runs-dir"):
        runs.train_missing(tiny_configs(tmp_path, seeds=[1], learning_rate=0.01))


TIMES = ("time/seconds", "time/cpu_seconds", "eval/cpu_seconds", "charts/SPS")


def rows(folder):
    """The record of a run, without what tells the time."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: x for key, x in row.items() if key not in TIMES} for row in records]


def one_hundred(segment, _values, _config):
    """Targets of 100, whatever was earned."""
    return torch.full_like(segment.rewards, 100.0)


def zeros(segment, _values, _config):
    """Nothing is worth anything."""
    return torch.zeros_like(segment.rewards)


def test_two_runs_at_a_time_are_the_runs_that_one_at_a_time_trains(tmp_path):
    """Each with its own parts: the second run learns that everything is worth 100."""
    folders, told = {}, {}
    for name, processes in (("in-turn", 1), ("at-once", 2)):
        configs, told[name] = tiny_configs(tmp_path / name), []
        overrides = {configs[1].run_dir: Overrides(one_hundred)}
        folders[name] = runs.train_missing(configs, processes, overrides, told[name].append)
        assert sorted(told[name], key=lambda config: config.seed) == configs
    assert [rows(folder) for folder in folders["at-once"]] == [rows(folder) for folder in folders["in-turn"]]
    assert len(rows(folders["in-turn"][0])) == 10  # 400 env steps, a row for every 40
    own, hundred = ([row["losses/value_loss"] for row in rows(folder)] for folder in folders["in-turn"])
    assert max(own) < 1 and hundred[0] == pytest.approx(100**2, rel=0.02)  # values begin near 0


def test_zeros_for_targets_leave_a_value_loss_of_the_mean_square_of_values(tmp_path):
    """With a learning rate of almost 0 values stay what they were, near 0; returns of up to 4 steps are up to 4."""
    configs = tiny_configs(tmp_path, learning_rate=1e-12, env="CartPole-v1", reward_scale=1.0)
    runs.train_missing(configs, overrides={configs[1].run_dir: Overrides(zeros)})
    own, none = ([row["losses/value_loss"] for row in rows(tmp_path / name)] for name in ("s1", "s2"))
    assert min(own) > 1 > 0.5 > max(none) > 0


def test_each_complete_run_is_told_once_whether_it_was_found_or_trained(tmp_path):
    (found,) = tiny_configs(tmp_path, seeds=[2])
    runs.train_missing([found])
    told, complete = [], []

    def finished(config):
        told.append(config.seed)
        complete.append(json.loads((Path(config.run_dir) / "summary.json").read_text())["exit_code"] == 0)

    runs.train_missing(tiny_configs(tmp_path, seeds=(1, 2, 3)), finished=finished)
    assert told == [2, 1, 3]  # what was found, then the others as they end
    assert complete == [True] * 3
    runs.train_missing(tiny_configs(tmp_path, seeds=(1, 2, 3)), processes=2, finished=finished)
    assert told[3:] == [1, 2, 3]


def test_a_failed_run_is_not_told_and_those_before_it_are(tmp_path):
    options = {
        "env": "tests.support.faulty_envs:Faulty-v0",
        "env_arg": ("fault=raises", "process=MainProcess", "at=50", f"folder={tmp_path}"),
    }
    configs, told = [*tiny_configs(tmp_path, [1]), *tiny_configs(tmp_path, [2], **options)], []
    with pytest.raises(runs.RunFailed, match="s2: "):
        runs.train_missing(configs, finished=told.append)
    assert told == configs[:1]


@pytest.mark.parametrize(
    ("processes", "at_once", "in_turn"), [(2, ["s1", "s4"], ["s2", "s3"]), (1, [], ["s1", "s2", "s3", "s4"])]
)
def test_serial_runs_go_at_once_and_runs_with_workers_in_turn(processes, at_once, in_turn, monkeypatch, tmp_path):
    """Each run with workers fills the machine by itself."""
    modes = {1: "serial", 2: "async", 3: "sync", 4: "serial"}
    configs = [config for seed, mode in modes.items() for config in tiny_configs(tmp_path, [seed], mode=mode)]
    trained = {"at once": [], "in turn": []}

    def pool(some, _display, of, parts, finished):
        assert (of, parts, finished) == (processes, {"x": Overrides()}, print)
        trained["at once"] += [Path(config.run_dir).name for config in some]

    def alone(some, _display, parts, finished):
        assert (parts, finished) == ({"x": Overrides()}, print)
        trained["in turn"] += [Path(config.run_dir).name for config in some]

    monkeypatch.setattr(runs, "train_at_once", pool)
    monkeypatch.setattr(runs, "train_in_turn", alone)
    runs.train_missing(configs, processes, {"x": Overrides()}, print)
    assert trained == {"at once": at_once, "in turn": in_turn}


def test_a_run_that_fails_ends_the_study_with_its_exit_code(tmp_path):
    config = tiny_configs(
        tmp_path,
        seeds=[1],
        env="tests.support.faulty_envs:Faulty-v0",
        env_arg=("fault=raises", "process=MainProcess", "at=50", f"folder={tmp_path}"),
    )[0]
    with pytest.raises(runs.RunFailed, match="s1: ") as failed:
        runs.train_missing([config])
    assert failed.value.exit_code == 1


@pytest.mark.parametrize(("delay", "length", "score"), [(2, 2, 0.0), (2, 4, 0.5), (4, 16, 0.75), (8, 4, 0.0)])
def test_a_zeroed_state_recalls_what_fell_into_one_segment(delay, length, score):
    """Counted out: the cue at each of the N phases of a segment, the question `delay` steps later in it or not."""
    in_one_segment = [phase + delay < length for phase in range(length)]
    assert carry_ablation.zeroed_score(delay, length) == score == sum(in_one_segment) / length


def test_the_ablation_trains_both_arms_of_every_cell_alike():
    command = carry_ablation.Command(delays="4", segment_lengths="4,8", cartpole_segment_lengths="8", seeds=2)
    configs = [config for config, _ in command.study().planned.values()]
    assert len(configs) == 3 * 2 * 2 == len({config.run_dir for config in configs})
    for carried, zeroed in zip(configs[::2], configs[1::2], strict=True):
        assert carried.carry_state and not zeroed.carry_state
        assert replace(carried, carry_state=False, run_dir="") == replace(zeroed, run_dir="")


def test_the_final_score_is_the_mean_over_episodes_of_the_last_fifth(tmp_path):
    """Of 1,000 env steps the last 200: 1 episode of return 4 and 3 of return 8 are 28 / 4 = 7."""
    (tmp_path / "config.json").write_text(
        json.dumps({"config": {"env": "RecallCue-v0", "core": "lstm", "seed": 1, "total_env_steps": 1000}})
    )
    rows = [(700, 9, 0.0), (800, 5, 1.0), (900, 1, 4.0), (950, 0, None), (1000, 3, 8.0)]
    lines = [
        {"global_step": step, "charts/episodes": episodes} | ({"charts/episodic_return": mean} if episodes else {})
        for step, episodes, mean in rows
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert carry_ablation.final_score(tmp_path) == 7.0


def test_two_studies_in_one_folder_and_two_runs_in_one_are_refused(tmp_path):
    """They would put each other's runs aside, or write into each other's record."""
    held = claim(tmp_path)
    with pytest.raises(ValueError, match="another process is writing there"):
        runs.train_missing(tiny_configs(tmp_path))
    with pytest.raises(ValueError, match="another process is writing there"):
        new_run(Config(**TINY, run_dir=str(tmp_path)), envs.make_vector).execute()
    os.close(held)
    assert len(runs.train_missing(tiny_configs(tmp_path / "study"))) == 2


def test_an_arm_named_twice_is_refused_before_anything_is_trained():
    with pytest.raises(ValueError, match="each value once is needed"):
        compare_cores.Command(arms="mlp,mlp").configs()


STUDIES = ("policy_gradients", "n_steps", "repairs", "first_45_seconds")


@pytest.fixture(scope="module")
def helps():
    """What --help of each study prints, and what was loaded for all of them; one process, since each start is slow."""
    code = """
import runpy, sys
for name in sys.argv[1:]:
    sys.argv = [name, "--help"]
    try:
        runpy.run_module(f"experiments.chapter5.{name}", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        print("exit", end.code, sorted({"torch", "wandb", "matplotlib", "gymnasium"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *STUDIES],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return dict(zip(STUDIES, re.split(r"^exit 0 \[\]$", done.stdout, flags=re.M), strict=False))


@pytest.mark.parametrize("name", STUDIES)
def test_help_of_a_study_says_its_question_command_time_and_output_without_loading_torch(helps, name):
    words = re.sub(r"[\s│]+", " ", helps[name])
    assert f"usage: python -m experiments.chapter5.{name} " in words
    assert re.search(r"Question: .*\? .*Command: +python -m experiments.chapter5." + name, words)
    assert re.search(r"Time: +\d+ minutes on 2 cores for \d+ .* x [23] seeds", words)
    assert f"Output: {name}.md and .png (table, learning curves), runs.csv and curves.csv in --out" in words
    for option in ("--arms", "--seeds", "--first-seed", "--env-steps", "--processes", "--runs-dir", "--out", "--wandb"):
        assert f" {option} " in words
    assert f"runs/chapter5/{name}" in words


def test_a_run_without_a_name_gets_that_of_its_learner_environment_and_seed_and_a_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = []
    for options in ({}, {}, {"algorithm": "q_replay", "env": "module:Env-v0", "seed": 3}):
        names.append(choose_run_dir(Config(core="gru", **options)))
        names[-1].mkdir(parents=True)
    env = Config().env
    assert list(map(str, names)) == [f"runs/gru-{env}-s1", f"runs/gru-{env}-s1-2", "runs/q_replay-gru-Env-v0-s3"]
