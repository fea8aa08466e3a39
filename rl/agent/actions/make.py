"""The distribution over the actions of a space."""

import gymnasium
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

from rl.agent.actions.bernoullis import Bernoullis
from rl.agent.actions.categorical import Categorical
from rl.agent.actions.categoricals import Categoricals
from rl.agent.actions.distribution import Actions
from rl.agent.actions.gaussian import Gaussian
from rl.config import Config
from rl.config_rules import option

OF_BOX = ("action_std", "action_std_init", "action_bounds")
SUPPORTED = "Discrete, MultiDiscrete, MultiBinary, Box of floating-point numbers"


def make_actions(space: gymnasium.Space, config: Config) -> Actions:
    """The distribution over the actions of a space.

    Raises:
        ValueError: there is none for such a space, the algorithm needs another one, or an option is not read with it.
    """
    words = " ".join(str(space).split())
    if config.has_q_values and not isinstance(space, Discrete):
        raise ValueError(
            f"--algorithm {config.algorithm}: it learns the value of each of n actions, so Discrete actions are "
            f"needed, not {words}; ppo and a2c take them"
        )
    given = [name for name in OF_BOX if getattr(config, name) != getattr(Config, name)]
    if given and not isinstance(space, Box):
        raise ValueError(
            f"{option(given[0])} {getattr(config, given[0])}: it is read where actions are numbers (Box), and they are "
            f"{words}; leave it out"
        )
    match space:
        case Discrete():
            return Categorical(int(space.n))
        case MultiDiscrete():
            return Categoricals(space.nvec)
        case MultiBinary():
            return Bernoullis(tuple(space.shape))
        case Box() if space.dtype.kind == "f":
            return Gaussian(space, config.action_std, config.action_std_init, config.action_bounds)
    raise ValueError(f"an action space of {words}; supported: {SUPPORTED}")
