"""An environment that shows where it is in many ways, and whose actions begin at -1."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete


class Maze(gymnasium.Env):
    """Ten rooms in a row, the first one number 5; actions -1, 0 and 1. It shows its room in the way of `shows`."""

    ID = "Maze-v0"
    metadata = {"render_modes": []}  # noqa: RUF012
    action_space = Discrete(3, start=-1, dtype=np.int32)
    SPACES = {  # noqa: RUF012
        "number": Discrete(10, start=5),
        "digits": MultiDiscrete([2, 10], start=[0, 5]),
        "numbers": Box(-1, 20, (2,), dtype=np.float64),
        "scalar": Box(5, 14, (1,), dtype=np.int64),
    }

    def __init__(self, shows):
        self.shows, self.observation_space = shows, self.SPACES[shows]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.room, self.steps = int(self.np_random.integers(5, 15)), 0
        return self._observe(), {}

    def step(self, action):
        assert action in self.action_space and getattr(action, "dtype", np.int32) == np.int32
        self.steps += 1
        self.room = min(14, max(5, self.room + int(action) + int(self.np_random.integers(-1, 2))))
        return self._observe(), float(self.room), self.steps == 9, False, {}

    def _observe(self):
        room = self.room
        return {
            "number": room,
            "digits": np.array([room % 2, room]),
            "numbers": np.array([room / 3, self.steps]),
            "scalar": np.array([room]),
        }[self.shows]


gymnasium.register(Maze.ID, Maze)
