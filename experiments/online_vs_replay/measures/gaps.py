"""Distances between the outputs of one agent from two core states.

R2D2's measure is ΔQ = ‖Q(training) − Q(stored)‖₂ / max |Q(stored)|, at the first and the last trained step. For
actor-critics it is ΔV, and KL(π(true) ‖ π(training)) beside it.
Source: Kapturowski et al. 2019, "Recurrent Experience Replay in Distributed Reinforcement Learning", §3.
"""

from rl.acting.policies import q_values
from rl.agent.agent import AgentOutput
from rl.config import Config

Measures = dict[str, float]


def at(output: AgentOutput, row: int) -> AgentOutput:
    """Take one row of outputs."""
    return AgentOutput(output.logits[row], output.values[row])


def gaps(name: str, output: AgentOutput, other: AgentOutput, config: Config, rows: tuple[int, ...]) -> Measures:
    """Return the gap, the share of other greedy actions and, for actor-critics, KL, at the first and the last row."""
    found: Measures = {}
    for place, row in zip(("first", "last"), rows, strict=False):
        here, there = at(output, row), at(other, row)
        found[f"{name}_{place}"] = gap(here, there, config, scale=other)
        found[f"disagree_{place}"] = (here.logits.argmax(-1) != there.logits.argmax(-1)).double().mean().item()
        if not config.has_q_values:
            log, log_other = here.logits.log_softmax(-1), there.logits.log_softmax(-1)
            found[f"kl_{place}"] = (log_other.exp() * (log_other - log)).sum(-1).mean().item()
    return found


def gap(output: AgentOutput, other: AgentOutput, config: Config, scale: AgentOutput | None = None) -> float:
    """Return ΔQ or ΔV: the distance divided by the largest value of its window, a mean over windows.

    Args:
        output: what the agent says from the state in training.
        other: what it says from the state that this one is compared with.
        config: tells Q-learning from actor-critics.
        scale: outputs whose largest value divides; `other` if None.
    """
    read = q_values if config.has_q_values else (lambda output: output.values.unsqueeze(-1))
    distance = (read(output) - read(other)).norm(dim=-1)
    values = read(scale or other).abs().amax(-1)
    largest = values.amax(0) if values.dim() > 1 else values
    return (distance / (largest + 1e-8)).mean().item()
