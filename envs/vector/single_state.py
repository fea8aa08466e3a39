"""The state of a single environment, told through the wrappers around it.

An environment tells its state if it has `state_dict` and `load_state_dict`. Its `np_random` is saved with it. Of the
wrappers around it, Gymnasium's time limit is known here, and others may tell theirs in the same way. A wrapper that
does not is taken to have none as long as its attributes are those that it was made with. One whose attributes have
changed hides a state, and then nobody can tell where the whole stands.
"""

from collections.abc import Iterator
from typing import Any

import gymnasium
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from envs.vector.state import frozen, packed, unpacked

CHANGE_NOTHING = (OrderEnforcing, PassiveEnvChecker)  # they remember only what they have checked


def wrappers_of(env: gymnasium.Env) -> Iterator[gymnasium.Wrapper]:
    """Return the wrappers around an environment, outermost first."""
    while isinstance(env, gymnasium.Wrapper):
        yield env
        env = env.env


def tells_state(layer: gymnasium.Env) -> bool:
    """Return whether an environment, or a wrapper by itself, can tell its state and continue from it."""
    return all(callable(getattr(layer, name, None)) for name in ("state_dict", "load_state_dict"))


def attributes_of(env: gymnasium.Env) -> list[Any]:
    """Return what the attributes of each wrapper are now; compared later, it tells whether they have changed.

    It is made where somebody will ask only: around an environment that tells its state.
    """
    wrappers = list(wrappers_of(env)) if tells_state(env.unwrapped) else []
    return [None if _is_known(wrapper) else _own(wrapper) for wrapper in wrappers]


def hiding_wrapper(env: gymnasium.Env, attributes: list[Any]) -> gymnasium.Wrapper | None:
    """Return the first wrapper that has changed since `attributes_of` and does not tell its state."""
    for wrapper, made_with in zip(wrappers_of(env), attributes, strict=False):
        if not _is_known(wrapper) and _own(wrapper) != made_with:
            return wrapper
    return None


def single_state(env: gymnasium.Env, attributes: list[Any]) -> dict[str, Any] | None:
    """Return the state of an environment and of all wrappers around it in plain Python; None where it cannot be told.

    Args:
        env: with its wrappers.
        attributes: `attributes_of` the environment when it was made.
    """
    bare = env.unwrapped
    if not tells_state(bare) or hiding_wrapper(env, attributes):
        return None
    told = bare.state_dict()
    if told is None:
        return None
    return {
        "wrappers": [_wrapper_state(wrapper) for wrapper in wrappers_of(env)],
        "env": packed(told),
        "np_random": packed(getattr(bare, "_np_random", None)),
    }


def load_single_state(env: gymnasium.Env, state: dict[str, Any]) -> None:
    """Continue from the `single_state` of an equal environment; this one must have been reset."""
    bare = env.unwrapped
    for wrapper, told in zip(wrappers_of(env), state["wrappers"], strict=True):
        if type(wrapper) is TimeLimit:
            wrapper._elapsed_steps = told
        elif tells_state(wrapper):
            wrapper.load_state_dict(unpacked(told))
    bare.load_state_dict(unpacked(state["env"]))
    generator = unpacked(state["np_random"])
    if generator is not None:  # into the generator that is there, since the environment may keep it elsewhere too
        bare.np_random.bit_generator.state = generator.bit_generator.state


def _own(wrapper: gymnasium.Wrapper) -> Any:
    """Return what the attributes of a wrapper are now, but for the environment within and a spec that it has cached."""
    return frozen({name: value for name, value in vars(wrapper).items() if name not in ("env", "_cached_spec")})


def _is_known(wrapper: gymnasium.Wrapper) -> bool:
    return type(wrapper) in (TimeLimit, *CHANGE_NOTHING) or tells_state(wrapper)


def _wrapper_state(wrapper: gymnasium.Wrapper) -> Any:
    if type(wrapper) is TimeLimit:
        return wrapper._elapsed_steps
    return packed(wrapper.state_dict()) if tells_state(wrapper) else None
