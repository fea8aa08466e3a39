"""The form in which an id is made: its vector form where that keeps the contract, else single environments."""

import dataclasses
import importlib
import inspect
from functools import partial
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, VectorEnvCreator, load_env_creator
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from envs.vector.adapter import SingleAdapter, VectorAdapter
from envs.vector.columns import ColumnsVectorEnv

# Vector forms, as entry points, that take the place of those in Gymnasium's registry.
OTHER_VECTOR_FORMS: dict[str, str] = {}


def find_spec(env: str) -> EnvSpec:
    """Return the spec of an id or of `module:Id-v0`, after importing the module.

    Raises:
        ValueError: the id has no version. Other errors are those of the import and of `gymnasium.spec`.
    """
    module, _, env_id = env.rpartition(":")
    if module:
        importlib.import_module(module)
    versions = [known for known in gymnasium.registry if known.rpartition("-v")[0] == env_id]
    if versions and env_id not in gymnasium.registry:  # gymnasium.make would take the newest, which changes with time
        raise ValueError(f"the id needs its version: {', '.join(versions)}")
    return gymnasium.spec(env_id)


def make_form(spec: EnvSpec, num_envs: int, env_args: dict[str, Any]) -> VectorEnv:
    """Make the vector environment of a spec, without transforms.

    Raises:
        ValueError: the spec has a vector form only, and that does not keep the contract.
    """
    vector_form = _vector_form(spec, env_args)
    if vector_form is not None:
        vector = gymnasium.make_vec(dataclasses.replace(spec, vector_entry_point=vector_form), num_envs, **env_args)
        return vector if isinstance(vector, ColumnsVectorEnv) else VectorAdapter(vector)
    if spec.entry_point is None:
        raise ValueError("it has no single form, and its vector form does not say that its autoreset mode is SAME_STEP")
    # Gymnasium's checks of every step cost as much as a small environment's step.
    unchecked = dataclasses.replace(spec, order_enforce=False)
    make_single = partial(_make_single, unchecked, env_args)
    sync = SyncVectorEnv([make_single] * num_envs, copy=False, autoreset_mode=AutoresetMode.SAME_STEP)
    sync.spec = spec
    return VectorAdapter(sync)


def _make_single(spec: EnvSpec, env_args: dict[str, Any]) -> gymnasium.Env:
    return SingleAdapter(gymnasium.make(spec, disable_env_checker=True, **env_args))


def _vector_form(spec: EnvSpec, env_args: dict[str, Any]) -> str | VectorEnvCreator | None:
    """Return the entry point of the vector form if that resets in the same step and takes these arguments."""
    entry_point = OTHER_VECTOR_FORMS.get(spec.id, spec.vector_entry_point)
    creator = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    metadata = getattr(creator, "metadata", {})  # a function has none, so that nobody knows what it will make
    if metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP or spec.additional_wrappers:
        return None
    try:
        inspect.signature(creator).bind(num_envs=1, **{**spec.kwargs, **env_args})
    except TypeError:  # an argument of the single environment only, such as render_mode
        return None
    return entry_point
