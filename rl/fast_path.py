"""Which agents have a fast path, and which one."""

from torch import nn

from rl.agent import Agent
from rl.cores import GRUCore, LSTMCore
from rl.recorded import Recording
from rl.recorded_gru import GRURecording
from rl.recorded_lstm import LSTMRecording

RECORDINGS = {LSTMCore: LSTMRecording, GRUCore: GRURecording}


def can_record(agent: Agent) -> bool:
    """Whether there is a fast path: one LSTM or GRU layer behind linear layers with tanh; anything else is unrolled."""
    if type(agent) is not Agent:
        return False  # it may step in its own way
    torso = agent.torso
    plain_torso = isinstance(torso, nn.Sequential) and all(
        isinstance(part, nn.Linear if place % 2 == 0 else nn.Tanh) for place, part in enumerate(torso)
    )
    return plain_torso and len(torso) % 2 == 0 and type(agent.core) in RECORDINGS and len(agent.core.cells) == 1


def make_recording(agent: Agent, steps: int, batch: int) -> Recording:
    """The recording for an agent's core, of segments of `steps` steps of `batch` environments."""
    return RECORDINGS[type(agent.core)](agent, steps, batch)
