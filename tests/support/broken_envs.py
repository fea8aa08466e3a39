"""Environments that break their contract on purpose. Spawned workers import this file.

`broken_envs:Broken-v0` keeps it for `at` steps of its life and then does what `how` names.
"""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from envs.vector.columns import ColumnsVectorEnv

SPACES = {
    "box": Box(-1, 1, (2,), np.float32),
    "whole": Box(0, 10, (2,), np.int64),
    "discrete": Discrete(4),
    "multi": MultiDiscrete([2, 3]),
    "image": Box(0, 200, (2, 2), np.uint8),
    "picture": Box(0, 1, (80, 80), np.float32),
}
GOOD = {
    "box": np.array([0.5, -0.5], np.float32),
    "whole": np.array([1, 2]),
    "discrete": 2,
    "multi": np.array([1, 2]),
    "image": np.full((2, 2), 7, np.uint8),
    "picture": np.zeros((80, 80), np.float32),
}


class Broken(gymnasium.Env):
    metadata = {"render_modes": []}  # noqa: RUF012
    action_space = Discrete(2)

    def __init__(self, how="", value=None, space="box", at=0, length=5):
        self.observation_space, self.good = SPACES[space], GOOD[space]
        self.how, self.value, self.at, self.length, self.life = how, value, at, length, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        if self.how == "reset without info":
            return self.good
        if self.how == "first observation":
            return self.value, {}
        return self.good, {}

    def step(self, action):
        self.steps, self.life = self.steps + 1, self.life + 1
        observation, reward, terminated = self.good, 1.0, self.steps >= self.length
        if self.life > self.at:
            if self.how == "observation":
                observation = self.value
            if self.how == "final observation" and terminated:
                observation = self.value
            if self.how == "reward":
                reward = self.value
            if self.how == "terminated":
                terminated = self.value
            if self.how == "raises":
                raise RuntimeError("the rope tore")
            if self.how == "four values":
                return observation, reward, terminated, {}
            if self.how == "info":
                return observation, reward, terminated, False, None
        return observation, reward, terminated, False, {}

    def close(self):
        if self.how == "close":
            raise RuntimeError("the door is stuck")


class Seedless(Broken):
    def reset(self):
        return super().reset()


class Choosy(Broken):
    def reset(self, *, seed=None, options=None):
        if seed is not None and seed > 100:
            raise ValueError("no seed above 100")
        return super().reset(seed=seed)


class OldGenerator(Broken):
    def reset(self, *, seed=None, options=None):
        _, info = super().reset(seed=seed)
        return np.random.RandomState(seed).uniform(-1, 1, 2).astype(np.float32), info


class BrokenColumns(ColumnsVectorEnv):
    """Somebody's vector form: observes the row number over ten, and breaks its contract at step `at`."""

    def __init__(self, num_envs=1, how="", at=0):
        super().__init__(num_envs, Box(0, 1, (1,), np.float32), Discrete(2))
        self.how, self.at = how, at
        self.steps = np.zeros(num_envs, np.int64)

    def _start_episodes(self, columns):
        self.steps[columns] = 0

    def _observe(self):
        seen = (self.steps / 10).astype(np.float64 if self.how == "dtype" else np.float32)[:, None]
        return seen * np.nan if self.how == "observation" and self.steps[0] >= self.at else seen

    def _advance(self, actions):
        self.steps += 1
        rewards = np.full(self.num_envs, np.nan if self.how == "reward" and self.steps[0] >= self.at else 1.0)
        return rewards, self.steps >= 10, np.zeros(self.num_envs, bool)


class Endless(Broken):
    """No episode of it ends by itself."""

    def __init__(self):
        super().__init__(length=10**9)


class Precise(Broken):
    """Observes in float64."""

    def __init__(self):
        super().__init__()
        self.observation_space = Box(-1, 1, (2,), np.float64)


class Stateful(gymnasium.Env):
    """A walk that its own np_random pushes; it tells where it stands, in an array and a NumPy scalar."""

    metadata = {"render_modes": []}  # noqa: RUF012
    observation_space = Box(-np.inf, np.inf, (2,), np.float32)
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.speed = self.np_random.normal(size=2), np.float32(0.5)
        return self.place.astype(np.float32), {}

    def step(self, action):
        self.speed = np.float32(self.speed * 0.9 + action)
        self.place = self.place * 0.9 + self.np_random.normal(size=2) + self.speed * 0.01
        return self.place.astype(np.float32), float(self.place[0]), bool(self.np_random.random() < 0.05), False, {}

    def state_dict(self):
        return {"place": self.place, "speed": self.speed}

    def load_state_dict(self, state):
        self.place, self.speed = state["place"], state["speed"]


class Counted(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    """Adds the number of steps of its life to the reward."""

    def __init__(self, env):
        gymnasium.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)
        self.count = 0

    def step(self, action):
        self.count += 1
        observation, reward, *rest = self.env.step(action)
        return observation, reward + self.count, *rest


class CountedAndTold(Counted):
    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


gymnasium.register("Broken-v0", Broken, max_episode_steps=100)
gymnasium.register("Untimed-v0", Broken)
gymnasium.register("Seedless-v0", Seedless, max_episode_steps=100)
gymnasium.register("Choosy-v0", Choosy, max_episode_steps=100)
gymnasium.register("OldGenerator-v0", OldGenerator, max_episode_steps=100)
gymnasium.register("BrokenColumns-v0", vector_entry_point=BrokenColumns)
gymnasium.register("Endless-v0", Endless)
gymnasium.register("Precise-v0", Precise, max_episode_steps=100)
gymnasium.register("Stateful-v0", Stateful, max_episode_steps=30)
for name, wrapper in (("StatefulCounted-v0", Counted), ("StatefulCountedAndTold-v0", CountedAndTold)):
    gymnasium.register(name, Stateful, max_episode_steps=30, additional_wrappers=(wrapper.wrapper_spec(),))
gymnasium.register(
    "StatefulClipped-v0",
    Stateful,
    max_episode_steps=30,
    additional_wrappers=(gymnasium.wrappers.ClipReward.wrapper_spec(min_reward=-1.0, max_reward=1.0),),
)


class Wreck(gymnasium.Env):
    """Breaks its contract in every way at once."""

    metadata = {"render_modes": []}  # noqa: RUF012
    observation_space, action_space = SPACES["box"], Discrete(2)

    def reset(self, seed=None):
        self.steps = 0
        return np.zeros(3)

    def step(self, action):
        self.steps += 1
        return np.full(2, 7.0), "much", int(self.steps == 5), {}

    def close(self):
        raise RuntimeError("the door is stuck")


class Forgetful(Broken):
    """Draws from NumPy's global generator."""

    def reset(self, *, seed=None, options=None):
        _, info = super().reset(seed=seed)
        return np.random.uniform(-1, 1, 2).astype(np.float32), info


gymnasium.register("Wreck-v0", Wreck)
gymnasium.register("Forgetful-v0", Forgetful, max_episode_steps=100)


class Foreign(SyncVectorEnv):
    """A vector form of somebody else that resets in the same step, and may break its contract."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(self, num_envs, how=""):
        super().__init__([Broken] * num_envs, autoreset_mode=AutoresetMode.SAME_STEP)
        self.how = how

    def step(self, actions):
        observations, rewards, terminated, truncated, infos = super().step(actions)
        if self.how == "no final_obs":
            infos = {}
        if self.how == "a shape":
            observations = observations[:, :1]
        if self.how == "rewards":
            rewards = rewards[:1]
        if self.how == "flags":
            terminated = terminated.astype(int)
        if self.how == "bounds":
            observations = observations + 9
        return observations, rewards, terminated, truncated, infos


class Forgotten(BrokenColumns):
    """Keeps the number of its steps in an int, of which its state knows nothing."""

    def __init__(self, num_envs=1):
        super().__init__(num_envs)
        self.total = 0

    def _advance(self, actions):
        self.total += 1
        return super()._advance(actions)


gymnasium.register("Foreign-v0", vector_entry_point=Foreign)
gymnasium.register("Forgotten-v0", vector_entry_point=Forgotten)
