"""Small environments that show several things at once, or images. Spawned workers import this file."""

from collections import OrderedDict

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple
from gymnasium.vector import AutoresetMode, SyncVectorEnv

ID = "tests.support.entry_envs:Shows-v0"
CAMERA = Box(0, 255, (5, 5, 3), dtype=np.uint8)
ARM = Box(-1, 1, (3,), dtype=np.float32)


class Words(gymnasium.Space):
    """A space of a class of its own, as MiniGrid's missions are."""

    def sample(self, mask=None, probability=None):
        return "go"

    def contains(self, x):
        return isinstance(x, str)


SHOWS = {
    "floats": Dict(arm=ARM, goal=Box(0, 9, (), dtype=np.float64), way=Discrete(3, start=2)),
    "bytes": Dict(camera=CAMERA, map=Box(0, 9, (3, 3), dtype=np.uint8), seen=Box(0, 1, (2, 2), dtype=np.bool_)),
    "mixed": Dict(arm=ARM, camera=CAMERA, words=Text(4)),
    "minigrid": Dict(direction=Discrete(4), image=Box(0, 255, (7, 7, 3), dtype=np.uint8), mission=Words()),
    "tuple": Tuple((Discrete(3), CAMERA, MultiBinary(3))),
    "nested": Dict(
        robot=Dict(arm=ARM, eyes=Tuple((CAMERA, CAMERA))), goal=MultiDiscrete([2, 3]), table=Box(-9, 9, (2, 3))
    ),
    "one": Dict(camera=CAMERA, words=Text(4)),
    "bits": MultiBinary((2, 3)),
    "masked": Dict(OrderedDict(action_mask=Box(0, 1, (2,), dtype=np.int8), observation=ARM)),
    "vector": ARM,
    "scalar": Box(-1, 1, (), dtype=np.float32),
    "table": Box(-1, 1, (2, 3), dtype=np.float32),
    "image": Box(0, 255, (12, 12, 3), dtype=np.uint8),
    "grid": Box(0, 10, (5, 5, 3), dtype=np.uint8),
    "picture": Box(0, 255, (20, 20, 3), dtype=np.uint8),
}


class Shows(gymnasium.Env):
    """Shows random things of a space, in arrays that it writes again at every step if `reuses`.

    Action 1 earns 1 more than action 0; episodes end by chance, in every way. With `masks` its infos say which of the
    two actions is allowed, and it complains of the other one.
    """

    metadata = {"render_modes": []}  # noqa: RUF012
    action_space = Discrete(2)

    def __init__(self, shows, masks=False, reuses=True):
        self.observation_space = SHOWS[shows] if isinstance(shows, str) else shows
        self.masks, self._reuses, self._old = masks, reuses, {}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._observe()

    def state_dict(self):
        return {"allowed": self.allowed}

    def load_state_dict(self, state):
        self.allowed = state["allowed"]

    def step(self, action):
        assert self.allowed is None or self.allowed[action], "this action is not allowed"
        terminated, truncated = self.np_random.random(2) < 0.1
        observation, info = self._observe(bool(terminated))
        reward = float(action) + float(self.np_random.integers(3))
        return observation, reward, bool(terminated), bool(truncated), info

    def _observe(self, over=False):
        observation, self.allowed = self._draw(self.observation_space, ()), None
        if self.masks:
            self.allowed = (
                np.zeros(2, np.int8) if over else self._draw(SHOWS["masked"]["action_mask"], ("action_mask",))
            )
        elif isinstance(self.observation_space, Dict) and "action_mask" in self.observation_space.spaces:
            self.allowed = observation["action_mask"]
        return observation, {"action_mask": self.allowed} if self.masks else {}

    def _draw(self, space, path):
        """Random numbers of a space, by the environment's own generator."""
        draw = self.np_random
        if isinstance(space, Dict):
            return {key: self._draw(one, (*path, key)) for key, one in space.spaces.items()}
        if isinstance(space, Tuple):
            return tuple(self._draw(one, (*path, key)) for key, one in enumerate(space.spaces))
        if isinstance(space, Discrete):
            return int(draw.integers(space.start, space.start + space.n))
        if isinstance(space, Text | Words):
            return "ab"
        if path[-1:] == ("action_mask",):
            return np.array([[1, 1], [0, 1], [1, 0]], np.int8)[draw.integers(3)]
        if isinstance(space, MultiDiscrete):
            numbers = draw.integers(space.nvec)
        elif isinstance(space, MultiBinary):
            numbers = draw.integers(2, size=space.shape)
        else:
            numbers = np.asarray(draw.uniform(space.low, space.high))
            if numbers.ndim == 3 and draw.random() < 0.5:  # half of the images are dark on one side
                numbers[:, : len(numbers) // 2] = 0
            numbers = numbers.astype(space.dtype)
        if not self._reuses:
            return np.asarray(numbers, space.dtype)
        old = self._old.setdefault(path, np.zeros(space.shape, space.dtype))
        old[...] = numbers
        return old


class VectorShows(SyncVectorEnv):
    """A foreign vector form whose observations are batches of the space, in arrays that it writes again."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(self, num_envs, shows, masks=False):
        make = lambda: Shows(shows, masks, reuses=False)  # noqa: E731
        super().__init__([make] * num_envs, copy=False, autoreset_mode=AutoresetMode.SAME_STEP)


gymnasium.register("Shows-v0", Shows)
gymnasium.register("ShowsMixed-v0", Shows, kwargs={"shows": "mixed"})
gymnasium.register("VectorShows-v0", Shows, vector_entry_point=VectorShows)

SENSES = {"previous_action": True, "previous_reward": True, "frame_stack": 2}
CASES = {f"shows {shows}": {"env": ID, "env_arg": (f"shows={shows}",), **SENSES} for shows in SHOWS}
CASES |= {
    f"masks and {shows}": {**CASES[f"shows {shows}"], "env_arg": (f"shows={shows}", "masks=True")}
    for shows in ("image", "tuple")
}
CASES["shows some of nested"] = {**CASES["shows nested"], "observe": "robot.arm,table"}
CASES["shows a picture alone"] = {"env": ID, "env_arg": ("shows=picture",)}
FEW = ("shows mixed", "shows picture")
