"""Whole runs whose gradient is carried: over processes, in updates that learn several times, by whoever plays."""

import pytest
import torch

from rl.names import DIAGONAL
from rl.play import Player
from tests.support.configs import cartpole_config
from tests.support.rl_small import differentiate, small_collector, small_config
from tests.support.runs import train

every_diagonal_core = pytest.mark.parametrize("core", DIAGONAL)
CARRIED = {"carry_gradient": True, "env": "RecallCue-v0", "env_arg": ("delay=5",)}


@pytest.mark.parametrize("core", ["rtu", pytest.param("mingru", marks=pytest.mark.slow)])
def test_two_workers_of_2_environments_learn_what_one_of_4_learns(tmp_path, core):
    """Ten updates in float64, over segments of 8 steps and episodes of 6: the sensitivities are the workers' own."""
    options = {**CARRIED, "core": core, "dtype": "float64", "total_env_steps": 320}
    one = train(tmp_path / "one", **options)
    two = train(tmp_path / "two", **{**options, "mode": "sync", "workers": 2, "envs_per_worker": 2})
    assert (one.learnt["parameters"] - two.learnt["parameters"]).abs().max() <= 1e-8
    cut = train(tmp_path / "cut", **{**options, "carry_gradient": False})
    assert (one.learnt["parameters"] - cut.learnt["parameters"]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("core", "algorithm"),
    [
        *(("rtu", "a2c"), ("mingru", "ppo")),
        *(
            pytest.param(*one, marks=pytest.mark.slow)
            for one in (("mingru", "a2c"), ("rtu", "ppo"), ("rtu", "q_online"), ("mingru", "q_online"))
        ),
    ],
)
def test_the_fast_path_learns_what_unrolling_again_learns(tmp_path, core, algorithm):
    options = {**CARRIED, "core": core, "algorithm": algorithm, "dtype": "float64", "total_env_steps": 320}
    options |= {"minibatches": 2, "epochs": 2} if algorithm == "ppo" else {}
    fast, again = (train(tmp_path / way, unroll=way, **options) for way in ("recorded", "again"))
    assert (fast.learnt["parameters"] - again.learnt["parameters"]).abs().max() <= 1e-8


@every_diagonal_core
def test_ppo_whose_one_update_has_ratio_1_has_the_gradient_of_a2c(core):
    """In the second segment, whose state has a past: the lesson takes the sensitivities with it."""
    options = {"core": core, "carry_gradient": True, "normalise_advantages": False}
    found = []
    for algorithm in ({"algorithm": "a2c"}, {"algorithm": "ppo", "minibatches": 1, "epochs": 1}):
        config = small_config(**options, **algorithm)
        collector = small_collector(config)
        collector.agent.core.carries_gradient = True
        collector.core_state = collector.agent.initial_state(collector.batch)
        collector.collect()
        segment = collector.collect()
        assert len(segment.core_state) == 2 and segment.core_state[1].abs().max() > 0.01
        differentiate(collector, segment, config)
        found.append(torch.cat([part.grad.flatten() for part in collector.agent.parameters()]).clone())
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-10)


def test_whoever_only_plays_carries_the_state_alone(tmp_path):
    train(tmp_path / "run", core="rtu", total_env_steps=64, **CARRIED)
    player = Player.from_run(tmp_path / "run")
    player.act(player.observation_space.sample(), is_first=True)
    assert [part.shape for part in player.player.core_state] == [(1, 1, 16)]  # real and imaginary parts of 8 units


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"core": "lstm"}, "--core lstm mixes its units in every step, --core rtu or mingru is needed"),
        ({"core": "rtu", "core_layers": 2}, "--core-layers 2 puts a core above a core, 1 is needed"),
        ({"core": "rtu", "separate_critic": True}, "--separate-critic has two cores, False is needed"),
        ({"core": "rtu", "algorithm": "q_replay"}, "--algorithm q_replay learns from old segments, one without"),
        ({"core": "mingru", "carry_state": False}, "--no-carry-state throws away what it is the gradient of"),
    ],
)
def test_a_gradient_that_cannot_be_carried_is_refused_in_one_line(options, line):
    with pytest.raises(ValueError) as error:
        cartpole_config(carry_gradient=True, **options)
    assert str(error.value).startswith(f"--carry-gradient True: {line}") and "\n" not in str(error.value)
