"""Environments with actions of every kind, which complain of any that is not theirs. Spawned workers import this."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

ID, MASKED_ID = "tests.support.action_envs:Acts-v0", "tests.support.action_envs:Masks-v0"
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


class Masks(Acts):
    """The same with a mask that changes at every step; an action that it forbids is an error.

    The mask is an entry of the observation, or in the infos; there one of several numbers is a tuple of arrays, as
    Gymnasium has it. Where the episode has terminated it allows nothing.
    """

    def __init__(self, acts, where):
        super().__init__(acts)
        space, self._where = self.action_space, where
        self._counts = [3] if acts == "one" else np.ravel(space.nvec).tolist()
        if where == "entry":
            mask = Box(0, 1, (sum(self._counts),), dtype=np.int8)
            self.observation_space = Dict(observation=Acts.observation_space, action_mask=mask)

    def state_dict(self):
        return {"mask": self.mask}

    def load_state_dict(self, state):
        self.mask = state["mask"]

    def reset(self, *, seed=None, options=None):
        return self._with_mask(super().reset(seed=seed)[0])

    def step(self, action):
        for number, mask in zip(np.ravel(action - self.action_space.start), self.mask, strict=True):
            assert mask[number], f"{action} is not allowed by {self.mask}"
        observation, reward, terminated, truncated, _ = super().step(action)
        observation, info = self._with_mask(observation, terminated)
        return observation, reward, terminated, truncated, info

    def _with_mask(self, observation, over=False):
        self.mask = [np.zeros(count, np.int8) for count in self._counts]
        for mask in () if over else self.mask:
            mask[self.np_random.random(len(mask)) < 0.4] = 1
            mask[self.np_random.integers(len(mask))] = 1
        if self._where == "entry":
            return {"observation": observation, "action_mask": np.concatenate(self.mask)}, {}
        return observation, {"action_mask": tuple(self.mask) if len(self.mask) > 1 else self.mask[0]}


gymnasium.register("Acts-v0", Acts)
gymnasium.register("Masks-v0", Masks)
gymnasium.register("MaskedTable-v0", Masks, kwargs={"acts": "table", "where": "infos"})

SENSES = {"previous_action": True, "previous_reward": True, "frame_stack": 2}
CASES = {acts: {"env": ID, "env_arg": (f"acts={acts}",), **SENSES} for acts in SPACES}
for acts in ("numbers", "free"):
    of_default = CASES.pop(acts)
    for std, bounds in (("parameter", "clip"), ("head", "tanh"), ("parameter", "tanh"), ("head", "clip")):
        CASES[f"{acts} {std} {bounds}"] = {**of_default, "action_std": std, "action_bounds": bounds}
for acts, where in (("one", "infos"), ("several", "entry"), ("table", "infos"), ("one", "entry")):
    CASES[f"masked {acts} {where}"] = {"env": MASKED_ID, "env_arg": (f"acts={acts}", f"where={where}"), **SENSES}
FEW = ("bits", "numbers head tanh", "masked several entry")
