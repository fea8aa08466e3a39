"""The experiments: which runs they train, that they go on where they stopped, and what their numbers mean."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

import envs
from experiments import carry_ablation, compare_cores, study
from rl.config import Config
from rl.preflight import claim
from rl.train import new_run

TINY = {"mode": "serial", "workers": 1, "envs_per_worker": 2, "segment_length": 4, "hidden_size": 4, "torso_size": 4,
        "total_env_steps": 400, "log_interval": 40, "eval_episodes": 2, "wandb": "disabled"}  # fmt: skip


def test_the_demo_is_four_arms_of_three_seeds_with_two_workers():
    configs = compare_cores.Command().configs()
    assert [Path(config.run_dir).name for config in configs[:4]] == ["mlp-s1", "mlp-2-frames-s1", "gru-s1", "lstm-s1"]
    assert [config.seed for config in configs] == [1] * 4 + [2] * 4 + [3] * 4
    assert {(config.core, config.frame_stack): config.total_env_steps for config in configs} == {
        ("mlp", 1): 500_000, ("mlp", 2): 500_000, ("gru", 1): 1_500_000, ("lstm", 1): 1_500_000,
    }  # fmt: skip
    assert all(config.workers == 2 and config.mode == "async" and config.stop_when_solved for config in configs)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"arms": "lstm,rnn"}, "--arms 'lstm,rnn': a list out of mlp,mlp-2-frames,gru,lstm is needed"),
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
    first = study.train_missing(tiny_configs(tmp_path))
    before = [(folder / "metrics.jsonl").stat().st_mtime_ns for folder in first]
    assert study.train_missing(tiny_configs(tmp_path)) == first == [tmp_path / "s1", tmp_path / "s2"]
    assert [(folder / "metrics.jsonl").stat().st_mtime_ns for folder in first] == before


def test_an_unfinished_run_is_put_aside_and_trained_from_the_start(tmp_path):
    (folder,) = study.train_missing(tiny_configs(tmp_path, seeds=[1]))
    (folder / "summary.json").unlink()  # what a kill leaves behind
    study.train_missing(tiny_configs(tmp_path, seeds=[1]))
    assert (tmp_path / "s1.unfinished-1" / "metrics.jsonl").exists()
    assert json.loads((folder / "summary.json").read_text())["exit_code"] == 0


def test_a_folder_with_another_run_is_neither_used_nor_overwritten(tmp_path):
    study.train_missing(tiny_configs(tmp_path, seeds=[1]))
    with pytest.raises(ValueError, match=r"holds a run with learning_rate 0.003, not 0.01: name another --runs-dir"):
        study.train_missing(tiny_configs(tmp_path, seeds=[1], learning_rate=0.01))


def test_two_runs_at_a_time_are_the_runs_that_one_at_a_time_trains(tmp_path):
    def rows(folder):
        records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return [{key: x for key, x in row.items() if key not in ("time/seconds", "charts/SPS")} for row in records]

    in_turn = study.train_missing(tiny_configs(tmp_path / "in-turn"))
    at_once = study.train_missing(tiny_configs(tmp_path / "at-once"), processes=2)
    assert [rows(folder) for folder in at_once] == [rows(folder) for folder in in_turn]
    assert len(rows(in_turn[0])) == 10  # 400 env steps, a row for every 40


def test_a_run_that_fails_ends_the_study_with_its_exit_code(tmp_path):
    config = tiny_configs(
        tmp_path,
        seeds=[1],
        env="faulty_envs:Faulty-v0",
        env_arg=("fault=raises", "process=MainProcess", "at=50", f"folder={tmp_path}"),
    )[0]
    with pytest.raises(study.RunFailed, match="s1: ") as failed:
        study.train_missing([config])
    assert failed.value.exit_code == 1


@pytest.mark.parametrize(("delay", "length", "score"), [(2, 2, 0.0), (2, 4, 0.5), (4, 16, 0.75), (8, 4, 0.0)])
def test_a_zeroed_state_recalls_what_fell_into_one_segment(delay, length, score):
    """Counted out: the cue at each of the N phases of a segment, the question `delay` steps later in it or not."""
    in_one_segment = [phase + delay < length for phase in range(length)]
    assert carry_ablation.zeroed_score(delay, length) == score == sum(in_one_segment) / length


def test_the_ablation_trains_both_arms_of_every_cell_alike():
    configs = carry_ablation.Command(delays="4", segment_lengths="4,8", cartpole_segment_lengths="8", seeds=2).configs()
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
        study.train_missing(tiny_configs(tmp_path))
    with pytest.raises(ValueError, match="another process is writing there"):
        new_run(Config(**TINY, run_dir=str(tmp_path)), envs.make_vector).execute()
    os.close(held)
    assert len(study.train_missing(tiny_configs(tmp_path / "study"))) == 2


def test_an_arm_named_twice_is_refused_before_anything_is_trained():
    with pytest.raises(ValueError, match="each value once is needed"):
        compare_cores.Command(arms="mlp,mlp").configs()
