"""An environment with actions of every kind, which complains of any that is not its own. Spawned workers import it."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Tuple

ID = "tests.support.action_envs:Acts-v0"
LOW, HIGH = np.array([-2.0, 0.1]), np.array([4.0, 0.7])  # float32 rounds 0.1 up and 0.7 down
SPACES = {
    "one": Discrete(3, start=-1),
    "several": MultiDiscrete([2, 3], start=[0, 5]),
    "table": MultiDiscrete([[2, 3], [3, 2]], dtype=np.int32),
    "bits": MultiBinary(3),
    "table of bits": MultiBinary((2, 2)),
    "numbers": Box(LOW, HIGH, dtype=np.float64),
    "number": Box(-1, 3, (), dtype=np.float32),
    "free": Box(-np.inf, np.inf, (1, 2), dtype=np.float32),
}
PAIR = Tuple((Discrete(2), MultiBinary(2)))  # of no use to an agent


class Acts(gymnasium.Env):
    """Observes two random numbers, both moved by the last action, and earns a number that depends on it too.

    It terminates with probability 0.15, is truncated with 0.15, both at once with 0.05 of each. It changes the array of
    an action that it was given, as a careless environment may.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own convention)
    observation_space = Box(-np.inf, np.inf, (2,))

    def __init__(self, acts):
        self.action_space = SPACES.get(acts, PAIR)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._observe(0.0), {}

    def step(self, action):
        kind = int if isinstance(self.action_space, Discrete) else np.ndarray
        assert isinstance(action, (kind, self.action_space.dtype.type)) and action in self.action_space, action
        if kind is np.ndarray:
            assert action.dtype == self.action_space.dtype
        number = float(np.dot(np.ravel(action), np.arange(1, np.size(action) + 1)))
        if isinstance(action, np.ndarray):
            action[...] = 7
        throw, reward = self.np_random.random(), int(self.np_random.integers(10))
        return self._observe(number), reward + 0.1 * number, throw < 0.15, 0.1 < throw < 0.25, {}

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass

    def _observe(self, number):
        return (self.np_random.random(2) - 0.3 * np.array([number, np.sin(number)])).astype(np.float32)


gymnasium.register("Acts-v0", Acts)
