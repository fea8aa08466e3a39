"""Which agents have a fast path, and how they learn by it: the loss's gradient, written out.

With n = time · batch (1 where the loss is a sum), π = softmax(logits), Â normalised advantages, G returns, H entropies,
and the loss of rl/loss.py,

    ∂L/∂logits = (Â (π − 1ₐ) + c_e π (log π + H)) / n,   ∂L/∂V = 2 c_v (V − G) / n,

and of Q-learning   ∂L/∂Q = w (Q − G) 1ₐ / n.
"""

from torch import nn

from rl.agent.agent import Agent
from rl.agent.cores import GRUCore, LSTMCore, RNNCore
from rl.agent.recorded.gru import GRURecording
from rl.agent.recorded.lstm import LSTMRecording
from rl.agent.recorded.recording import Recording
from rl.agent.recorded.rnn import RNNRecording

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
        not any(
            m._forward_hooks or m._forward_pre_hooks or m._backward_hooks or "forward" in vars(m)
            for m in agent.modules()
        )
        and all(name.rpartition(".")[2] in NAMES and p.requires_grad and not p._backward_hooks for name, p in named)
        and len({parameter for _, parameter in named}) == len(named)
    )


def make_recording(agent: Agent, steps: int, batch: int) -> Recording:
    """The recording for an agent's core, of segments of `steps` steps of `batch` environments."""
    return RECORDINGS[type(agent.core)](agent, steps, batch)
