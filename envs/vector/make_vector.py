"""`make_vector`: a vector environment from any Gymnasium id, with one contract.

What it returns is a `gymnasium.vector.VectorEnv`, and

* `metadata["autoreset_mode"]` is SAME_STEP: a step that ends an episode returns the next episode's first observation;
* `single_observation_space` is a 1-D float32 Box with exact bounds, `single_action_space` is Discrete from 0;
* `spec` is that of the single environment, `spec.reward_threshold` None where it has none;
* `reset(seed=[one int per environment] | int s, meaning s, s + 1, ... | None)` -> observations, {};
* `step(actions)`, actions int64 [batch], -> observations float32 [batch, feature], rewards float64 [batch],
  terminated bool [batch], truncated bool [batch], infos. Both flags may be true at once;
* where any episode ended, infos is {"final_obs": float32 [batch, feature], "_final_obs": bool [batch]}: the episode's
  last observation, in the rows where the second is true. Where none ended, infos is empty;
* every array is new, and never changed afterwards;
* each column draws from its own generator, `gymnasium.utils.seeding.np_random(seed)` of its own seed: its trajectory
  depends on its seed and its actions, not on its neighbours or on how columns are divided over processes;
* it can be copied and pickled in the middle of an episode if the single environment can;
* `state_dict()` and `load_state_dict(state)`, where it has them and the first does not return None, are where it stands
  in plain Python: a resumed run goes on there, and else with new episodes.
"""

import dataclasses
import importlib
import inspect
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec, VectorEnvCreator, load_env_creator
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from envs.vector.adapter import DenseFinalObs, FlatObservation, require_same_step
from envs.vector.columns import ColumnsVectorEnv
from envs.vector.messages import one_line
from envs.vector.transforms import NormaliseObservations, PreviousAction, PreviousReward, ScaleObservations, StackFrames

# Gymnasium's own vector CartPole resets on the next step and has one generator for all columns.
OUR_VECTOR_FORMS = {"CartPole-v1": "envs.cartpole.cartpole:CartPoleVectorEnv"}


def make_vector(
    env: str,
    num_envs: int,
    *,
    env_args: Mapping[str, Any] | None = None,
    frame_stack: int = 1,
    previous_action: bool = False,
    previous_reward: bool = False,
    observation_scale: str = "auto",
) -> VectorEnv:
    """Make `num_envs` environments of one id, stepped together; the contract is at the top of this file.

    Args:
        env: an id that Gymnasium knows, or `module:Id-v0`, where importing the module registers the id.
        num_envs: how many, at least 1.
        env_args: keyword arguments of the environment, as for `gymnasium.make`; `max_episode_steps` among them.
        frame_stack: how many of the last observations to concatenate, oldest first.
        previous_action: append a one-hot of the previous action.
        previous_reward: append the previous reward.
        observation_scale: "auto" divides by the scale that the environment's metadata names, if it names one; "none" by
            nothing; "2.4,0.2095" by these numbers, one a feature; "l2" each observation by its own length.

    Raises:
        ValueError: an environment that cannot be made, spaces that are not supported, wrong arguments; always one line.
    """
    for name, value in (("num_envs", num_envs), ("frame_stack", frame_stack)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    env_args = dict(env_args or {})
    try:
        vector = _make(_find_spec(env), num_envs, env_args)
    except Exception as error:  # whatever a foreign environment raises, the reader wants to know which one it was
        with_args = f" with {env_args}" if env_args else ""
        plain = isinstance(error, ValueError | gymnasium.error.Error)
        reason = one_line(error) if plain else f"{type(error).__name__}: {one_line(error)}"
        raise ValueError(f"cannot make environment {env!r}{with_args}: {reason}") from error

    require_same_step(vector)
    if observation_scale == "l2":
        vector = NormaliseObservations(vector)
    elif scale := _scale(observation_scale, vector, env):
        vector = ScaleObservations(vector, scale)
    if frame_stack > 1:
        vector = StackFrames(vector, frame_stack)
    if previous_action:
        vector = PreviousAction(vector)
    if previous_reward:
        vector = PreviousReward(vector)
    return vector


def _find_spec(env: str) -> EnvSpec:
    module, _, env_id = env.rpartition(":")
    if module:
        importlib.import_module(module)
    versions = [known for known in gymnasium.registry if known.rpartition("-v")[0] == env_id]
    if versions and env_id not in gymnasium.registry:  # gymnasium.make would take the newest, whichever that is by then
        raise ValueError(f"the id needs its version: {', '.join(versions)}")
    return gymnasium.spec(env_id)


def _make(spec: EnvSpec, num_envs: int, env_args: dict[str, Any]) -> VectorEnv:
    vector_form = _vector_form(spec, env_args)
    if vector_form is not None:
        vector = gymnasium.make_vec(dataclasses.replace(spec, vector_entry_point=vector_form), num_envs, **env_args)
        return vector if isinstance(vector, ColumnsVectorEnv) else DenseFinalObs(vector)
    if spec.entry_point is None:
        raise ValueError("it has no single form, and its vector form does not say that its autoreset mode is SAME_STEP")
    # Gymnasium's checks of every step cost as much as a small environment's step.
    unchecked = dataclasses.replace(spec, order_enforce=False)
    make_single = partial(_make_single, unchecked, env_args)
    sync = SyncVectorEnv([make_single] * num_envs, copy=False, autoreset_mode=AutoresetMode.SAME_STEP)
    sync.spec = spec
    return DenseFinalObs(sync)


def _make_single(spec: EnvSpec, env_args: dict[str, Any]) -> gymnasium.Env:
    return FlatObservation(gymnasium.make(spec, disable_env_checker=True, **env_args))


def _vector_form(spec: EnvSpec, env_args: dict[str, Any]) -> str | VectorEnvCreator | None:
    """The entry point of an environment's vector form, if that resets in the same step and takes these arguments."""
    entry_point = OUR_VECTOR_FORMS.get(spec.id, spec.vector_entry_point)
    creator = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    metadata = getattr(creator, "metadata", {})  # a function has none: what it will make cannot be known
    if metadata.get("autoreset_mode") is not AutoresetMode.SAME_STEP or spec.additional_wrappers:
        return None
    try:
        inspect.signature(creator).bind(num_envs=1, **{**spec.kwargs, **env_args})
    except TypeError:  # an argument of the single environment only, such as render_mode
        return None
    return entry_point


def _scale(observation_scale: str, vector: VectorEnv, env: str) -> tuple[float, ...]:
    """The numbers to divide observations by, () for none."""
    if observation_scale == "none":
        return ()
    if observation_scale == "auto":
        scale = tuple(vector.metadata.get("observation_scale", ()))
    else:
        try:
            scale = tuple(float(number) for number in observation_scale.split(","))
        except ValueError:
            expected = '"auto", "none", "l2" or numbers such as "2.4,0.2095"'
            raise ValueError(f"observation_scale must be {expected}, got {observation_scale!r}") from None
    if not all(0 < number < math.inf for number in scale):
        raise ValueError(f"observation_scale numbers must be positive and finite, got {observation_scale!r}")
    features = vector.single_observation_space.shape[0]
    if scale and len(scale) != features:
        raise ValueError(f"observation_scale {observation_scale!r} is not {features} numbers, one a feature of {env}")
    return scale
