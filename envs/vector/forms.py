"""The form in which an id is made: its vector form where that keeps the contract, else single environments."""

import contextlib
import dataclasses
import importlib.util
import inspect
import re
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, VectorEnvCreator, load_env_creator
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from envs.vector.adapter import FirstStepsChecked, SingleAdapter, VectorAdapter
from envs.vector.columns import ColumnsVectorEnv
from envs.vector.extras import NOT_REGISTERED_WITHOUT, REGISTERED_BY, installed_by, let_mujoco_warn_once
from envs.vector.files import import_file, is_file
from envs.vector.masks import asked_for_mask, choices
from envs.vector.observations import array_box
from envs.vector.rows import RowsAdapter

# Forms, as entry points, that take the place of those in Gymnasium's registry; "ALE/" stands for all ids in it.
OTHER_VECTOR_FORMS: dict[str, str] = {}
OTHER_SINGLE_FORMS: dict[str, str] = {}
OURS = ("envs", "experiments")  # packages of this repository, whose vector forms are exact


def find_spec(env: str) -> EnvSpec:
    """Return the spec of an id, of `module:Id-v0` or of `path/file.py:Id-v0`, after importing the module or the file.

    It names the forms that take the place of the registered ones.

    Raises:
        ValueError: the id has no version, the file is missing, or the module cannot be found. Other errors are those of
            the import and of `gymnasium.spec`.
    """
    module, _, env_id = env.rpartition(":")
    if is_file(env):
        raise ValueError(f"an id is needed behind the file, as in {env}:Id-v0")
    if is_file(module):
        _require_id(env_id, import_file(module))
    elif module:
        _import(module, env_id)
    elif found := [registrar for begins, registrar in REGISTERED_BY.items() if env_id.startswith(begins)]:
        _import(found[0], env_id)
    for begins, needed in NOT_REGISTERED_WITHOUT.items():
        if env_id.startswith(begins) and importlib.util.find_spec(needed) is None:
            raise ValueError(f"{needed} is not installed; {installed_by(needed)}")
    versions = [known for known in gymnasium.registry if known.rpartition("-v")[0] == env_id]
    if versions and env_id not in gymnasium.registry:  # gymnasium.make would take the newest, which changes with time
        raise ValueError(f"the id needs its version: {', '.join(versions)}")
    spec = gymnasium.spec(env_id)
    forms = {
        "entry_point": _other(OTHER_SINGLE_FORMS, spec) or spec.entry_point,
        "vector_entry_point": _other(OTHER_VECTOR_FORMS, spec) or spec.vector_entry_point,
    }
    return dataclasses.replace(spec, **forms)


def _other(forms: dict[str, str], spec: EnvSpec) -> str | None:
    """Return the form that takes the place of the registered one, if there is one."""
    return forms.get(spec.id) or forms.get(f"{spec.namespace}/")


def _require_id(env_id: str, module: ModuleType) -> None:
    if env_id not in gymnasium.registry:
        points = {known: spec.entry_point or spec.vector_entry_point for known, spec in gymnasium.registry.items()}
        modules = {known: getattr(point, "__module__", str(point).partition(":")[0]) for known, point in points.items()}
        own = [known for known, name in modules.items() if name == module.__name__]
        raise ValueError(f"the file registers no {env_id!r}, but {', '.join(own) or 'nothing'}")


def _import(module: str, env_id: str) -> None:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # another one, which this one imports
        if command := installed_by(error.name):
            raise ValueError(f"{error.name} is not installed; {command}") from error
        file = f"{module.replace('.', '/')}.py"
        raise ValueError(
            f"ModuleNotFoundError: {error}; run the command in the folder that has {file}, or name the file by its "
            f"path, as in path/{file}:{env_id}"
        ) from error


def make_form(spec: EnvSpec, num_envs: int, env_args: dict[str, Any], observe: Sequence[str] = ()) -> VectorEnv:
    """Make the vector environment of a spec, without transforms.

    Args:
        spec: names the environment.
        num_envs: how many.
        env_args: keyword arguments of the environment.
        observe: names of the entries that are observed; () for all.

    Raises:
        ValueError: the spec has a vector form only, and that does not keep the contract.
    """
    vector_form = _vector_form(spec, env_args)
    if vector_form is not None:
        make_some = partial(gymnasium.make_vec, dataclasses.replace(spec, vector_entry_point=vector_form), **env_args)
        vector = make_some(num_envs=num_envs)
        in_columns = isinstance(vector, ColumnsVectorEnv)
        masked = not in_columns and gives_mask(spec, env_args, vector.single_action_space, partial(make_some, 1))
        if masked or observe or array_box(vector.single_observation_space) is None:
            return RowsAdapter(vector, observe, masked)
        if not in_columns:
            return VectorAdapter(vector)
        if type(vector).__module__.partition(".")[0] not in OURS:
            return FirstStepsChecked(vector)
        vector.metadata = {**vector.metadata, "exact": True}
        return vector
    if spec.entry_point is None:
        raise ValueError("it has no single form, and its vector form does not say that its autoreset mode is SAME_STEP")
    return make_singles(spec, num_envs, env_args, observe)


def make_singles(spec: EnvSpec, num_envs: int, env_args: dict[str, Any], observe: Sequence[str] = ()) -> VectorEnv:
    """Make single environments that are stepped one after the other; arguments as of `make_form`."""
    # Gymnasium's checks of every step cost as much as a small environment's step.
    unchecked, made = dataclasses.replace(spec, order_enforce=False), []
    make_bare = partial(gymnasium.make, unchecked, disable_env_checker=True, **env_args)
    if isinstance(spec.entry_point, str):
        load_env_creator(spec.entry_point)
        let_mujoco_warn_once()

    def make_single() -> gymnasium.Env:
        env = make_bare()
        masked = gives_mask(spec, env_args, env.action_space, make_bare)
        made.append(SingleAdapter(env, observe, masked))
        return made[-1]

    try:
        sync = SyncVectorEnv([make_single] * num_envs, copy=False, autoreset_mode=AutoresetMode.SAME_STEP)
    except BaseException:
        for one in made:  # perhaps only so many may exist, and the caller tries fewer
            with contextlib.suppress(Exception):
                one.close()
        raise
    sync.env_fns = ()  # it does not need them any more, and they cannot be pickled
    sync.spec = spec
    return VectorAdapter(sync, made[0].encoder)


_MASKS: dict[tuple[str, ...], bool] = {}


def gives_mask(
    spec: EnvSpec, env_args: dict[str, Any], actions: gymnasium.Space, make: Callable[[], gymnasium.Env | VectorEnv]
) -> bool:
    """Return whether an environment's infos have an action mask.

    One more environment is asked, once in a process: a reset may change what comes after it.
    """
    key = (spec.id, str(spec.entry_point), str(spec.vector_entry_point), str(spec.kwargs), str(env_args))
    if key not in _MASKS:
        _MASKS[key] = bool(choices(actions)) and asked_for_mask(make())
    return _MASKS[key]


def _vector_form(spec: EnvSpec, env_args: dict[str, Any]) -> str | VectorEnvCreator | None:
    """Return the entry point of the vector form if that resets in the same step and takes these arguments."""
    entry_point = spec.vector_entry_point
    creator = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    metadata = getattr(creator, "metadata", {})  # a function has none, so that nobody knows what it will make
    if metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP or spec.additional_wrappers:
        return None
    try:
        inspect.signature(creator).bind(num_envs=1, **{**spec.kwargs, **env_args})
    except TypeError:  # an argument of the single environment only, such as render_mode
        return None
    return entry_point


def unknown_argument(error: Exception, env: str) -> str:
    """Return in one line what the environment's arguments are, where it was given one that it has not; else ""."""
    unknown = re.search(r"unexpected keyword argument '(\w+)'", str(error))
    point = find_spec(env).entry_point if unknown else None
    if point is None:
        return ""
    maker = load_env_creator(point) if isinstance(point, str) else point
    names = [one.name for one in inspect.signature(maker).parameters.values() if one.kind is not one.VAR_KEYWORD]
    return f"it has no argument {unknown[1]!r}, but {', '.join([*names, 'max_episode_steps'])}"
