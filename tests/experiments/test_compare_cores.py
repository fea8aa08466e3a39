"""The comparison of cores: which runs it trains."""

from pathlib import Path

import pytest

from experiments import compare_cores
from tests.support.configs import cartpole_config


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
        ({"config": cartpole_config(core="gru", stop_when_solved=True)}, "--core gru: this experiment sets it itself"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_one_line(options, line):
    with pytest.raises(ValueError, match="^" + line.replace("'", ".")):
        compare_cores.Command(**options).configs()


def test_an_arm_named_twice_is_refused_before_anything_is_trained():
    with pytest.raises(ValueError, match="each value once is needed"):
        compare_cores.Command(arms="mlp,mlp").configs()
