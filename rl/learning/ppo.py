"""Proximal policy optimisation with memory: the clipped loss, its gradient, and the experience that learns by it.

    L = −mean min(rₜ Âₜ, clip(rₜ, 1 − ε, 1 + ε) Âₜ) + c_v · mean (Gₜ − Vₜ)² − c_e · mean H(πₜ),   rₜ = π(aₜ) / μ(aₜ)

(Schulman et al. 2017, eq. 7 and 9). μ is the policy that acted. G and Â are those of its values, Â normalised over the
segments of all workers, and stay the same in all updates of a segment. `ppo_loss` is the definition, which `--unroll
again` learns by; `ppo_gradient` is its gradient by what the heads say, with n = time · batch (1 where it is a sum):

    ∂L/∂log π(aₜ) = −rₜ Âₜ / n, or 0 where the clipped term is the smaller one;   the others as of `actor_critic`.

At r = 1 this is the gradient of advantage actor-critic. The value loss is not clipped: that was never found to help
(Engstrom et al. 2020, §3; Andrychowicz et al. 2021, §3.2), and it would tie the critic to the scale of the rewards.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rl.acting.randomness import TRAINING, generator
from rl.acting.segment import Segment
from rl.agent.actions.distribution import Actions
from rl.agent.agent import AgentOutput
from rl.agent.recorded.which import make_unrolled
from rl.agent.unrolled import Unrolled
from rl.config import Config
from rl.learning.actor_critic import checked, explained_variance, moments, normalised, without_bootstrap
from rl.learning.experience import OnlineExperience
from rl.learning.lesson import Lesson, dealt
from rl.learning.stale_state import StaleState


class PPO(OnlineExperience):
    """Learns several times from each segment, in minibatches of whole columns.

    Every update starts from the state that was carried into the segment, and computes all later states anew with the
    parameters of its own moment: steps are never shuffled. Where a segment is one minibatch, the first update learns
    from the activations of acting.
    """

    def __init__(self, config: Config, *others: Any, **named: Any) -> None:
        """As `OnlineExperience`, with an unroll of minibatches."""
        super().__init__(config, *others, **named)
        self.columns = config.envs_per_worker // config.minibatches  # of a minibatch
        recorded = config.unroll == "recorded"
        self.again = make_unrolled(self.flat.agent, config.segment_length, self.columns, recorded)  # no bootstrap row
        first = self.learner.rank * config.envs_per_worker
        self.owned = range(first, first + config.envs_per_worker)
        self.lesson: Lesson | None = None  # until all its updates are done
        self.acted: AgentOutput | None = None  # before the first update, where that learns from what acting kept
        self.segments = self.done = self.due = 0  # segments so far; updates of the newest one: done, and in all
        self.divergence = 0.0  # Σ approx_kl of the updates of this epoch
        self.dealt: tuple[int, list[Tensor]] = -1, []  # number of an epoch, and the columns of its minibatches
        self.stale_state = StaleState()

    def add(self, segment: Segment) -> int:
        """Take what all updates of a segment have in common; returns how many they are at most."""
        config = self.config
        output = self.unrolled.acted(segment.observations, segment.core_state, segment.is_first)
        returns, steps = self.returns(segment, output.values), without_bootstrap(output)
        advantages = returns - steps.values
        if config.normalise_advantages:
            advantages = normalised(advantages, self.learner.sum_over_workers(moments(advantages)))
        self.lesson = Lesson(
            segment.observations[:-1],
            segment.is_first[:-1],
            segment.core_state,
            segment.actions,
            self.flat.agent.actions.log_probs(steps.logits, segment.actions),
            returns,
            advantages,
        )
        self.acted = steps if config.minibatches == 1 else None
        self.segments, self.done, self.due = self.segments + 1, 0, config.epochs * config.minibatches
        return self.due

    def differentiate(self) -> dict[str, float]:
        """Leave the gradient of the next minibatch's loss.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        lesson, unrolled, output = self.unroll()
        distribution, config = self.flat.agent.actions, self.config
        if config.unroll == "again":
            live = AgentOutput(*(part[: len(lesson.actions)] for part in unrolled.live))
            loss, losses = ppo_loss(live, distribution, lesson, config)
            self.flat.agent.zero_grad(set_to_none=False)  # in place: gradients are views of one flat vector
            loss.backward()
        else:
            gradient, losses = ppo_gradient(output, distribution, lesson, config)
            unrolled.backward(gradient)
        self.done += 1
        self.divergence += losses["approx_kl"]
        if self.went_too_far():
            self.due = self.done
        losses["stale_state_kl"] = float("nan")  # measured in few updates
        if self.done == self.due:
            losses["stale_state_kl"] = self.stale_state.of(self.lesson, self.again, distribution, self.columns)
            self.stale_state.prepare(self.lesson, self.segments)
            self.lesson = None
        return losses

    def unroll(self) -> tuple[Lesson, Unrolled, AgentOutput]:
        """The next minibatch, the rows that its gradient goes back through, and what was said at them."""
        config, lesson = self.config, self.lesson
        if self.acted:
            said, self.acted = self.acted, None
            return lesson, self.unrolled, said
        epoch, hand = divmod(self.done, config.minibatches)
        if config.minibatches > 1:
            lesson = lesson.of(self.hands((self.segments - 1) * config.epochs + epoch)[hand])
        return lesson, self.again, self.again.unroll(*lesson.seen)

    def hands(self, number: int) -> list[Tensor]:
        """The columns of each minibatch in an epoch of the run, which are dealt once."""
        if self.dealt[0] != number:
            deal = generator(self.config.seed, TRAINING, "minibatch", number)
            hands = dealt(deal, self.config.total_environments, self.owned, self.config.minibatches)
            self.dealt = number, hands
        return self.dealt[1]

    def went_too_far(self) -> bool:
        """Whether an epoch ends here whose mean KL, over all workers, is above the target: it is the last one."""
        minibatches = self.config.minibatches
        if self.done % minibatches:
            return False
        divergence, self.divergence = self.divergence, 0.0
        if not self.config.target_kl:
            return False
        total, count, _ = self.learner.sum_over_workers(torch.tensor([divergence, minibatches, 0]).double())
        return bool(total / count > self.config.target_kl)

    def still_due(self, left: int) -> int:
        """None where the epoch that ended went too far."""
        return left if self.done < self.due else 0

    def state(self) -> dict[str, Any]:
        """The lesson, where updates are left, and how many there were."""
        return {
            "lesson": self.lesson and self.lesson.state(),
            "counts": [self.segments, self.done, self.due],
            "divergence": self.divergence,
            "stale_state": self.stale_state.state(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from `state()`."""
        self.lesson = state["lesson"] and Lesson.from_state(state["lesson"])
        self.segments, self.done, self.due = state["counts"]
        self.divergence = state["divergence"]
        self.stale_state.load_state(state["stale_state"])


def ppo_loss(
    output: AgentOutput, distribution: Actions, lesson: Lesson, config: Config
) -> tuple[Tensor, dict[str, float]]:
    """The scalar loss, mean or sum over the steps, by the equation above.

    Args:
        output: logits [time, batch, head] and values [time, batch], with their graph.
        distribution: what the logits stand for.
        lesson: what these steps are learnt from.
        config: coefficients, clip range and reduction.

    Returns:
        The loss, and what is logged of it: policy_loss, value_loss, entropy, explained_variance, approx_kl,
        clip_fraction.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    log_ratios = distribution.log_probs(output.logits, lesson.actions) - lesson.log_probs
    ratios = log_ratios.exp()
    near = ratios.clamp(1.0 - config.clip_range, 1.0 + config.clip_range)
    policy_loss = -torch.minimum(ratios * lesson.advantages, near * lesson.advantages).mean()
    value_loss = (lesson.returns - output.values).square().mean()
    entropy = distribution.entropies(output.logits).mean()
    loss = policy_loss + config.value_coefficient * value_loss - config.entropy_coefficient * entropy
    losses = checked(policy_loss, value_loss, entropy, config)
    losses["explained_variance"] = explained_variance(lesson.returns, output.values.detach() - lesson.returns)
    losses |= divergence(log_ratios.detach().numpy(), ratios.detach().numpy(), config)
    return (loss if config.loss_reduction == "mean" else loss * ratios.numel()), losses


@torch.no_grad()
def ppo_gradient(
    output: AgentOutput, distribution: Actions, lesson: Lesson, config: Config
) -> tuple[AgentOutput, dict[str, float]]:
    """∂L/∂logits [time, batch, head] and ∂L/∂values [time, batch], and what is logged; see `ppo_loss`."""
    taken = distribution.taken(output.logits, lesson.actions)
    log_ratios = taken.log_probs - lesson.log_probs
    # So few numbers are quicker as arrays. What is not finite is an error of its own below.
    ratios, log_ratios, advantages = log_ratios.exp().numpy(), log_ratios.numpy(), lesson.advantages.numpy()
    errors = output.values.numpy() - lesson.returns.numpy()
    with np.errstate(all="ignore"):
        gains = ratios * advantages
        near = np.minimum(np.maximum(ratios, 1.0 - config.clip_range), 1.0 + config.clip_range)
        clipped = near * advantages
        policy_loss = -np.minimum(gains, clipped).mean()
        losses = checked(policy_loss, np.square(errors).mean(), taken.entropies.mean(), config)
    losses["explained_variance"] = explained_variance(lesson.returns, torch.from_numpy(errors))
    losses |= divergence(log_ratios, ratios, config)
    n = errors.size if config.loss_reduction == "mean" else 1
    d_log_probs = np.where(gains > clipped, 0.0, gains / -n)
    d_logits = taken.backward(torch.from_numpy(d_log_probs), -config.entropy_coefficient / n)
    return AgentOutput(d_logits, torch.from_numpy(errors * (2.0 * config.value_coefficient / n))), losses


def divergence(log_ratios: np.ndarray, ratios: np.ndarray, config: Config) -> dict[str, float]:
    """How far π is from μ: KL(μ ‖ π) ≈ mean (r − 1 − log r) (Schulman 2020), and the share of ratios out of range."""
    return {
        "approx_kl": float((ratios - 1.0 - log_ratios).mean()),
        "clip_fraction": np.count_nonzero(np.abs(ratios - 1.0) > config.clip_range) / ratios.size,
    }
