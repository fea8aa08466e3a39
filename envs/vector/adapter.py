"""Adapters bring any environment of Gymnasium, single or vector, to the contract of `make_vector`, and hold it to that.

What does not fit is refused in the step that gave it, in one line (`BrokenContract`).
"""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space

from envs.vector.actions import OwnActions
from envs.vector.autoreset import require_same_step
from envs.vector.calls import broken_call, wrong_answer
from envs.vector.columns import ColumnsVectorEnv, column_seeds
from envs.vector.contract import (
    FLAGS,
    WHOLE,
    Bounds,
    PackedBounds,
    check_batch,
    check_flags,
    check_rewards,
    kinds_for,
    not_in,
    reward_number,
    why_not,
)
from envs.vector.encoders import Encoder
from envs.vector.episode_infos import numbers
from envs.vector.masks import choices
from envs.vector.messages import BrokenContract, env_name, in_short, one_line
from envs.vector.observations import array_box
from envs.vector.packing import MASK
from envs.vector.single_state import attributes_of, load_single_state, single_state
from envs.vector.state import frozen, packed, unpacked

CHECKED_STEPS = 1000  # of a vector form made of columns that is none of this package


def own_actions(space: gymnasium.Space, name: str) -> OwnActions:
    """Return what turns an agent's actions into those of an environment.

    Raises:
        ValueError: the space is not supported; one line that names the environment.
    """
    try:
        return OwnActions(space)
    except ValueError as error:
        raise ValueError(f"{name} has {error}") from None


def late_mask(env: str, call: str) -> BrokenContract:
    """Return the line about an action mask of which nobody knew when the environment was made."""
    return BrokenContract(f"{env}: {call} gave an {MASK} in its info, and the first reset gave none; it must, too")


class SingleAdapter(gymnasium.Wrapper):
    """Gives one environment's observations as new arrays, takes actions as agents give them, and drops its infos.

    `envs.vector.encoders` says which array stands for which observation. Each array is a copy: some environments
    write the next observation into the array that they gave last, which would change a final observation afterwards.

    Raises:
        ValueError: the observation space or the action space is none of those supported.
    """

    log_info: Sequence[str] = ()  # entries of infos to keep as numbers at an episode's end, in `episode_infos`

    def __init__(self, env: gymnasium.Env, observe: Sequence[str] = (), mask_in_infos: bool = False):
        """Adapt an environment; `Encoder` explains the arguments."""
        super().__init__(env)
        self.observed, actions = env.observation_space, env.action_space
        self._name = env_name(env)
        self._own_actions = own_actions(actions, self._name)
        self.action_space = self._own_actions.space
        self.encoder = Encoder(self.observed, actions, observe, mask_in_infos, self._name)
        self._plain, self.observation_space = self.encoder.plain, self.encoder.space
        self._attributes = attributes_of(env)
        self._no_mask = bool(choices(actions)) and not self.encoder.masked

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Reset the environment; one that takes seeds below 2³² alone gets the lower half of a larger one."""
        try:
            try:
                given = self.env.reset(seed=seed, options=options)
            except ValueError as error:
                if seed is None or seed < 2**32 or "2**32" not in str(error):  # NumPy's words: "0 and 2**32 - 1"
                    raise
                given = self.env.reset(seed=seed % 2**32, options=options)
        except (TypeError, ValueError) as error:
            if broken := broken_call(self._name, "reset", error):
                raise broken from error
            raise
        if not isinstance(given, tuple) or len(given) != 2:
            raise wrong_answer(self._name, "reset", in_short(given))
        self._check_info(given[1], "reset")
        return self._array(given[0], "reset", given[1]), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        try:
            given = self.env.step(self._own_actions.one(action))
        except (TypeError, ValueError) as error:
            if broken := broken_call(self._name, "step", error):
                raise broken from error
            raise
        if not isinstance(given, tuple) or len(given) != 5:
            raise wrong_answer(self._name, "step", in_short(given))
        observation, reward, terminated, truncated, info = given
        if type(reward) is not float:
            reward = reward_number(self._name, reward)
        if type(terminated) not in FLAGS or type(truncated) not in FLAGS:
            check_flags(self._name, terminated, truncated)
        self._check_info(info, "step")
        if self.log_info and (terminated or truncated):
            self.episode_infos = numbers(info, self.log_info)
        return self._array(observation, "step", info, terminated), reward, terminated, truncated, {}

    def _check_info(self, info: Any, call: str) -> None:
        if not isinstance(info, dict):
            raise BrokenContract(f"{self._name}: {call} gave the info {in_short(info)}; a dict is needed")
        if self._no_mask and MASK in info:
            raise late_mask(self._name, call)

    def _array(self, observation: Any, call: str, info: dict[str, Any], over: bool = False) -> np.ndarray:
        try:
            if self._plain:
                return self._plain(observation)
            return self.encoder(observation, call, info.get(MASK), over)
        except BrokenContract:
            raise
        except (TypeError, ValueError) as error:
            reason = why_not(self.observed, observation) or one_line(error)
            raise not_in(self._name, call, observation, self.observed, reason) from None

    def state_dict(self) -> dict[str, Any] | None:
        """Return the state in plain Python; None where the environment or a wrapper hides its own."""
        return single_state(self.env, self._attributes)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the `state_dict()` of an equal environment; this one must have been reset."""
        load_single_state(self.env, state)


class VectorAdapter(VectorWrapper):
    """Gives the arrays of a SAME_STEP vector environment as copies, its final observations among them, all checked.

    Infos hold nothing else. `envs.vector.encoders` says which array stands for which observation.

    Raises:
        ValueError: the autoreset mode is not SAME_STEP, or the spaces are not supported.
    """

    def __init__(self, env: VectorEnv, encoder: Encoder | None = None):
        """Adapt a vector environment.

        Args:
            env: shows a Box of numbers.
            encoder: what has made its arrays of observations of other spaces; None: nothing.
        """
        super().__init__(env)
        require_same_step(env)
        space, actions, self._name = env.single_observation_space, env.single_action_space, env_name(env)
        agents = own_actions(actions, str(env))
        as_they_are = isinstance(actions, Discrete) and agents.space == actions
        self._own_actions = None if as_they_are else agents  # which gives arrays that the environment may change
        self.single_action_space, self.action_space = agents.space, batch_space(agents.space, env.num_envs)
        if encoder is None and array_box(space) is None:
            raise ValueError(f"{env} has observations {one_line(space)}; supported: Box of numbers")
        self.encoder = encoder or Encoder(space, actions, env=self._name)
        self._no_mask = bool(choices(actions)) and not self.encoder.masked
        box, own = self.encoder.space, [part.leaf.space for part in self.encoder.parts]
        self._kinds = kinds_for(space) if space.dtype else ""
        self._bounds = PackedBounds(self._name, box, own) if self.encoder.packed else Bounds(self._name, box, own[0])
        self.single_observation_space, self.observation_space = box, batch_space(box, env.num_envs)
        if self.encoder.notes:
            self.metadata = {**env.metadata, "notes": tuple(f"{self._name}: {line}" for line in self.encoder.notes)}

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        given = self.env.reset(seed=column_seeds(seed, self.num_envs), options=options)
        if not isinstance(given, tuple) or len(given) != 2:
            raise wrong_answer(self._name, "reset", in_short(given))
        return self._array(given[0], "reset", given[1]), {}

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        given = self.env.step(actions if self._own_actions is None else self._own_actions.batch(actions))
        if not isinstance(given, tuple) or len(given) != 5:
            raise wrong_answer(self._name, "step", in_short(given))
        observations, rewards, terminated, truncated, infos = given
        self.infos = infos  # for EpisodeInfos
        if self._no_mask and MASK in infos:
            raise late_mask(self._name, "step")
        # Copies at receipt: the environment may write its next step into the same arrays.
        observations, shape = self._array(observations, "step", infos), (self.num_envs,)
        rewards = check_batch(self._name, "rewards", rewards, shape, "biuf")
        check_rewards(self._name, rewards)
        terminated = check_batch(self._name, "terminated", terminated, shape, "b")
        truncated = check_batch(self._name, "truncated", truncated, shape, "b")
        ended = terminated | truncated
        if not np.count_nonzero(ended):
            return observations, rewards, terminated, truncated, {}
        final = self._final(observations, infos, ended, terminated)
        return observations, rewards, terminated, truncated, {"final_obs": final, "_final_obs": ended}

    def _array(self, observations: Any, call: str, infos: dict[str, Any]) -> np.ndarray:
        """Return observations as a new array of the Box's dtype."""
        box = self.single_observation_space
        array = check_batch(
            self._name, f"{call}: observations", observations, self.observation_space.shape, self._kinds
        )
        if array.dtype != box.dtype:
            if box.dtype.kind in WHOLE:  # a number too large would become another one
                self._bounds.check(array, call)
            with np.errstate(over="ignore"):  # an infinity is refused in the next line
                array = array.astype(box.dtype)
        self._bounds.check(array, call)
        return array

    def _final(
        self, observations: np.ndarray, infos: dict[str, Any], ended: np.ndarray, terminated: np.ndarray
    ) -> np.ndarray:
        """Return the last observations of the episodes that ended; in other rows the observations."""
        if "final_obs" not in infos:
            raise BrokenContract(f"{self._name}: an episode ended without its last observation, infos['final_obs']")
        last, box = observations.copy(), self.single_observation_space
        for column in ended.nonzero()[0]:
            given = infos["final_obs"][column]
            array = check_batch(self._name, "step: a final observation", given, box.shape, self._kinds)
            if box.dtype.kind in WHOLE and array.dtype != box.dtype:
                self._bounds.check(array[None], "step")
            last[column] = array
        self._bounds.check(last, "step")
        return last

    def state_dict(self) -> dict[str, Any] | None:
        """Return the state in plain Python; None where the environment within cannot tell it."""
        if singles := self._singles():
            states = [single.state_dict() for single in singles]
            return None if None in states else {"singles": states}
        if not all(hasattr(self.env, name) for name in ("state_dict", "load_state_dict")):
            return None
        state = self.env.state_dict()
        return None if state is None else packed(state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the `state_dict()` of an equal environment; this one must have been reset."""
        if singles := self._singles():
            for single, one in zip(singles, state["singles"], strict=True):
                single.load_state_dict(one)
        else:
            self.env.load_state_dict(unpacked(state))

    def _singles(self) -> list[SingleAdapter]:
        """Return the single environments that are stepped one after the other, if that is how they are."""
        singles = getattr(self.env, "envs", ())
        return list(singles) if all(isinstance(single, SingleAdapter) for single in singles) else []


class FirstStepsChecked(VectorAdapter):
    """Checks the first steps of a vector form made of columns; then its steps reach the caller as they are.

    Such a form keeps in arrays whatever its steps change. One that does not, and has no `state_dict` of its own, cannot
    tell its state.
    """

    def __init__(self, env: ColumnsVectorEnv):
        super().__init__(env)
        self._left, self._made_with = CHECKED_STEPS, self._no_arrays()

    def step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        answer, self._left = super().step(actions), self._left - 1
        if self._left <= 0:
            self.step, self.infos = self.env.step if self._own_actions is None else self._translated, {}
        return answer

    def _translated(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        return self.env.step(self._own_actions.batch(actions))

    def state_dict(self) -> dict[str, Any] | None:
        inherited = type(self.env).state_dict is ColumnsVectorEnv.state_dict
        return None if inherited and self._no_arrays() != self._made_with else self.env.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.env.load_state_dict(state)

    def _no_arrays(self) -> Any:
        """Return what the attributes are now that the inherited `state_dict` leaves out."""
        others = {name: value for name, value in vars(self.env).items() if not isinstance(value, np.ndarray)}
        return frozen({name: value for name, value in others.items() if name not in ("_generators", "spec")})
