"""What all peers share: the task, the rule by which it is solved, and the record of a run.

Each peer's own interpreter imports this module, and so does ours: it imports only the standard library at its top. A
record is JSON lines, each with `what`: "start" (packages and their versions, settings, seconds of start-up), "progress"
(env steps, seconds, returns of the episodes that ended since the line before), "attempt" (a crossing of the threshold
and its confirmation) and "end". Seconds are of training: imports, compilation and the start of processes do not count,
and confirmations do not count if training waits for them.
"""

import argparse
import json
import time
from collections import deque
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

THRESHOLD = 475.0
CONFIRMATION_EPISODES = 100


class SolvedRule:
    """Whether the mean return of the last max(100, 2 · environments) training episodes reaches the threshold."""

    def __init__(self, environments: int) -> None:
        self.window: deque[float] = deque(maxlen=max(100, 2 * environments))

    @property
    def mean(self) -> float | None:
        """The mean return of the window, None until it is full."""
        full = len(self.window) == self.window.maxlen
        return sum(self.window) / len(self.window) if full else None

    def add(self, episode_return: float) -> bool:
        """Add an episode; return whether the window's mean reaches the threshold."""
        self.window.append(float(episode_return))
        return self.mean is not None and self.mean >= THRESHOLD

    def forget(self) -> None:
        """Empty the window, after a crossing that fresh episodes did not confirm."""
        self.window.clear()


class Measurement:
    """The record of a peer's run, and whether the run has solved the task or its time is over."""

    def __init__(self, options: argparse.Namespace, environments: int, packages: Iterable[str], settings: str) -> None:
        self.options, self.rule = options, SolvedRule(environments)
        self.settings, self.packages = settings, packages
        self.record = open(options.record, "w", buffering=1, encoding="utf-8")  # noqa: SIM115  closed by `end`
        self.began: float | None = None
        self.env_steps, self.returns, self.best_mean = 0, [], 0.0
        self.paused = self.noted_at = self.written_at = 0.0
        self.crossing: dict[str, float] | None = None  # of the threshold; it waits for its confirmation
        self.solved = False

    def start(self) -> None:
        """Start the clock of training; everything before was start-up."""
        self.began = time.perf_counter()
        versions = {package: version(package).partition("+")[0] for package in self.packages}
        self.write("start", versions=versions, settings=self.settings, startup_seconds=time.time() - self.options.began)

    @property
    def seconds(self) -> float:
        """Seconds of training."""
        return time.perf_counter() - self.began - self.paused

    @property
    def over(self) -> bool:
        """Whether the run should end: solved, or out of time."""
        return self.solved or self.seconds >= self.options.seconds

    def episodes(self, returns: Iterable[float], env_steps: int) -> bool:
        """Add episodes that ended up to `env_steps`, oldest first; return whether they crossed the threshold."""
        crossed = False
        for episode_return in returns:
            self.returns.append(round(float(episode_return), 3))
            crossed = self.rule.add(episode_return) or crossed
            self.best_mean = max(self.best_mean, self.rule.mean or 0.0)
        self.progress(env_steps)
        if crossed and self.crossing is None:
            self.crossing = {"env_steps": env_steps, "seconds": self.noted_at}
        return crossed and not self.solved

    def progress(self, env_steps: int) -> None:
        """Record how far training is, a few times a second."""
        self.env_steps, self.noted_at = env_steps, self.seconds
        if self.noted_at - self.written_at >= 0.25:
            self.write_progress()

    def write_progress(self) -> None:
        """Write a line with the episodes since the last one."""
        self.written_at = self.noted_at
        self.write("progress", env_steps=self.env_steps, seconds=self.noted_at, returns=self.returns)
        self.returns = []

    def confirm(self, play: Callable[[], list[float]], parameters: str = "of the crossing", pause: bool = True) -> None:
        """Judge a crossing by fresh episodes with sampled actions.

        Args:
            play: plays the episodes.
            parameters: which parameters play; a peer that cannot freeze them at the crossing uses a later checkpoint.
            pause: whether training waits, and the clock with it.
        """
        self.write_progress()
        began = time.perf_counter()
        returns = play()
        if pause:
            self.paused += time.perf_counter() - began
        mean = sum(returns) / len(returns)
        self.solved = mean >= THRESHOLD
        self.write("attempt", **self.crossing, confirmation=mean, confirmed=self.solved, parameters=parameters)
        self.rule.forget()
        self.crossing = None

    def end(self) -> None:
        """Write the last lines of the record."""
        self.write_progress()
        self.write("end", env_steps=self.env_steps, seconds=self.noted_at, best_mean=self.best_mean)
        self.record.close()

    def write(self, what: str, **values: Any) -> None:
        """Write a line of the record."""
        self.record.write(json.dumps({"what": what, **values}, ensure_ascii=False) + "\n")


def options() -> argparse.Namespace:
    """Parse a peer's command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--record", type=Path, required=True, help="file of the record; its folder is the peer's own")
    parser.add_argument("--seconds", type=float, default=60.0, help="seconds of training at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--began", type=float, default=time.time(), help="when its process was started, in Unix time")
    return parser.parse_args()


def make_environment() -> Any:
    """Make a CartPole-v1 that shows only cart position and pole angle."""
    import gymnasium
    import numpy as np

    class MaskVelocity(gymnasium.ObservationWrapper):
        def __init__(self, env: gymnasium.Env) -> None:
            super().__init__(env)
            low, high = env.observation_space.low[[0, 2]], env.observation_space.high[[0, 2]]
            self.observation_space = gymnasium.spaces.Box(low, high, dtype=np.float32)

        def observation(self, observation: np.ndarray) -> np.ndarray:
            return observation[[0, 2]].astype(np.float32)

    return MaskVelocity(gymnasium.make("CartPole-v1"))


def fresh_returns(act: Callable[[Any, Any], tuple[Any, Any]], seed: int) -> list[float]:
    """Play fresh episodes side by side, and return their returns.

    Args:
        act: (observations [batch, feature], state or None at the first step) -> actions [batch], state.
        seed: seed of the run.
    """
    import numpy as np

    environments = [make_environment() for _ in range(CONFIRMATION_EPISODES)]
    first = 1_000_000 * (seed + 1)  # training seeds are small numbers
    observations = np.stack([one.reset(seed=first + index)[0] for index, one in enumerate(environments)])
    returns, running, state = np.zeros(len(environments)), np.ones(len(environments), dtype=bool), None
    while running.any():
        actions, state = act(observations, state)
        for index in np.flatnonzero(running):
            step = environments[index].step(int(actions[index]))
            observations[index] = step[0]
            returns[index] += step[1]
            running[index] = not (step[2] or step[3])
    return returns.tolist()
