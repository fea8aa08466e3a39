"""The algorithm and the network."""

from dataclasses import dataclass
from typing import Literal

from rl.algorithms import ALGORITHMS


@dataclass(frozen=True)
class NetworkOptions:
    """The algorithm and the network."""

    algorithm: Literal[*ALGORITHMS] = "ppo"
    """ppo: actor-critic, several clipped updates from each segment. a2c: the same, one update from each. q_replay:
    double, duelling Q-learning from a replay buffer. Between a2c and it: a2c_replay, actor-critic from a buffer
    (V-trace); q_online, Q-learning from segments as they come."""
    core: str = "lstm"
    """The memory between torso and heads: rnn, gru or lstm; rtu or mingru, whose units recur each by itself; mlp has
    none; module:Class or path/file.py:Class names a core of yours."""
    hidden_size: int = 64
    """Units of each core layer."""
    core_layers: int = 1
    """Layers of the core, stacked."""
    torso: str = "auto"
    """What stands before the core: auto chooses by what is observed between mlp (vectors), conv (small images), nature
    (images of about 84 x 84) and grid (small grids of categories); module:Class or path/file.py:Class for a torso of
    yours."""
    torso_size: int = 64
    """Units of each linear layer of the torso."""
    torso_layers: int = 1
    """Linear layers of the torso named mlp, and of what joins several entries; 0 feeds vectors straight to the core."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Activation of the torso's linear layers, of the mlp core and of the value head's hidden layer."""
    initialisation: Literal["orthogonal", "torch"] = "orthogonal"
    """First weights: orthogonal matrices and zero biases (the LSTM's forget gate 1), or torch's own defaults."""
    value_hidden_size: int = 0
    """Units of a hidden layer in the value head; 0: none."""
    bounded_values: bool = False
    """Pass values through tanh, so that they lie between -1 and 1."""
    separate_critic: bool = False
    """Give the critic its own torso, core and core state, instead of sharing the policy's."""
    detach_critic: bool = False
    """Keep the critic's loss from moving torso and core: the value head reads a detached core output."""
    action_std: Literal["parameter", "head"] = "parameter"
    """Box actions: their standard deviation is a parameter, the same whatever is observed, or comes from the policy
    head."""
    action_std_init: float = 0.5
    """Box actions: their standard deviation at first, where an action's bounds are -1 and 1."""
    action_bounds: Literal["clip", "tanh"] = "clip"
    """Box actions: clip those outside their bounds, or squash all of them by tanh."""
    unroll: Literal["recorded", "again"] = "recorded"
    """recorded: learn from the activations of acting where there is a fast path (one rnn, gru or lstm layer, plain
    heads, segments of N steps). again: unroll the network again and learn by autograd, which defines the gradient."""
    carry_state: bool = True
    """Carry the core state across segments; --no-carry-state zeroes it at every segment (an ablation)."""
    carry_gradient: bool = False
    """Carry the gradient across segments, too: rtu and mingru learn exactly from what lies before the segment, at the
    price of a number for each environment and parameter. The torso's gradient still ends at the segment."""
    longest_memory: int = 64
    """Cores rtu and mingru: at first their units forget within 1 to this many steps."""
