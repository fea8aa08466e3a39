"""Which agents have a fast path, and how they learn by it: the loss's gradient, written out.

With n = time · batch (1 where the loss is a sum), π = softmax(logits), Â normalised advantages, G returns, H entropies,
and the loss of rl/loss.py,

    ∂L/∂logits = (Â (π − 1ₐ) + c_e π (log π + H)) / n,   ∂L/∂V = 2 c_v (V − G) / n,

and of Q-learning   ∂L/∂Q = w (Q − G) 1ₐ / n.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from rl.agent import Agent, AgentOutput
from rl.config import Config
from rl.cores import GRUCore, LSTMCore, RNNCore
from rl.loss import Targets, actor_critic_loss, alone, checked, explained_variance, normalise, targets
from rl.policies import q_values, through_q_values
from rl.recorded import Recording
from rl.recorded_gru import GRURecording
from rl.recorded_lstm import LSTMRecording
from rl.recorded_rnn import RNNRecording
from rl.segment import Segment

RECORDINGS = {LSTMCore: LSTMRecording, GRUCore: GRURecording, RNNCore: RNNRecording}
CELLS = {LSTMCore: nn.LSTMCell, GRUCore: nn.GRUCell, RNNCore: nn.RNNCell}


def can_record(agent: Agent) -> bool:
    """Whether there is a fast path: one RNN, GRU or LSTM layer behind linear layers with tanh, as `make_agent` has it.

    Anything else is unrolled: a subclass may compute in its own way, and a layer that is frozen, shared or parametrised
    learns in its own.
    """
    if type(agent) is not Agent or type(agent.torso) is not nn.Sequential or type(agent.core) not in RECORDINGS:
        return False
    (cell, *more_layers), torso = agent.core.cells, list(agent.torso)
    layers = [*torso[::2], agent.policy_head, agent.value_head]
    return (
        not more_layers
        and type(cell) is CELLS[type(agent.core)]
        and getattr(cell, "nonlinearity", "tanh") == "tanh"
        and len(torso) % 2 == 0
        and all(type(layer) is nn.Tanh for layer in torso[1::2])
        and all(type(layer) is nn.Linear for layer in layers)
        and all(module.bias is not None and module.bias is not False for module in (*layers, cell))
        and is_plain(agent)
    )


NAMES = {"weight", "bias", "weight_ih", "weight_hh", "bias_ih", "bias_hh"}


def is_plain(agent: Agent) -> bool:
    """Whether no module has hooks or a forward of its own, and parameters are torch's own: all learnt, none shared."""
    named = list(agent.named_parameters(remove_duplicate=False))
    return (
        not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks or "forward" in vars(m)
                for m in agent.modules())
        and all(name.rpartition(".")[2] in NAMES and p.requires_grad and not p._backward_hooks for name, p in named)
        and len({parameter for _, parameter in named}) == len(named)
    )  # fmt: skip


def make_recording(agent: Agent, steps: int, batch: int) -> Recording:
    """The recording for an agent's core, of segments of `steps` steps of `batch` environments."""
    return RECORDINGS[type(agent.core)](agent, steps, batch)


def differentiate(
    agent: Agent,
    segment: Segment,
    config: Config,
    sum_over_workers: Callable[[Tensor], Tensor] = alone,
    targets: Targets = targets,
) -> dict[str, float]:
    """Leave the gradient of a segment's loss in the agent's parameters, by the fast path where acting was recorded.

    Arguments, what is logged and errors as of `actor_critic_loss`, which says what the loss is; Q-learning's is that of
    `q_gradient`.
    """
    if segment.recording is not None:
        output = segment.recording.output
        d_logits, d_values, losses = loss_gradient(output, segment, config, sum_over_workers, targets)
        segment.recording.backward(d_logits, d_values)
        return losses
    agent.zero_grad(set_to_none=False)  # in place: gradients are views of one flat vector
    if config.has_q_values:
        output, _ = agent.unroll(segment.observations, segment.core_state, segment.is_first)
        d_logits, d_values, losses = loss_gradient(output, segment, config, sum_over_workers, targets)
        torch.autograd.backward([output.logits[:-1], output.values[:-1]], [d_logits, d_values])
        return losses
    loss, losses = actor_critic_loss(agent, segment, config, sum_over_workers, targets)
    loss.backward()
    return losses


@torch.no_grad()
def loss_gradient(
    output: AgentOutput,
    segment: Segment,
    config: Config,
    sum_over_workers: Callable[[Tensor], Tensor] = alone,
    targets: Targets = targets,
) -> tuple[Tensor, Tensor, dict[str, float]]:
    """∂L/∂logits [time, batch, action] and ∂L/∂values [time, batch] of a segment, and what is logged.

    Args:
        output: of all its rows, [time + 1, ...]; the last is the bootstrap.
        segment: N steps.
        config: of the loss.
        sum_over_workers: as of `actor_critic_loss`.
        targets: likewise.
    """
    steps = AgentOutput(output.logits[:-1], output.values[:-1])
    if config.has_q_values:
        returns = targets(segment, q_values(output).amax(-1), config)
        return q_gradient(steps, segment.actions, returns, torch.ones_like(returns), config)[:3]
    returns = targets(segment, output.values, config)
    advantages = returns - steps.values if config.baseline == "value" else returns
    if config.normalise_advantages:
        advantages = normalise(advantages, sum_over_workers)
    return actor_critic_gradient(steps, segment.actions, returns, advantages, config)


def actor_critic_gradient(
    output: AgentOutput, actions: Tensor, returns: Tensor, advantages: Tensor, config: Config
) -> tuple[Tensor, Tensor, dict[str, float]]:
    """The same for given returns and advantages, [time, batch] each."""
    logits, values = output
    errors = values - returns
    log_probs = logits.log_softmax(-1)
    probs, chosen = log_probs.exp(), actions.unsqueeze(-1)
    entropies = -(probs * log_probs).sum(-1)
    policy_loss = -(log_probs.gather(-1, chosen).squeeze(-1) * advantages).mean()
    value_loss, entropy = errors.square().mean(), entropies.mean()
    losses = checked(policy_loss, value_loss, entropy, config)

    wide, n = advantages.unsqueeze(-1), errors.numel() if config.loss_reduction == "mean" else 1
    d_logits = (probs * wide).scatter_add_(-1, chosen, -wide)
    if config.entropy_coefficient:
        d_logits += config.entropy_coefficient * probs * (log_probs + entropies.unsqueeze(-1))
    losses["explained_variance"] = explained_variance(returns, errors)
    return d_logits.div_(n), errors.mul_(2.0 * config.value_coefficient / n), losses


def q_gradient(
    output: AgentOutput, actions: Tensor, returns: Tensor, weights: Tensor, config: Config
) -> tuple[Tensor, Tensor, dict[str, float], Tensor]:
    """∂L/∂logits, ∂L/∂values, what is logged, and errors δ [time, batch] of Q-learning.

    L = ½ mean w δ²,   δ = Q(a) − G   (Watkins & Dayan 1992; Mnih et al. 2015, eq. 2, without its clip).

    Args:
        output: [time, batch, ...].
        actions: [time, batch].
        returns: [time, batch] G.
        weights: w, [time, batch] or [batch].
        config: of the reduction.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    chosen, q = actions.unsqueeze(-1), q_values(output)
    values = q.gather(-1, chosen).squeeze(-1)
    errors = values - returns
    weighted = weights * errors
    loss = 0.5 * (weighted * errors).mean().item()
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss}: look for nan or inf in observations and rewards, or lower "
                                 "--learning-rate")  # fmt: skip
    losses = {"td_loss": loss, "q_values": values.mean().item(),
              "explained_variance": explained_variance(returns, errors)}  # fmt: skip
    n = errors.numel() if config.loss_reduction == "mean" else 1
    d_q = torch.zeros_like(q).scatter_(-1, chosen, (weighted / n).unsqueeze(-1))
    return *through_q_values(d_q), losses, errors
