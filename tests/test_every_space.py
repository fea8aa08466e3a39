"""What holds for a vector and one of two actions holds for every space: images, several entries, numbers, bits, masks.

The environments assert that each action is of their own kind, within its bounds, and allowed.
"""

from functools import partial

import numpy as np
import pytest
import torch

import envs
from experiments.export.__main__ import Command, export
from rl.acting.control import FrozenPlayer, ResetPlayer, SwappedPlayer
from rl.acting.evaluate import evaluate
from rl.acting.player import AgentPlayer
from rl.learning.replay.buffer import SequenceBuffer
from tests.support.every_case import CASES, FEW
from tests.support.rl_small import (
    Probe,
    assert_same_segment,
    differentiate,
    is_recorded,
    joined,
    segment_loss,
    small_collector,
    small_config,
)
from tests.support.runs import train

SLOW = {name: [] if name in FEW else pytest.mark.slow for name in CASES}
every_action = pytest.mark.parametrize(
    "options", [pytest.param(one, id=name, marks=SLOW[name]) for name, one in CASES.items()]
)
LEARNT = {"normalise_advantages": True, "entropy_coefficient": 0.03, "value_coefficient": 0.7}


def gradients(agent):
    return torch.cat([parameter.grad.flatten() for parameter in agent.parameters()])


@every_action
@pytest.mark.parametrize("core", ["lstm", pytest.param("mlp", marks=pytest.mark.slow)])
@pytest.mark.parametrize("unroll", ["recorded", "again"])
def test_the_learner_computes_what_acting_computed_over_three_segments(options, core, unroll, monkeypatch):
    """Logits, values and log π of each action, in float64, though the network sees its previous action and reward."""
    config = small_config(**options, core=core, unroll=unroll)
    collector = small_collector(config)
    probe, agent, chosen = Probe(collector, monkeypatch), collector.agent, []
    assert is_recorded(collector) == (unroll == "recorded" and core != "mlp")
    for _ in range(3):
        probe.acting.clear()
        segment = collector.collect()
        acted = [torch.stack(parts) for parts in zip(*probe.acting, strict=True)]
        with torch.no_grad():
            again, _ = agent.unroll(segment.observations, segment.core_state, segment.is_first)
        for one, other in zip(acted, again, strict=True):
            torch.testing.assert_close(one, other[:-1], rtol=0, atol=1e-10)
        log_probs = (agent.actions.log_probs(one, segment.actions) for one in (acted[0], again.logits[:-1]))
        torch.testing.assert_close(*log_probs, rtol=0, atol=1e-10)
        chosen.append(segment.actions.flatten(0, 1))
    assert len(torch.cat(chosen).unique(dim=0)) > 1


@every_action
def test_the_environment_gets_what_a_sampled_action_stands_for(options, monkeypatch):
    """Itself, but for numbers: those are kept within their bounds, and the segment keeps what was sampled."""
    collector, given = small_collector(small_config(**options, segment_length=20)), []
    step, distribution = collector.environments.step, collector.agent.actions
    monkeypatch.setattr(collector.environments, "step", lambda actions: given.append(actions.copy()) or step(actions))
    segment = collector.collect()
    stood_for = distribution.for_environment(segment.actions).numpy()
    assert np.array_equal(np.stack(given), stood_for)
    assert all(one in collector.environments.single_action_space for one in stood_for.reshape(-1, *stood_for.shape[2:]))
    if "action_std" in options and "acts=numbers" in options["env_arg"]:
        assert segment.actions.abs().max() > 1 and not np.array_equal(segment.actions.numpy(), stood_for)


@every_action
@pytest.mark.parametrize("core", ["gru", pytest.param("lstm", marks=pytest.mark.slow)])
def test_both_paths_leave_the_gradient_of_the_loss(options, core):
    """Two collectors play the same two segments, and only one of them records; autograd of the loss is the judge."""
    named = {**options, **LEARNT, "core": core, "segment_length": 8}
    recording, plain = (small_collector(small_config(**named, unroll=way)) for way in ("recorded", "again"))
    for _ in range(2):
        segment, again = recording.collect(), plain.collect()
        loss, metrics = segment_loss(plain.agent, again, small_config(**named))
        plain.agent.zero_grad(set_to_none=False)
        loss.backward()
        expected = gradients(plain.agent).clone()
        for collector, one, way in ((recording, segment, "recorded"), (plain, again, "again")):
            losses = differentiate(collector, one, small_config(**named, unroll=way))
            torch.testing.assert_close(gradients(collector.agent), expected, rtol=0, atol=1e-9)
            assert losses == pytest.approx(metrics, rel=0, abs=1e-10)
        assert expected.abs().max() > 0.01


@every_action
def test_two_segments_of_four_are_one_of_eight_and_two_workers_of_two_are_one_of_four(options):
    whole = small_collector(small_config(**options, segment_length=8, envs_per_worker=4)).collect()
    by_four = small_collector(small_config(**options, segment_length=4, envs_per_worker=4))
    assert_same_segment(joined([by_four.collect(), by_four.collect()]), whole)
    halves = [
        small_collector(small_config(**options, segment_length=8, envs_per_worker=2), first=first).collect()
        for first in (0, 2)
    ]
    for name in ("observations", "actions", "rewards", "terminated", "truncated"):
        one, other = getattr(whole, name), torch.cat([getattr(half, name) for half in halves], dim=1)
        assert torch.allclose(one.double(), other.double(), rtol=0, atol=1e-6), name
    assert not torch.equal(halves[0].actions, halves[1].actions)


@every_action
def test_a_buffer_gives_back_the_actions_their_probabilities_and_their_masks(options):
    """Of an unchanged policy log π − log μ is 0 at every step that is drawn, from the state that the actor had."""
    config = small_config(**options, algorithm="a2c_replay", replay_way="stored")
    collector = small_collector(config)
    agent, segments = collector.agent, []
    buffer = SequenceBuffer(
        *(16, 3, 4, collector.environments.single_observation_space, agent.actions, agent.initial_state(3)),
        *(torch.float64, np.random.default_rng(0)),
    )
    for _ in range(4):
        segments.append(collector.collect())
        buffer.add(segments[-1], version=0)
    window = buffer.draw_sequences(6, rows=5)
    assert window.actions.dtype == agent.actions.dtype and window.actions.shape == (4, 6, *agent.actions.shape)
    with torch.no_grad():
        output, _ = agent.unroll(window.observations, window.core_state, window.is_first)
    log_probs = agent.actions.log_probs(output.logits[:-1], window.actions)
    torch.testing.assert_close(log_probs, window.log_probs, rtol=0, atol=1e-9)
    assert window.log_probs.std() > 0.05 and window.log_probs.exp().min() > 0


@every_action
def test_evaluations_and_controls_play_what_is_allowed(options):
    """Ten episodes each; the environments would raise. A memory that is meddled with does other things."""
    config = small_config(**options)
    agent, returns = small_collector(config).agent, []
    for greedy in (True, False):
        for player in (AgentPlayer, ResetPlayer, SwappedPlayer, partial(FrozenPlayer, steps=1)):
            returns.append(tuple(evaluate(agent, config, envs.make_vector, 10, greedy, seed=1, make_player=player)))
    assert len(set(returns)) >= 4 and len(set(returns[0])) >= 4


REPLAY = {"replay_capacity": 320, "replay_warm_up": 64, "replay_batch": 4, "sequence_length": 8, "burn_in": 4}
EVERY_ALGORITHM = {
    "a2c": {},
    "ppo": {"algorithm": "ppo", "epochs": 2, "minibatches": 2},
    "a2c_replay": {"algorithm": "a2c_replay", **REPLAY},
    "q_online": {"algorithm": "q_online"},
    "q_replay": {"algorithm": "q_replay", **REPLAY},
    "dqn": {"algorithm": "q_replay", **REPLAY, "replay_way": "transitions", "core": "mlp"},
    "episodes": {"algorithm": "q_replay", **REPLAY, "replay_way": "episodes"},
}


@pytest.mark.parametrize(
    "algorithm",
    [
        pytest.param(one, id=name, marks=[] if name == "q_replay" else pytest.mark.slow)
        for name, one in EVERY_ALGORITHM.items()
    ],
)
@pytest.mark.parametrize(
    "mode", ["serial", pytest.param("sync", marks=pytest.mark.slow), pytest.param("async", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("where", ["infos", pytest.param("entry", marks=pytest.mark.slow)])
def test_every_algorithm_takes_allowed_actions_only(tmp_path, algorithm, mode, where):
    """One of three actions, of which a mask forbids some at each step: the environment raises at one of these. Random
    actions and those of all evaluations are allowed ones too."""
    options = {**CASES[f"masked one {where}"], **algorithm, "total_env_steps": 640, "eval_episodes": 10}
    exploring = {"epsilon_first": 1.0, "epsilon_last": 1.0} if "q_" in options.get("algorithm", "") else {}
    done = train(tmp_path / "run", mode=mode, workers=1 if mode == "serial" else 2, **options, **exploring)
    assert done.summary["updates"] > 5 and done.summary["eval_sampled"] is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("algorithm", ["a2c", "a2c_replay", "ppo"])
def test_two_workers_of_2_environments_learn_what_one_of_4_learns(tmp_path, name, algorithm):
    """Ten updates, in float64. Of replay the workers' buffers differ, and two workers are asked to run to the end."""
    options = {**CASES[name], **EVERY_ALGORITHM[algorithm], "dtype": "float64", "total_env_steps": 320}
    two = train(tmp_path / "two", mode="sync", workers=2, **{**options, "envs_per_worker": 2})
    if algorithm != "a2c_replay":
        one = train(tmp_path / "one", **{**options, "envs_per_worker": 4})
        assert (two.run.setup.learner.parameters - one.run.setup.learner.parameters).abs().max() <= 1e-8
        assert two.summary["eval_sampled"] == pytest.approx(one.summary["eval_sampled"])
    assert two.summary["updates"] > 5


@pytest.mark.slow
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_a_file_plays_1000_steps_beside_the_player(tmp_path, name, scaled, capsys):
    """Its actions are the environment's own: of their dtype, from their start, within their bounds, allowed."""
    train(tmp_path / "run", total_env_steps=640, **CASES[name], normalise_observations=scaled)
    export(Command(tmp_path / "run", tmp_path / "policy.onnx"))
    assert "over 1,000 steps of 3 environments" in capsys.readouterr().out


@pytest.mark.parametrize("env", ["Pendulum-v1", "tests.support.action_envs:MaskedTable-v0"])
def test_q_learning_of_actions_that_are_not_discrete_is_one_line_before_anything_starts(tmp_path, env):
    for algorithm in ("q_online", "q_replay"):
        with pytest.raises(
            ValueError, match=f"^--algorithm {algorithm}: .* so Discrete actions are needed, not"
        ) as error:
            train(tmp_path / "run", env=env, algorithm=algorithm)
        assert "\n" not in str(error.value) and not (tmp_path / "run").exists()
