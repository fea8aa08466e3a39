"""PPO: at first it is actor-critic, then every update begins at the carried state and knows the parameters of its own
moment; minibatches are whole columns, whichever worker has them."""

import math

import numpy as np
import pytest
import torch

from rl.acting.randomness import generator
from rl.agent.actions.categorical import Categorical
from rl.agent.agent import AgentOutput
from rl.learning import stale_state
from rl.learning.actor_critic import actor_critic_loss
from rl.learning.lesson import Lesson, dealt
from rl.learning.ppo import PPO, ppo_gradient, ppo_loss
from tests.support.bits import assert_bit_equal
from tests.support.rl_small import Alone, Flat, changed, is_recorded, small_collector, small_config
from tests.support.runs import train

DICE = {"env": "Dice-v0", "envs_per_worker": 6, "segment_length": 16, "algorithm": "ppo", "normalise_advantages": True}
every_core = pytest.mark.parametrize("core", ["mlp", "rnn", "gru", "lstm"])
again_or_recorded = pytest.mark.parametrize("unroll", ["again", "recorded"])


class Learning:
    """A collector and what learns from its segments, without a learner: parameters move where a test moves them."""

    def __init__(self, *sums, first=0, **options):
        self.config = small_config(**{**DICE, **options})
        self.collector = small_collector(self.config, first=first)
        self.agent = self.collector.agent
        self.ppo = PPO(self.config, Flat(self.agent), self.collector.unrolled, Alone(*sums), None, 0)

    def take(self):
        self.segment = self.collector.collect()
        return self.ppo.add(self.segment)

    def gradient(self):
        losses = self.ppo.differentiate()
        return torch.cat([parameter.grad.flatten() for parameter in self.agent.parameters()]), losses

    def move(self, size=0.1, seed=0):
        """Move all parameters, as an update does."""
        noise = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.agent.parameters():
                parameter += size * torch.randn(parameter.shape, generator=noise, dtype=parameter.dtype)

    def unrolled(self, lesson):
        """What the agent of now says of a lesson from its carried state, with its graph."""
        return self.agent.unroll(*lesson.seen)[0]

    def by_autograd(self, loss):
        parts = torch.autograd.grad(loss, list(self.agent.parameters()), materialize_grads=True)
        return torch.cat([part.flatten() for part in parts])


def close(one, other, tolerance=1e-10):
    torch.testing.assert_close(one, other, rtol=0, atol=tolerance)


# --- the gradient


@pytest.mark.product
@every_core
@again_or_recorded
@pytest.mark.parametrize("minibatches", [1, 3])
def test_while_no_parameter_has_moved_the_updates_of_an_epoch_have_the_gradient_of_a2c_on_average(
    core, unroll, minibatches
):
    """Ratios are 1: of one minibatch the gradient is that of a2c, of three it is their mean; over three segments."""
    learning = Learning(core=core, unroll=unroll, minibatches=minibatches, epochs=1, entropy_coefficient=0.02)
    for _ in range(3):
        assert learning.take() == minibatches
        assert is_recorded(learning.collector) == (unroll == "recorded" and core != "mlp")
        lesson = learning.ppo.lesson
        close(lesson.advantages.mean(), torch.zeros(()).double())
        loss, expected = actor_critic_loss(
            learning.unrolled(lesson), learning.agent.actions, *lesson[3:4], *lesson[5:], learning.config
        )
        told = [learning.gradient() for _ in range(minibatches)]
        close(sum(gradient for gradient, _ in told) / minibatches, learning.by_autograd(loss))
        for name in ("value_loss", "entropy", "explained_variance")[: 2 if minibatches > 1 else 3]:
            assert sum(losses[name] for _, losses in told) / minibatches == pytest.approx(expected[name], abs=1e-12)
        for _, losses in told:
            assert losses["approx_kl"] == pytest.approx(0.0, abs=1e-15) and losses["clip_fraction"] == 0.0


@pytest.mark.product
@every_core
@again_or_recorded
@pytest.mark.parametrize("minibatches", [1, 3])
@pytest.mark.parametrize(
    "options", [{}, {"loss_reduction": "sum", "entropy_coefficient": 0.02, "detach_critic": True, "returns": "n_step"}]
)
def test_after_a_move_each_update_has_the_gradient_of_its_loss_unrolled_from_the_carried_state(
    core, unroll, minibatches, options
):
    """Two updates after the move, autograd of `ppo_loss` over the minibatch's own columns being the judge."""
    learning = Learning(core=core, unroll=unroll, minibatches=minibatches, epochs=2, clip_range=0.03, **options)
    for _ in range(2):
        learning.take()
        lesson, clipped = learning.ppo.lesson, []
        for update in range(2 * minibatches):
            if update:
                learning.move(0.05, seed=update)
            epoch, hand = divmod(update, minibatches)
            number = (learning.ppo.segments - 1) * 2 + epoch
            columns = dealt(generator(1, 0, "minibatch", number), 6, range(6), minibatches)[hand]
            part = lesson if minibatches == 1 else lesson.of(columns)
            loss, metrics = ppo_loss(learning.unrolled(part), learning.agent.actions, part, learning.config)
            gradient, losses = learning.gradient()
            close(gradient, learning.by_autograd(loss))
            assert math.isnan(losses.pop("stale_state_kl"))
            assert losses == pytest.approx(metrics, rel=0, abs=1e-12)
            clipped.append(losses["clip_fraction"])
        assert clipped[0] == 0.0 and 0.01 < sum(clipped) / len(clipped) < 0.95, clipped


def test_the_gradient_by_hand_where_ratios_are_near_and_far():
    """μ(a) = 1/4 and π(a) = 1/2 make a ratio of 2, μ(a) = 1/2 one of 1, μ(a) = 1 one of 1/2; ε = 0.2. A gain is cut at
    1.2 and its gradient with it; a loss is not, but one that has shrunk below 0.8 is. So of A = 1, of ratio 2, 1, ½:
    1.2, 1, ½, of which the last two have gradients; of A = −1: −2, −1, −0.8, of which the first two have."""
    config = small_config(algorithm="ppo", envs_per_worker=4, clip_range=0.2)
    log_probs = torch.tensor([[0.25, 0.5, 1.0]]).double().log().repeat(2, 1)
    advantages = torch.tensor([[1.0] * 3, [-1.0] * 3]).double()
    zeros = torch.zeros(2, 3).double()
    actions = torch.zeros(2, 3, dtype=torch.int64)
    lesson = Lesson(zeros, zeros > 0, (), actions, log_probs, zeros, advantages)
    output = AgentOutput(torch.zeros(2, 3, 2).double(), zeros + 3.0)
    (d_logits, d_values), losses = ppo_gradient(output, Categorical(2), lesson, config)
    assert losses["policy_loss"] == pytest.approx(-(1.2 + 1 + 0.5 - 2 - 1 - 0.8) / 6)
    # ∂L/∂log π = −r A / 6, of which half goes to the logit of the action taken: log π = z − log Σ exp z, π = 1/2.
    expected = [[0.0, -1.0, -0.5], [2.0, 1.0, 0.0]]
    assert d_logits[..., 0].tolist() == [pytest.approx([one / 6 / 2 for one in row]) for row in expected]
    assert d_values.tolist() == [[pytest.approx(2 * 0.5 * 3 / 6)] * 3] * 2
    assert losses["clip_fraction"] == pytest.approx(4 / 6)
    kl = [2 - 1 - math.log(2), 0.0, 0.5 - 1 + math.log(2)]
    assert losses["approx_kl"] == pytest.approx(sum(kl) / 3)


# --- columns


@every_core
def test_columns_in_another_order_change_nothing(core):
    """Stable-Baselines-Team/stable-baselines3-contrib#284"""
    order, one, other = torch.tensor([3, 0, 5, 1, 4, 2]), *(Learning(core=core, minibatches=1) for _ in range(2))
    one.take(), other.take()
    shuffled = changed(one.segment, lambda rows: rows[:, order])
    shuffled = shuffled._replace(core_state=tuple(part[:, order] for part in one.segment.core_state))
    other.ppo.unrolled.unroll(shuffled.observations, shuffled.core_state, shuffled.is_first)
    other.ppo.add(shuffled)
    for learning in (one, other):
        learning.told = []
        for update in range(3):
            learning.told.append(learning.gradient())
            learning.move(seed=update)
    for (gradient, losses), (same, numbers) in zip(one.told, other.told, strict=True):
        close(gradient, same, 1e-12)
        assert losses == pytest.approx(numbers, abs=1e-12, nan_ok=True)


def test_of_each_run_of_environments_every_minibatch_gets_one_whichever_worker_has_them():
    """12 environments in 3 minibatches of 4; of each three that follow each other every minibatch has one. The four
    orders of an epoch differ from each other and from those of the next epochs."""

    def deal(epoch, owned=range(12)):
        return dealt(generator(1, 0, "minibatch", epoch), 12, owned, 3)

    hands = [columns.tolist() for columns in deal(0)]
    assert sorted(column for hand in hands for column in hand) == list(range(12))
    assert all([column // 3 for column in hand] == [0, 1, 2, 3] for hand in hands)
    assert deal(0)[0].dtype == torch.int64 and hands == [columns.tolist() for columns in deal(0)]
    assert len({tuple(column % 3 for column in group) for group in zip(*hands, strict=True)}) > 1
    assert len({str(deal(epoch)) for epoch in range(5)}) == 5
    for workers in (2, 4):  # of 6 and of 3 environments
        size = 12 // workers
        for hand in range(3):
            parts = [deal(0, range(w * size, (w + 1) * size))[hand] + w * size for w in range(workers)]
            assert torch.cat(parts).tolist() == hands[hand]


def test_every_column_is_in_every_minibatch_as_often_as_in_any_other():
    """Of 3000 deals a column is in each of 3 minibatches 1000 times, ± 4 standard deviations of 26."""
    counts = np.zeros((6, 3), int)
    for epoch in range(3000):
        for hand, columns in enumerate(dealt(generator(1, 0, "minibatch", epoch), 6, range(6), 3)):
            counts[columns, hand] += 1
    assert abs(counts - 1000).max() < 104


# --- target KL


def test_an_epoch_that_went_too_far_is_the_last_of_its_segment():
    """The move after the first of 4 epochs shows in the second, whose mean KL is above 0.001 and below 100."""
    for target, done in ((1e-3, 6), (100.0, 12), (0.0, 12)):
        learning = Learning(core="gru", minibatches=3, epochs=4, target_kl=target)
        for _ in range(2):
            left, updates = learning.take(), 0
            while left:
                learning.gradient()
                left, updates = learning.ppo.still_due(left - 1), updates + 1
                learning.move(0.1 if updates == 3 else 0.0)
            assert updates == done and learning.ppo.lesson is None


def test_workers_agree_on_the_kl_of_all_of_them():
    """This worker's KL is 0; with another's of 0.5 an update the mean is 0.25, above a target of 0.2."""
    for target, due in ((0.2, 0), (0.3, 3)):
        asked = []

        def with_another(values, asked=asked):
            asked.append(values)
            return values + torch.tensor([1.5, 3.0, 0.0]).double() if values[1] == 3 else values

        learning = Learning(with_another, core="gru", minibatches=3, epochs=2, target_kl=target)
        left = learning.take()
        for _ in range(3):
            learning.gradient()
            left = learning.ppo.still_due(left - 1)
        assert left == due and len(asked) == 2  # once for the advantages, once for the epoch


def test_what_is_left_of_an_epoch_goes_on_with_its_kl_in_another_worker():
    """Of the second epoch's three updates two are done, after a move: their KL alone makes it the last of 4."""
    one, other = (Learning(core="gru", minibatches=3, epochs=4, target_kl=1e-3) for _ in range(2))
    one.take()
    for update in range(5):
        one.move(0.2 if update == 3 else 0.0)
        one.gradient()
    other.ppo.load_state(one.ppo.state())
    assert other.ppo.divergence == one.ppo.divergence > 0.003
    other.ppo.lesson = one.ppo.lesson
    for learning in (one, other):  # `other` is as it was before the move: the third update of its epoch has a KL of 0
        _, losses = learning.gradient()
        assert learning.ppo.still_due(6) == 0
    assert losses["approx_kl"] < 1e-9


# --- the state that was carried


@pytest.mark.parametrize("core", [pytest.param("rnn", marks=pytest.mark.slow), "gru", "lstm"])
@again_or_recorded
def test_the_stale_state_figure_is_the_kl_from_the_policy_whose_state_was_made_again(monkeypatch, core, unroll):
    """Measured in every second segment here. Nothing is stale where no parameter has moved. Where one has, the state is
    unrolled by hand through the segment before, and the policies of both states are compared in full."""
    monkeypatch.setattr(stale_state, "EVERY", 2)
    learning = Learning(core=core, unroll=unroll, minibatches=3, epochs=1)
    figures = []
    for number in range(1, 7):
        learning.take()
        before, lesson = learning.ppo.stale_state.before, learning.ppo.lesson
        for update in range(3):
            learning.move(0.3 if number > 3 and update == 2 else 0.0, seed=number)
            _, losses = learning.gradient()
        figures.append(losses["stale_state_kl"])
        if number % 2:
            assert before is None and math.isnan(figures[-1])
            continue
        with torch.no_grad():
            _, state = learning.agent.unroll(*before.seen)
            again, _ = learning.agent.unroll(lesson.observations, state, lesson.is_first)
            log_probs, others = (said.logits.log_softmax(-1) for said in (again, learning.unrolled(lesson)))
        expected = (log_probs.exp() * (log_probs - others)).sum(-1).mean().item()
        assert figures[-1] == pytest.approx(expected, abs=1e-12)
    assert abs(figures[1]) < 1e-15 and figures[3] > 1e-5 and figures[5] > 1e-5


def test_updates_leave_the_state_that_is_carried_as_it_is():
    """The rows of acting are unrolled again by other parameters; the collector goes on from what acting made."""
    learning = Learning(core="lstm", unroll="recorded", minibatches=1, epochs=3)
    learning.take()
    carried = [part.clone() for part in learning.collector.core_state]
    for _ in range(3):
        learning.gradient()
        learning.move()
    assert_bit_equal(carried, [part.clone() for part in learning.collector.core_state])
    assert_bit_equal(carried, list(learning.collector.collect().core_state))


# --- whole runs

SMALL = {
    "algorithm": "ppo",
    "mode": "serial",
    "workers": 1,
    "envs_per_worker": 8,
    "segment_length": 8,
    "hidden_size": 8,
    "torso_size": 8,
    "total_env_steps": 640,
    "log_interval": 128,
    "epochs": 3,
    "minibatches": 2,
    "dtype": "float64",
    "eval_episodes": 2,
    "wandb": "disabled",
}


@pytest.mark.parametrize(
    ("workers", "options"),
    [
        (2, {"target_kl": 2e-4, "learning_rate": 0.01}),
        pytest.param(4, {}, marks=pytest.mark.slow),
        pytest.param(2, {"minibatches": 4, "core": "gru", "loss_reduction": "sum"}, marks=pytest.mark.slow),
        pytest.param(2, {"minibatches": 1, "unroll": "again"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_workers_of_fewer_environments_learn_what_one_of_all_learns(tmp_path, workers, options):
    one = train(tmp_path / "one", small=SMALL, **options)
    many = {"mode": "sync", "workers": workers, "envs_per_worker": 8 // workers}
    other = train(tmp_path / "many", small=SMALL, **{**options, **many})
    most = 9 * options.get("minibatches", 2) * 3 + 1  # the last segment's first update ends the run
    assert one.summary["updates"] == other.summary["updates"]
    assert (one.summary["updates"] < most) == ("target_kl" in options)
    assert (one.learnt["parameters"] - other.learnt["parameters"]).abs().max() <= 1e-8
    names = ("losses/approx_kl", "losses/clipfrac", "losses/policy_loss", "losses/value_loss")
    for row, row_of_one in zip(other.rows, one.rows, strict=True):
        assert [row[name] for name in names] == pytest.approx([row_of_one[name] for name in names], abs=1e-8)
    assert one.rows[-1]["losses/approx_kl"] > 1e-8


def test_one_asynchronous_worker_learns_what_a_serial_run_learns(tmp_path):
    one, other = (train(tmp_path / mode, small=SMALL, mode=mode) for mode in ("serial", "async"))
    assert_bit_equal(one.learnt["parameters"], other.learnt["parameters"])
    assert other.summary["staleness"] == [other.summary["updates"]]
