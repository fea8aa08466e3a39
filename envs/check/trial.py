"""An environment is played by random actions, and every kind of thing is noted in which it breaks its contract."""

import contextlib
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from envs.check.actions import RandomActions
from envs.vector.calls import ANSWERS, broken_call
from envs.vector.contract import check_flags, check_rewards, not_in, reward_number, why_not
from envs.vector.messages import BrokenContract, in_short, one_line

STEPS, SECONDS = 3_000, 2.0  # most of a trial


class Trial(NamedTuple):
    """What was seen of an environment that random actions played."""

    broken: dict[str, str]  # a line for each kind of breach
    observations: list[np.ndarray]  # [feature] each, where they have one axis
    returns: list[float]  # of the episodes that ended
    lengths: list[int]
    steps: int
    longest: int  # steps of the longest episode, which need not have ended


class Breaches(dict[str, str]):
    """The first line of each kind of breach."""

    def note(self, kind: str, line: object) -> None:
        """Keep a line, if it is the first of its kind."""
        self.setdefault(kind, one_line(line))

    @contextlib.contextmanager
    def noted(self, kind: str) -> Iterator[None]:
        """Note a broken contract in the place of raising it."""
        try:
            yield
        except BrokenContract as broken:
            self.note(kind, broken)


class Stopped(Exception):
    """The environment raised something, so that nothing more can be tried."""


def try_single(env: gymnasium.Env, name: str, seed: int, limit: int | None) -> Trial:
    """Play a single environment without checks and without a time limit of Gymnasium's.

    Args:
        env: played and left open.
        name: what messages call it.
        seed: seeds the first episode and the actions.
        limit: steps after which an episode is cut.
    """
    breaches, observations, returns, lengths = Breaches(), [], [], []
    steps = length = longest = 0
    total, began = 0.0, time.monotonic()
    env.action_space.seed(seed)
    actions = RandomActions(env, name)

    def keep(observation: Any) -> None:
        if isinstance(env.observation_space, Box) and not why_not(env.observation_space, observation):
            array = np.array(observation, dtype=np.float64)  # a copy: the environment may write into it again
            if array.ndim == 1:
                observations.append(array)

    try:
        keep(_reset(env, name, breaches, actions, seed=seed, options={}))
        while steps < STEPS and time.monotonic() - began < SECONDS:
            observation, reward, ended = _step(env, name, breaches, actions)
            keep(observation)
            steps, length, total = steps + 1, length + 1, total + reward
            longest = max(longest, length)
            if ended or length == limit:
                returns.append(total)
                lengths.append(length)
                length, total = 0, 0.0
                keep(_reset(env, name, breaches, actions))
    except Stopped:
        pass
    return Trial(breaches, observations, returns, lengths, steps, longest)


def where(error: BaseException) -> str:
    """Return what an error says, with the file and line that raised it."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {one_line(error)} ({Path(frame.filename).name}, line {frame.lineno})"


def _call(env: gymnasium.Env, name: str, breaches: Breaches, call: str, *arguments: Any, **named: Any) -> Any:
    try:
        return getattr(env, call)(*arguments, **named)
    except (Exception, SystemExit) as error:
        broken = broken_call(name, call, error) if isinstance(error, Exception) else None
        if broken and named and "keyword" in str(broken):
            breaches.note(f"{call} keywords", broken)
            return _call(env.unwrapped, name, breaches, call, *arguments)
        breaches.note(f"{call} raises", broken or f"{name}: {call} raised {where(error)}")
        raise Stopped from None


def _reset(env: gymnasium.Env, name: str, breaches: Breaches, actions: RandomActions, **named: Any) -> Any:
    answer = _call(env, name, breaches, "reset", **named)
    if not isinstance(answer, tuple) or len(answer) != 2:
        breaches.note("reset answers", f"{name}: reset gave {in_short(answer)}; {ANSWERS['reset']}")
        answer = answer, {}
    with breaches.noted("mask"):
        actions.see(*answer, "reset")
    return _checked(env, name, breaches, "reset", *answer)


def _step(env: gymnasium.Env, name: str, breaches: Breaches, actions: RandomActions) -> tuple[Any, float, bool]:
    answer = _call(env, name, breaches, "step", actions.draw())
    if not isinstance(answer, tuple) or len(answer) != 5:
        old = isinstance(answer, tuple) and len(answer) == 4
        count = f"{len(answer)} values, {in_short(answer)}" if isinstance(answer, tuple) else in_short(answer)
        breaches.note("step answers", f"{name}: step gave {count}; {ANSWERS['step']}")
        if not old:
            raise Stopped
        answer = (*answer[:3], False, answer[3])
    observation, reward, terminated, truncated, info = answer
    _checked(env, name, breaches, "step", observation, info)
    with breaches.noted("mask"):
        actions.see(observation, info, "step", bool(np.any(terminated) or np.any(truncated)))
    number = 0.0
    with breaches.noted("reward"):
        number = float(reward_number(name, reward))
        check_rewards(name, np.array([number]))
    for kind, flags in (("terminated", (terminated, False)), ("truncated", (False, truncated))):
        with breaches.noted(kind):
            check_flags(name, *flags)
    return observation, number, bool(np.any(terminated) or np.any(truncated))


def _checked(env: gymnasium.Env, name: str, breaches: Breaches, call: str, observation: Any, info: Any) -> Any:
    if reason := why_not(env.observation_space, observation):
        breaches.note(f"{call} observation", not_in(name, call, observation, env.observation_space, reason))
    if not isinstance(info, dict):
        breaches.note(f"{call} info", f"{name}: {call} gave the info {in_short(info)}; a dict is needed")
    return observation
