"""The ablation of carrying: which runs it trains, and what its numbers mean."""

import json
import shutil
import sys
from dataclasses import replace

import pytest

from experiments import carry_ablation
from experiments.lab.records import final_score, read_record
from tests.support.runs import ROOT


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


def test_the_committed_page_and_figure_are_drawn_from_the_committed_rows_without_training(tmp_path, monkeypatch):
    committed = ROOT / "experiments" / "results" / "carry_ablation"
    shutil.copytree(committed, tmp_path / "out")
    words = ["carry_ablation", "--out", str(tmp_path / "out"), "--runs-dir", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as end:
        carry_ablation.main()
    assert end.value.code == 0 and not (tmp_path / "runs").exists()
    for file in committed.iterdir():
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes(), file.name


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
    assert final_score(read_record(tmp_path)) == 7.0
