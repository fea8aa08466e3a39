"""Which agents have a fast path."""

from collections import Counter

from torch import nn

from rl.agent.agent import Agent, PlainUnrolled
from rl.agent.cores import GRUCore, LSTMCore, RNNCore
from rl.agent.diagonal.mingru import MinGRUCell, MinGRUCore
from rl.agent.diagonal.rtu import RTUCell, RTUCore
from rl.agent.heads import FreeHead
from rl.agent.recorded.diagonal import MinGRURecording, RTURecording
from rl.agent.recorded.gru import GRURecording
from rl.agent.recorded.lstm import LSTMRecording
from rl.agent.recorded.rnn import RNNRecording
from rl.agent.torsos.mlp import MLPTorso
from rl.agent.unrolled import Unrolled

RECORDINGS = {
    LSTMCore: LSTMRecording,
    GRUCore: GRURecording,
    RNNCore: RNNRecording,
    RTUCore: RTURecording,
    MinGRUCore: MinGRURecording,
}
CELLS = {LSTMCore: nn.LSTMCell, GRUCore: nn.GRUCell, RNNCore: nn.RNNCell, RTUCore: RTUCell, MinGRUCore: MinGRUCell}
NAMES = {"weight", "bias", "weight_ih", "weight_hh", "bias_ih", "bias_hh", "free", "nu", "theta"}


def make_unrolled(agent: Agent, rows: int, batch: int, recorded: bool, first: int = 0) -> Unrolled:
    """The recorded form where it is asked for and there is one for the agent; else the plain one.

    Args:
        agent: gets the gradients.
        rows: rows of a segment with its bootstrap; 0: not known before.
        batch: environments.
        recorded: whether the recorded form is asked for.
        first: the first row that learns.
    """
    if recorded and rows and can_record(agent):
        return RECORDINGS[type(agent.core)](agent, rows - 1, batch, first, is_written(agent.torso))
    return PlainUnrolled(agent, first)


def can_record(agent: Agent) -> bool:
    """Whether there is a fast path: one layer of a core of rl before plain heads, behind any torso.

    Anything else is unrolled: a subclass may compute in its own way, and a layer that is frozen, shared or parametrised
    learns in its own.
    """
    if type(agent) is not Agent or type(agent.core) not in RECORDINGS:
        return False
    cell, *more_layers = agent.core.cells
    return (
        not more_layers
        and type(cell) is CELLS[type(agent.core)]
        and getattr(cell, "nonlinearity", "tanh") == "tanh"
        and cell.bias is not False
        and all(is_linear(head) for head in (agent.policy_head, agent.value_head))
        and are_plain(agent, agent.core, agent.policy_head, agent.value_head)
    )


def is_linear(head: nn.Module) -> bool:
    """Whether a head is one linear layer with a bias, perhaps with free parameters beside it."""
    layer = head.linear if type(head) is FreeHead else head
    return type(layer) is nn.Linear and layer.bias is not None


def is_written(torso: nn.Module) -> bool:
    """Whether a torso is linear layers, each behind tanh, or none: its backward pass is written out too."""
    if type(torso) not in (MLPTorso, nn.Sequential):
        return False
    layers, activations = list(torso)[::2], list(torso)[1::2]
    return (
        len(layers) == len(activations)
        and all(type(layer) is nn.Linear and layer.bias is not None for layer in layers)
        and all(type(activation) is nn.Tanh for activation in activations)
        and are_plain(torso, torso)
    )


def are_plain(owner: nn.Module, *modules: nn.Module) -> bool:
    """Whether modules have no hooks and no forward of their own, and torch's own parameters: all learnt, none shared.

    Args:
        owner: none of the parameters may be shared with another module of it.
        modules: the modules that are checked.
    """
    uses = Counter(id(parameter) for _, parameter in owner.named_parameters(remove_duplicate=False))
    inner = [one for module in modules for one in module.modules()]
    named = [pair for module in modules for pair in module.named_parameters(remove_duplicate=False)]
    return not any(
        m._forward_hooks or m._forward_pre_hooks or m._backward_hooks or "forward" in vars(m) for m in inner
    ) and all(
        name.rpartition(".")[2] in NAMES and p.requires_grad and not p._backward_hooks and uses[id(p)] == 1
        for name, p in named
    )
