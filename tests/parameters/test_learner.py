"""The learner: one Adam however many push to it, the same update however environments are divided over workers."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

import envs
from rl.acting.collector import Collector
from rl.acting.randomness import TRAINING
from rl.agent.flat import FlatAgent
from rl.loop import build_worker, run_segments
from rl.parameters.learner import Learner, adam_step, clip
from rl.parameters.sync import SyncLearner, make_learner, pass_gate
from rl.running.run import resumed_run
from rl.running.setup import set_up
from rl.shared.learner_memory import LearnerMemory
from rl.shared.locks import Gate
from tests.support.bits import assert_bit_equal
from tests.support.configs import cartpole_config
from tests.support.rl_small import segment_loss
from tests.support.runs import SERIAL, read_rows, train

LOSSES = {"policy_loss": 1.0, "value_loss": 2.0, "entropy": 3.0, "explained_variance": 4.0}
Q_LOSSES = {"td_loss": 1.0, "q_values": 2.0, "explained_variance": 3.0, "state_age": 4.0}
TWENTY_UPDATES = {  # of 8 environments
    **SERIAL,
    "segment_length": 16,
    "hidden_size": 16,
    "torso_size": 16,
    "total_env_steps": 20 * 16 * 8,
    "log_interval": 500,
    "dtype": "float64",
}


def shared(config, parameters):
    """Memory and ledger of a run with so many parameters."""
    memory = LearnerMemory(config, parameters)
    return memory, memory.ledger


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """20 updates of 8 environments, without processes."""
    return train(tmp_path_factory.mktemp("run") / "serial", small=TWENTY_UPDATES, envs_per_worker=8)


def first_update(**options):
    """A sync run after its only update, the gradient of which is Adam's first moment, as β₁ = 0.

    Threads stand for the processes: the learner cannot tell."""
    config = cartpole_config(**{**options, "mode": "sync", "adam_beta1": 0.0, "max_gradient_norm": 1e6})
    setup = set_up(config, envs.make_vector)
    workers = [worker_of(setup, rank) for rank in range(config.workers)]
    threads = [threading.Thread(target=run_segments, args=(*worker, lambda _left: None)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert setup.ledger.updates == 1
    return setup


def worker_of(setup, rank):
    """Learner, Collector and experience of a worker, as they are before the first segment."""
    return build_worker(rank, setup.config, envs.make_vector, setup.memory, TRAINING)


# --- modes


@pytest.mark.parametrize("mode", ["async", pytest.param("sync", marks=pytest.mark.slow)])
def test_one_worker_learns_in_every_mode_what_a_serial_run_learns_bit_for_bit(serial, tmp_path, mode):
    other = train(tmp_path / mode, small=TWENTY_UPDATES, mode=mode, envs_per_worker=8)
    assert_bit_equal(other.learnt, serial.learnt)
    assert other.rows == serial.rows and [row["global_step"] for row in serial.rows] == [512, 1024, 1536, 2048, 2560]
    assert other.summary["eval_sampled"] == serial.summary["eval_sampled"]
    assert other.summary["staleness"] == [20]


def test_two_workers_of_4_environments_learn_what_one_of_8_learns(serial, tmp_path):
    """astooke/rlpyt#134: works with one sampler, fails with two."""
    two = train(tmp_path / "two", small=TWENTY_UPDATES, mode="sync", workers=2, envs_per_worker=4)
    one = serial.run.setup.learner
    assert two.summary["updates"] == serial.summary["updates"] == 20
    assert (two.run.setup.learner.parameters - one.parameters).abs().max() <= 1e-8
    assert not torch.equal(one.parameters, set_up(one.config, envs.make_vector).learner.parameters)  # it learnt
    for row, row_of_one in zip(two.rows, serial.rows, strict=True):
        del row["losses/explained_variance"]  # a ratio: the mean of the workers' is not that of all
        assert row == pytest.approx({key: row_of_one[key] for key in row}, abs=1e-8)


@pytest.mark.product
@pytest.mark.parametrize("core", ["mlp", "gru", "lstm"])
@pytest.mark.parametrize("unroll", ["again", "recorded"])
@pytest.mark.parametrize("workers", [2, 4])
def test_the_first_gradient_does_not_depend_on_how_environments_are_divided(core, unroll, workers):
    def gradient(workers, unroll):
        divided = {"workers": workers, "envs_per_worker": 8 // workers, "unroll": unroll}
        return first_update(**{**TWENTY_UPDATES, "total_env_steps": 16 * 8, "core": core, **divided}).learner.vectors[
            "moment1"
        ]

    one, many = gradient(1, "again"), gradient(workers, unroll)
    assert one.abs().max() > 1e-3 and (one - many).abs().max() <= 1e-10


@pytest.mark.slow
def test_two_workers_whose_seconds_are_over_end_together_after_the_same_update(tmp_path):
    """Any time at all is longer than a picosecond: the first update is the last, of both."""
    options = {"mode": "sync", "workers": 2, "envs_per_worker": 4, "max_seconds": 1e-12}
    _, summary, rows, _ = train(tmp_path / "run", small=TWENTY_UPDATES, **options)
    assert (summary["exit_reason"], summary["exit_code"], summary["updates"]) == ("max_seconds", 0, 1)
    assert summary["env_steps"] == 2 * 4 * 16 == rows[-1]["global_step"] and len(rows) == 1
    assert summary["seconds"] >= 1e-12 and summary["eval_greedy"] is not None


# --- sync: gather, weigh, clip


@pytest.mark.parametrize(("reduction", "expected"), [("mean", [4.0, 6.0]), ("sum", [6.0, 8.0])])
def test_the_gradient_is_the_mean_over_steps_where_workers_return_unequal_counts_or_the_sum(reduction, expected):
    """1 step of gradient (1, 0) and 3 steps of (5, 8): the mean over steps is (4, 6); the mean of the two is (3, 4).
    Gradients of losses that are sums over their steps are added up: (6, 8). Logged losses are means either way."""
    config = cartpole_config(
        mode="sync", workers=2, adam_beta1=0.0, max_gradient_norm=100.0, dtype="float64", loss_reduction=reduction
    )
    memory, ledger = shared(config, 2)
    learners = [SyncLearner(config, memory, rank) for rank in range(2)]
    gradients = [torch.tensor([1.0, 0.0]).double(), torch.tensor([5.0, 8.0]).double()]
    losses = [{**LOSSES, "entropy": 2.0}, {**LOSSES, "entropy": 6.0}]
    episodes = [[(7.0, 3)], [(1.0, 1), (2.0, 2)]]
    other = threading.Thread(target=learners[1].push, args=(gradients[1], 3, losses[1], episodes[1]))
    other.start()
    learners[0].push(gradients[0], 1, losses[0], episodes[0])
    other.join(10)
    assert learners[0].vectors["moment1"].tolist() == expected
    ledger.close_row()
    [row] = ledger.rows.closed(0)
    assert (row.env_steps, row.updates, row.episodes, row.losses["entropy"]) == (4, 1, 3, 5.0)
    assert row.losses["grad_norm"] == pytest.approx(np.hypot(*expected))
    assert ledger.pages.now.returns[:3].tolist() == [7.0, 1.0, 2.0]  # in order of rank


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("length", [0, 10])
def test_workers_whose_episodes_end_earlier_weigh_by_their_steps_or_not_at_all_where_losses_are_sums(reduction, length):
    """Segments that end with their episodes have unequal lengths nᵢ. With gᵢ the gradient of worker i's mean loss, the
    update's is Σ nᵢ gᵢ / Σ nᵢ, and that of summed losses Σ nᵢ gᵢ."""
    setup = first_update(
        env="tests.support.rl_small:Dice-v0",
        core="gru",
        hidden_size=8,
        torso_size=8,
        dtype="float64",
        workers=3,
        envs_per_worker=1,
        segment_length=length,
        stop_at_episode_end=True,
        total_env_steps=1,
        normalise_advantages=False,
        loss_reduction=reduction,
    )
    total, lengths, ended = 0.0, [], 0
    for rank in range(3):
        _, collector, experience = worker_of(setup, rank)
        flat, segment = experience.flat, collector.collect()
        loss, _ = segment_loss(flat.agent, segment, replace(setup.config, loss_reduction="mean"))
        loss.backward()
        total = total + flat.gradient * segment.env_steps
        lengths.append(segment.env_steps)
        ended += len(collector.take_finished_episodes())
    assert len(set(lengths)) > 1 and setup.ledger.env_steps == sum(lengths)
    assert setup.ledger.pages.now.returns_seen[0] == ended > 0 and (ended == 3 or length)
    assert setup.ledger.pages.now.returns.max() > 0  # a row of its slot for each, an N of 0 included
    expected = total if reduction == "sum" else total / sum(lengths)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(setup.learner.vectors["moment1"], expected, rtol=0, atol=1e-12)


def test_clipping_comes_after_averaging():
    """(6, 0) and (−6, 0.25) are long; their mean (0, 0.125) is not and stays as it is."""
    config = cartpole_config(mode="sync", workers=2, adam_beta1=0.0, max_gradient_norm=0.5, dtype="float64")
    memory = LearnerMemory(config, 2)
    learners = [SyncLearner(config, memory, rank) for rank in range(2)]
    other = threading.Thread(target=learners[1].push, args=(torch.tensor([-6.0, 0.25]).double(), 5, LOSSES, []))
    other.start()
    learners[0].push(torch.tensor([6.0, 0.0]).double(), 5, LOSSES, [])
    other.join(10)
    assert learners[0].vectors["moment1"].tolist() == [0.0, 0.125]


def test_a_worker_with_advantages_that_are_not_finite_fails_before_it_spoils_the_others():
    config = cartpole_config(mode="sync", workers=2)
    memory = LearnerMemory(config, 2)
    with pytest.raises(FloatingPointError, match="nan or inf in observations and rewards"):
        SyncLearner(config, memory, 1).sum_over_workers(torch.tensor([8.0, float("nan"), 1.0]).double())
    assert not memory.arrive.acquire(block=False)  # it did not take part


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_the_lock_is_held_from_the_first_change_of_an_update_to_its_entry_in_the_ledger(mode, monkeypatch):
    """So whoever saves a checkpoint under the lock sees parameters, moments and ledger of one and the same update."""
    config = cartpole_config(mode=mode, workers=1)
    memory, ledger = shared(config, 3)
    learner = make_learner(config, memory)
    seen = []

    def watched(action):
        def act(*arguments, **named):
            free = memory.lock.acquire(timeout=0)
            seen.append(free)
            if free:
                memory.lock.release()
            return action(*arguments, **named)

        return act

    monkeypatch.setattr("rl.parameters.learner.adam_step", watched(adam_step))
    ledger.record, ledger.crosses = watched(ledger.record), watched(ledger.crosses)
    learner.push(torch.ones(3), 10, LOSSES, [])
    assert seen == [False, False, False] and memory.lock.acquire(timeout=0)


# --- steps that only go into a buffer, updates that only come out of it


@pytest.mark.parametrize("mode", ["async", "sync", "serial"])
def test_steps_without_a_gradient_are_entered_and_nothing_is_applied(mode):
    """Adam does not count them, nor does the version of the parameters."""
    config = cartpole_config(mode=mode, workers=1, algorithm="q_replay", log_interval=10)
    memory, ledger = shared(config, 2)
    learner = make_learner(config, memory)
    before = learner.state()
    learner.push(None, 10, {}, [(3.0, 4)])
    assert all(torch.equal(before[name], vector) for name, vector in learner.state().items())
    assert (ledger.updates, ledger.env_steps, ledger.staleness) == (0, 10, [])
    learner.push(torch.ones(2), 10, Q_LOSSES, [])
    learner.push(torch.ones(2), 0, Q_LOSSES, [])
    assert (ledger.updates, ledger.env_steps, learner.vectors["step"].item()) == (2, 20, 2)
    first, second = ledger.rows.closed(0)
    assert (first.updates, first.losses, first.episodes, first.episode_return) == (0, {}, 1, 3.0)
    assert (second.updates, second.losses["td_loss"]) == (1, 1.0)


def test_updates_without_new_steps_weigh_the_same_of_every_worker():
    """Gradients (1, 0) and (5, 8) of replayed windows: their mean, though neither worker took a step."""
    config = cartpole_config(
        mode="sync", workers=2, adam_beta1=0.0, max_gradient_norm=100.0, dtype="float64", algorithm="q_replay"
    )
    memory, ledger = shared(config, 2)
    learners = [SyncLearner(config, memory, rank) for rank in range(2)]
    losses = [{**Q_LOSSES, "td_loss": 2.0}, {**Q_LOSSES, "td_loss": 6.0}]
    gradients = [torch.tensor([1.0, 0.0]).double(), torch.tensor([5.0, 8.0]).double()]

    def both(first, second):
        other = threading.Thread(target=learners[1].push, args=second)
        other.start()
        learners[0].push(*first)
        other.join(10)

    both((None, 4, {}, [(1.0, 1)]), (None, 4, {}, []))
    assert (ledger.env_steps, ledger.updates, ledger.pages.now.returns_seen[0]) == (8, 0, 1)
    both((gradients[0], 0, losses[0], []), (gradients[1], 0, losses[1], []))
    assert learners[0].vectors["moment1"].tolist() == [3.0, 4.0]
    assert (ledger.env_steps, ledger.updates) == (8, 1)
    ledger.close_row()
    assert ledger.rows.closed(0)[0].losses["td_loss"] == 4.0


def test_workers_that_update_together_agree_only_if_each_is_ready():
    config = cartpole_config(mode="sync", workers=2)
    memory = LearnerMemory(config, 2)
    learners = [SyncLearner(config, memory, rank) for rank in range(2)]
    for ready in ((True, True), (True, False), (False, True), (False, False)):
        said = []
        other = threading.Thread(target=lambda ready=ready, said=said: said.append(learners[1].all_ready(ready[1])))
        other.start()
        said.append(learners[0].all_ready(ready[0]))
        other.join(10)
        assert said == [all(ready)] * 2
    for mode in ("async", "serial"):
        alone = make_learner(
            cartpole_config(mode=mode, workers=1), LearnerMemory(cartpole_config(mode=mode, workers=1), 2)
        )
        assert alone.all_ready(True) and not alone.all_ready(False)


class Diligent:
    """An experience with four updates due after every segment; what it is pulled to before each is noted."""

    def __init__(self, flat, learner):
        self.flat, self.learner, self.pulled = flat, learner, []

    def add(self, segment):
        return 4

    def differentiate(self):
        self.pulled.append(self.learner.pulled_version)
        self.flat.gradient[:] = 1.0
        return Q_LOSSES

    def still_due(self, left):
        return left


def test_before_each_of_a_segments_updates_the_newest_parameters_are_pulled_and_none_follows_the_end():
    """160 env steps are one segment: its first update completes them, and is the last. Where 2 are asked for, 4 + 1."""
    for segments, updates in ((1, 1), (2, 5)):
        config = cartpole_config(
            mode="serial",
            workers=1,
            envs_per_worker=10,
            segment_length=16,
            algorithm="q_replay",
            total_env_steps=160 * segments,
            hidden_size=4,
            torso_size=4,
        )
        setup = set_up(config, envs.make_vector)
        learner, collector, experience = worker_of(setup, 0)
        diligent, between = Diligent(experience.flat, learner), []
        run_segments(learner, collector, diligent, between.append)
        assert diligent.pulled == list(range(updates)) and between == [3, 2, 1, 0, 3][:updates]  # are left
        assert (setup.ledger.updates, setup.ledger.env_steps) == (updates, 160 * segments)
        assert setup.ledger.staleness == [updates]


# --- CPU seconds


def test_cpu_seconds_are_those_of_the_workers_own_work_between_pull_and_push(monkeypatch):
    """Its thread's: 3 seconds from pull to push are entered, 100 between push and pull are not."""
    now = [50.0]
    monkeypatch.setattr("rl.parameters.learner.time.thread_time", lambda: now[0])
    config = cartpole_config(workers=1)
    memory, ledger = shared(config, 2)
    learner, flat = Learner(config, memory), FlatAgent(torch.nn.Linear(2, 1, bias=False))
    for _ in range(2):
        now[0] += 100
        learner.pull(flat)
        now[0] += 3
        learner.push(torch.ones(2), 10, LOSSES, [])
    assert ledger.cpu_seconds == 6.0


def test_cpu_seconds_of_workers_that_update_together_are_added_up(monkeypatch):
    """Waiting for each other is no work: asleep, a thread's clock stands still."""
    config = cartpole_config(mode="sync", workers=2)
    memory, ledger = shared(config, 2)
    learners = [SyncLearner(config, memory, rank) for rank in range(2)]
    for learner, seconds in zip(learners, (2.0, 5.0), strict=True):
        monkeypatch.setattr(learner, "cpu_seconds", lambda seconds=seconds: seconds)
    other = threading.Thread(target=learners[1].push, args=(torch.ones(2), 5, LOSSES, []))
    other.start()
    learners[0].push(torch.ones(2), 5, LOSSES, [])
    other.join(10)
    assert ledger.cpu_seconds == 7.0


def test_a_run_of_few_cpu_seconds_ends_by_them_and_keeps_its_record(tmp_path):
    """Any work at all is longer than a picosecond; whoever stops then is complete."""
    _, summary, rows, _ = train(tmp_path / "run", small=TWENTY_UPDATES, envs_per_worker=8, max_cpu_seconds=1e-12)
    assert (summary["exit_reason"], summary["exit_code"], summary["updates"]) == ("max_cpu_seconds", 0, 1)
    assert len(rows) == 1 and 0 < summary["cpu_seconds"] < 60 and summary["eval_greedy"] is not None
    [raw] = read_rows(tmp_path / "run")
    assert raw["time/cpu_seconds"] == summary["cpu_seconds"]
    with pytest.raises(
        ValueError, match=r"the run is complete, at 128 env steps; a larger --max-cpu-seconds trains it for longer$"
    ):
        resumed_run(tmp_path / "run", envs.make_vector)


# --- async: staleness, one Adam


def test_a_gradient_carries_the_version_it_was_computed_with():
    """Both pull version 0; the first push is 0 versions old, the second 1; the third worker's has missed 2."""
    config = cartpole_config(workers=3, log_interval=10)
    memory, ledger = shared(config, 2)
    learners = [Learner(config, memory, rank) for rank in range(3)]
    flat = FlatAgent(torch.nn.Linear(2, 1, bias=False))
    for learner in learners:
        learner.pull(flat)
    for learner in (learners[0], learners[1]):
        learner.push(torch.ones(2), 10, LOSSES, [])
    learners[0].pull(flat)
    learners[0].push(torch.ones(2), 10, LOSSES, [])
    learners[2].push(torch.ones(2), 10, LOSSES, [])
    assert [row.losses["staleness"] for row in ledger.rows.closed(0)] == [0, 1, 0, 3]
    assert ledger.staleness == [2, 1, 0, 1] and ledger.updates == 4


def test_every_update_of_an_async_run_has_its_staleness_in_the_record(tmp_path):
    options = {"mode": "async", "workers": 2, "envs_per_worker": 4}
    _, summary, rows, _ = train(tmp_path / "run", small=TWENTY_UPDATES, **options)
    histogram = summary["staleness"]
    assert sum(histogram) == summary["updates"] == sum(row["losses/updates"] for row in rows) >= 40
    total = sum(age * count for age, count in enumerate(histogram))
    assert sum(row["worker/staleness"] * row["losses/updates"] for row in rows) == pytest.approx(total)
    assert total > 0  # two workers did overtake each other


def test_workers_share_one_adam_its_step_count_included():
    """ikostrikov/pytorch-a3c#12: with a step count of its own in each worker the bias correction is wrong."""
    config = cartpole_config(workers=3, dtype="float64", learning_rate=0.1, total_env_steps=100, max_gradient_norm=1.0)
    memory = LearnerMemory(config, 5)
    learners = [Learner(config, memory, rank) for rank in range(3)]
    plain = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([plain], betas=(config.adam_beta1, config.adam_beta2), eps=config.adam_epsilon)
    generator = torch.Generator().manual_seed(0)
    for number in range(12):
        gradient = torch.randn(5, generator=generator, dtype=torch.float64)
        plain.grad = gradient * min(1.0, 1.0 / gradient.norm())
        adam.param_groups[0]["lr"] = 0.1 * (1 - number * 7 / 100)
        adam.step()
        learners[number % 3].push(gradient, 7, LOSSES, [])
        assert (learners[0].parameters - plain.detach()).abs().max() < 1e-12
    assert learners[0].vectors["step"] == 12


def test_a_pull_is_a_copy_that_later_pushes_do_not_change():
    config = cartpole_config(workers=1)
    memory = LearnerMemory(config, 2)
    learner = Learner(config, memory)
    layer = torch.nn.Linear(2, 1, bias=False)
    flat = FlatAgent(layer)
    learner.parameters[:] = torch.tensor([3.0, 4.0])
    learner.pull(flat)
    learner.push(torch.ones(2), 10, LOSSES, [])
    assert layer.weight.tolist() == [[3.0, 4.0]] and learner.parameters[0] < 3.0


# --- what is not finite, what is too long


@pytest.mark.parametrize("mode", ["async", "sync", "serial"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_is_an_error_and_nothing_is_applied(mode, value):
    config = cartpole_config(mode=mode, workers=1)
    memory, ledger = shared(config, 2)
    learner = make_learner(config, memory)
    learner.push(torch.ones(2), 10, LOSSES, [])
    before = learner.state()
    with pytest.raises(FloatingPointError, match="the update was not applied"):
        learner.push(torch.tensor([1.0, value]), 10, LOSSES, [(1.0, 1)])
    assert all(torch.equal(before[name], vector) for name, vector in learner.state().items())
    assert (ledger.updates, ledger.env_steps, ledger.pages.now.returns_seen[0]) == (1, 10, 0)


def test_a_gradient_of_length_5_is_shortened_to_a_half_and_a_short_one_is_left_alone():
    long, short = torch.tensor([3.0, 4.0]), torch.tensor([0.0, 0.5])
    assert clip(long, 0.5) == 5.0 and long.tolist() == pytest.approx([0.3, 0.4])
    assert clip(short, 0.5) == 0.5 and short.tolist() == [0.0, 0.5]
    assert clip(torch.zeros(2), 0.5) == 0.0


def test_at_a_crossing_the_parameters_of_that_moment_are_kept():
    config = cartpole_config(workers=1, envs_per_worker=1)
    memory = LearnerMemory(config, 2, reward_threshold=1.0)
    ledger = memory.ledger
    learner = Learner(config, memory)
    learner.push(torch.ones(2), 10, LOSSES, [(1.0, 1)] * 99)
    assert not ledger.crossings.pending and memory.candidate.parameters.tolist() == [0.0, 0.0]
    learner.push(torch.ones(2), 10, LOSSES, [(1.0, 1)])
    at_crossing = learner.parameters.numpy().copy()
    learner.push(torch.ones(2), 10, LOSSES, [(1.0, 1)])
    assert ledger.crossings.pending and ledger.crossings.newest[0] == 20
    assert np.array_equal(memory.candidate.parameters, at_crossing) and at_crossing[0] != learner.parameters[0]


def test_the_agents_tensors_are_views_of_its_flat_vectors():
    config = cartpole_config(mode="serial", workers=1, envs_per_worker=2, wandb="disabled")
    setup = set_up(config, envs.make_vector)
    learner, collector, experience = build_worker(0, config, envs.make_vector, setup.memory, TRAINING)
    flat = experience.flat
    assert isinstance(collector, Collector) and len(flat) == sum(p.numel() for p in flat.agent.parameters())
    flat.load(torch.arange(len(flat)).float())
    values = torch.cat([parameter.detach().flatten() for parameter in flat.agent.parameters()])
    assert torch.equal(values, torch.arange(len(flat)).float())
    learner.pull(flat)
    assert torch.equal(flat.parameters, setup.learner.parameters)


@pytest.mark.parametrize("looks", [0, 10, 10**7])
def test_a_gate_that_opens_late_is_passed_once_whether_it_opens_during_the_looks_or_after_them(looks):
    gate = Gate()
    opener = threading.Timer(0.05, gate.release)
    opener.start()
    pass_gate(gate, looks)
    opener.join()
    assert not gate.acquire(False)
