"""A run's environment is tried out before anything starts or is written: one reset, some random steps, one close.

An environment that says of itself that it is exact (`metadata["exact"]`) is not, so that the default starts no later.
"""

import contextlib
import time
import traceback
from pathlib import Path
from typing import Any

import gymnasium
import torch

from rl.acting.randomness import ActionNoise, environment_seeds, evaluation_key
from rl.agent.actions.make import make_actions
from rl.agent.actions.mask import mask_of
from rl.config import Config
from rl.record.messages import in_short

NUMBER = 2**26  # of the tried environment: no other one has its random numbers
FEWEST, FEW = 8, 50  # steps: at least, and to see an episode end that a time limit ends anyway
MANY = 1_000  # steps within which an episode without a time limit should end
SECONDS = 0.5  # no further step after so long
TELLING = 100  # steps: an episode that did not end within fewer says nothing


def try_out(config: Config, environments: gymnasium.vector.VectorEnv) -> tuple[str, ...]:
    """Play in one environment, which is closed then; returns lines for the user about what may surprise.

    Raises:
        ValueError: one line about what does not work.
    """
    notes = tuple(environments.metadata.get("notes", ()))
    if environments.metadata.get("exact"):
        call(config, "close", environments.close)
        return notes
    limit = time_limit(config, environments)
    try:
        steps, ended = play(config, environments, FEW if limit else MANY)
        tell = getattr(environments, "state_dict", None)
        if tell:
            call(config, "state_dict", tell)
    except ValueError:
        with contextlib.suppress(Exception):
            environments.close()
        raise
    call(config, "close", environments.close)
    if not ended and not limit and steps >= TELLING:
        notes += (
            f"{config.env} has no time limit, and an episode of {steps} random steps did not end: "
            "--env-arg max_episode_steps=N sets one; evaluations cut an episode after "
            f"{config.eval_max_steps} steps (--eval-max-steps)",
        )
    return notes


def time_limit(config: Config, environments: gymnasium.vector.VectorEnv) -> int | None:
    """Steps after which an episode is truncated, as far as config, registry or environment say so."""
    registered = environments.spec.max_episode_steps if environments.spec else None
    limit = config.env_args.get("max_episode_steps", registered)
    return environments.metadata.get("max_episode_steps") if limit in (None, -1) else limit


def play(config: Config, environments: gymnasium.vector.VectorEnv, most: int) -> tuple[int, bool]:
    """Take random actions until an episode has ended, for `most` steps at most; returns the steps, and if one ended."""
    [seed] = environment_seeds(config.seed, evaluation_key(), range(NUMBER, NUMBER + 1))
    environments.action_space.seed(seed % 2**31)
    seen, _ = call(config, "reset", environments.reset, seed=[seed])
    actions = make_actions(environments.single_action_space, config)
    mask = mask_of(environments.single_observation_space, actions)
    noise = ActionNoise(config.seed, evaluation_key(), range(NUMBER, NUMBER + 1))
    began, ended, steps = time.monotonic(), False, 0
    while steps < FEWEST or (not ended and steps < most):
        random = environments.action_space.sample()
        if mask is not None:  # one that is allowed
            logits = mask.masked(torch.zeros(1, actions.head_size), torch.from_numpy(seen))
            random = actions.sample(logits, torch.from_numpy(noise.draw(1, actions)[0])).numpy()
        answer = call(config, "step", environments.step, random)
        seen, ended, steps = answer[0], ended or bool(answer[2].any() or answer[3].any()), steps + 1
        if time.monotonic() - began > SECONDS:
            break
    return steps, ended


def call(config: Config, name: str, method: Any, *arguments: Any, **named: Any) -> Any:
    """Call a method of the environment.

    Raises:
        ValueError: one line that names the environment and what the method raised.
    """
    try:
        return method(*arguments, **named)
    except (Exception, SystemExit) as error:
        if getattr(error, "in_one_line", False):
            raise ValueError(f"--env {config.env}: {str(error).removeprefix(f'{config.env_id}: ')}") from error
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}, line {frame.lineno}"
        raise ValueError(f"--env {config.env}: its {name} raised {in_short(error)} ({where})") from error
