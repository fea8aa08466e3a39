"""What this project makes of an environment, what breaks the contract, and which options to think of."""

import dataclasses
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import VectorEnv

from envs.check.actions import vector_actions
from envs.check.repeats import difference, global_state_kept, vector_difference
from envs.check.trial import Trial, try_single, where
from envs.vector.actions import SUPPORTED_ACTIONS, OwnActions
from envs.vector.adapter import FirstStepsChecked
from envs.vector.columns import ColumnsVectorEnv
from envs.vector.encoders import Encoder
from envs.vector.forms import find_spec, make_form, make_singles
from envs.vector.make_vector import make_vector
from envs.vector.messages import in_short, one_line
from envs.vector.single_state import attributes_of, hiding_wrapper, tells_state
from envs.vector.state import packed
from envs.vector.transforms import is_vector

BATCH = 32  # environments whose speed is measured: those of a worker by default
SECONDS = 0.5  # for which it is measured
SEED = 7
STATE_TOLD = "told: --resume continues in the middle of an episode"
STATE_NOT_TOLD = "not told (no state_dict and load_state_dict): --resume begins new episodes"


@dataclass
class Findings:
    """What is known of an environment."""

    facts: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)  # it cannot be trained
    surprises: list[str] = field(default_factory=list)  # it can, and something may surprise
    options: dict[str, str] = field(default_factory=dict)  # why to think of an option
    state: Any = None  # what its state_dict told

    def note_broken(self, line: str) -> None:
        """Add a line, if no other one says the same."""
        if line not in self.broken:
            self.broken.append(line)


def examine(env: str, env_args: Mapping[str, Any]) -> Findings:
    """Find out all that can be found out about an environment by playing it for a few seconds."""
    findings, arguments = Findings(), dict(env_args)
    with global_state_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gymnasium's, about what is found here too
        try:
            spec = find_spec(env)
        except Exception as error:
            findings.note_broken(f"{env}: it cannot be found: {one_line(error)}")
            return findings
        limit = arguments.get("max_episode_steps", spec.max_episode_steps)
        limit = None if limit == -1 else limit
        _describe(findings, spec, limit)
        trial = _try_single_form(findings, spec, arguments, limit) if spec.entry_point else None
        if trial is None or not findings.broken:
            _try_vector_form(findings, env, spec, arguments, trial is None)
        _think_of_options(findings, spec, limit, trial)
    return findings


def _describe(findings: Findings, spec: EnvSpec, limit: int | None) -> None:
    threshold = spec.reward_threshold
    findings.facts["time limit"] = f"{limit} steps" if limit else "none"
    findings.facts["reward threshold"] = "none: nothing counts as solved" if threshold is None else f"{threshold:g}"


def _try_single_form(findings: Findings, spec: EnvSpec, arguments: dict[str, Any], limit: int | None) -> Trial | None:
    """Play the single form as Gymnasium makes it; None where it cannot be made."""
    bare = dataclasses.replace(spec, order_enforce=False)  # no wrapper of Gymnasium stands between
    make = partial(gymnasium.make, bare, disable_env_checker=True, **{**arguments, "max_episode_steps": -1})
    try:
        env = make()
        observed, actions = env.observation_space, env.action_space
    except Exception as error:
        findings.note_broken(f"{spec.id}: it cannot be made: {where(error)}")
        return None
    made_with = attributes_of(env)
    findings.facts["observations"] = in_short(observed)
    try:
        encoder = Encoder(observed, actions, env=spec.id)
    except ValueError as error:
        findings.note_broken(one_line(error))
    else:
        findings.facts["an agent sees"] = in_short(encoder.space)
        scale = ", observation_scale" if is_vector(encoder.space) else "; a scale needs observations of one axis"
        findings.facts["transforms"] = f"frame_stack, previous_action, previous_reward{scale}"
        findings.surprises += [f"{spec.id}: {line}" for line in encoder.notes]
    findings.facts["actions"] = in_short(actions)
    try:
        taken = OwnActions(actions).space
        findings.facts["an agent takes"] = in_short(taken)
    except ValueError:
        findings.note_broken(f"{spec.id}: actions {in_short(actions)} are not supported; {SUPPORTED_ACTIONS} are")
    trial = try_single(env, spec.id, SEED, limit)
    for line in trial.broken.values():
        findings.note_broken(line)
    _describe_state(findings, spec, env, made_with)
    try:
        env.close()
    except Exception as error:
        findings.note_broken(f"{spec.id}: close raised {where(error)}")
    if not trial.broken:
        try:
            if words := difference(make, spec.id):
                findings.surprises.append(words)
        except Exception as error:
            findings.note_broken(f"{spec.id}: two of it do not play side by side: {where(error)}")
    if not limit and trial.steps == trial.longest:
        findings.surprises.append(f"{spec.id}: no time limit, and an episode of {trial.steps} random steps did not end")
    return trial


def _describe_state(findings: Findings, spec: EnvSpec, env: gymnasium.Env, made_with: list[Any]) -> None:
    hiding = hiding_wrapper(env, made_with)
    if not tells_state(env.unwrapped):
        findings.facts["state"] = STATE_NOT_TOLD
    elif hiding is not None:
        findings.facts["state"] = f"hidden by the wrapper {type(hiding).__name__}: --resume begins new episodes"
    else:
        findings.facts["state"] = STATE_TOLD
        try:
            findings.state = packed(env.unwrapped.state_dict())
        except Exception as error:
            findings.note_broken(f"{spec.id}: state_dict raised {where(error)}")


def _try_vector_form(findings: Findings, env: str, spec: EnvSpec, arguments: dict[str, Any], alone: bool) -> None:
    """Make the form that agents train on, compare it with the single form, and measure its speed."""
    try:
        vector = make_form(spec, 2, arguments)
        findings.facts["form"] = _form(vector)
        own_vector_form = "single" not in findings.facts["form"]
        if own_vector_form:
            vector.reset(seed=SEED)
            told = getattr(vector, "state_dict", lambda: None)() is not None
            findings.facts["state"] = STATE_TOLD if told else STATE_NOT_TOLD
        if own_vector_form and not alone:
            singles = make_singles(spec, 2, arguments)
            if words := vector_difference(vector, singles, spec.id):
                findings.surprises.append(words)
            singles.close()
        vector.close()
        findings.facts["speed"] = (
            f"{_speed(env, arguments):,.0f} env steps a second, {BATCH} environments in one process"
        )
    except Exception as error:
        line = one_line(error) if getattr(error, "in_one_line", False) else f"{spec.id}: {where(error)}"
        findings.note_broken(line)


def _form(vector: VectorEnv) -> str:
    if vector.metadata.get("exact"):
        return "vector form of this project: arrays of columns, not checked"
    if isinstance(vector, FirstStepsChecked) or isinstance(vector.unwrapped, ColumnsVectorEnv):
        return "vector form of its own: arrays of columns, the first steps checked"
    if hasattr(vector.unwrapped, "envs") and type(vector.unwrapped) is gymnasium.vector.SyncVectorEnv:
        return "single environments, stepped one after the other, all steps checked"
    return "vector form of its own, all steps checked"


def _speed(env: str, arguments: dict[str, Any]) -> float:
    vector = make_vector(env, BATCH, env_args=arguments)
    try:
        vector.action_space.seed(SEED), vector.single_action_space.seed(SEED)
        seen, _ = vector.reset(seed=SEED)
        seconds, steps = 0.0, 0
        while seconds < SECONDS or not steps:
            actions = vector_actions(vector, seen)
            began = time.perf_counter()
            seen = vector.step(actions)[0]
            seconds += time.perf_counter() - began
            steps += BATCH
        return steps / seconds
    finally:
        vector.close()


def _think_of_options(findings: Findings, spec: EnvSpec, limit: int | None, trial: Trial | None) -> None:
    if spec.reward_threshold is None:
        findings.options["--reward-threshold X"] = (
            "nothing counts as solved without one, nor does --stop-when-solved end"
        )
    if not limit and (trial is None or trial.longest > max(trial.lengths, default=0)):
        findings.options["--env-arg max_episode_steps=N"] = "an episode may last for ever without a time limit"
        findings.options["--eval-max-steps N"] = "bounds an evaluated episode; 20000 by default"
    if trial is None or not trial.steps:
        return
    if trial.observations:
        findings.options["--frame-stack 2"] = "where one observation does not show what moves, and the core is mlp"
    if trial.returns:
        findings.facts["random episodes"] = (
            f"{len(trial.returns)} of {np.mean(trial.lengths):.1f} steps, mean return {np.mean(trial.returns):.3g}"
        )
