"""`make_vector` makes a vector environment from any Gymnasium id, with one contract.

The result is a `gymnasium.vector.VectorEnv`, and

* `metadata["autoreset_mode"]` is SAME_STEP: a step that ends an episode returns the next episode's first observation;
* `single_observation_space` is a Box with exact bounds. One observation is one array of its shape and dtype:
  float32 [feature] for a 1-D Box of numbers, for Discrete (a one-hot), for MultiDiscrete (one-hots side by side) and
  for MultiBinary (its zeros and ones); the environment's own shape and dtype for a Box of any other number of axes,
  such as uint8 [height, width, channel] for an image or [] for a single number, except that float64 and uint64 become
  float32, uint16 int32, and uint32 int64;
* of a Dict or a Tuple with several entries, nested or not, it is a `Packed` (envs.vector.packing), a Box with
  `entries`: name, shape, dtype, start and stop of each within the one array. Entries that cannot be arrays are left
  out, which `metadata["notes"]` says;
* an action mask, be it an entry `action_mask` of a Dict or `infos["action_mask"]`, is the packed entry `action_mask`:
  uint8, one number for each logit, 0 where an action is not allowed. Beside it an observation without entries is the
  entry `observation`;
* `single_action_space` is Discrete from 0, MultiDiscrete from 0, MultiBinary, or a Box of float32 with the
  environment's own bounds;
* `spec` is that of the single environment, and `spec.reward_threshold` is None where the environment has none;
* `reset(seed=[one int per environment] | int s, meaning s, s + 1, ... | None)` -> observations [batch, ...], {};
* `step(actions)` with actions [batch, ...] of that space -> observations [batch, ...], rewards float64 [batch],
  terminated bool [batch], truncated bool [batch], infos. Both flags may be true at once;
* where any episode ended, infos is {"final_obs": [batch, ...], "_final_obs": bool [batch]}: each episode's last
  observation, in the rows where the second is true. Where none ended, infos is empty. With `log_info` they also have
  "episode_infos", float64 [batch, name]: entries of each episode's last infos, NaN where there is none;
* every array is new, and the environment never changes it afterwards;
* observations, rewards and flags that do not fit raise `BrokenContract`, one line. Forms of this package are exact, as
  `metadata["exact"]` says, and are not checked;
* `metadata["notes"]`, where it is there, has lines for the user;
* each column draws from its own generator, `gymnasium.utils.seeding.np_random(seed)` of its own seed: its trajectory
  depends on its seed and its actions, not on its neighbours or on how columns are divided over processes;
* it can be copied and pickled in the middle of an episode if the single environment can;
* `own_spaces` describes in plain JSON what the single environment shows and takes, before any adapter or transform;
* `state_dict()` returns its state in plain Python, and `load_state_dict(state)` continues from there. An environment
  without them, or whose `state_dict()` returns None, begins new episodes when a run is resumed.

Text, Graph, Sequence and OneOf observations, and action spaces of other kinds, are refused with one line.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv

from envs.vector.autoreset import require_same_step
from envs.vector.chain import Transformed, make_chain
from envs.vector.episode_infos import EpisodeInfos
from envs.vector.extras import missing_module
from envs.vector.forms import find_spec, make_form, unknown_argument
from envs.vector.messages import WrongArgument, one_line
from envs.vector.own_spaces import own_spaces


def make_vector(
    env: str,
    num_envs: int,
    *,
    env_args: Mapping[str, Any] | None = None,
    observe: str = "",
    frame_stack: int = 1,
    previous_action: bool = False,
    previous_reward: bool = False,
    observation_scale: str = "auto",
    log_info: Sequence[str] = (),
) -> VectorEnv:
    """Make `num_envs` environments of one id, stepped together; the contract is at the top of this file.

    The transforms (all arguments from `frame_stack` on) work on every entry; a scale needs observations of one axis.

    Args:
        env: an id that Gymnasium knows, or `module:Id-v0` or `path/file.py:Id-v0`, where importing it registers the id.
        num_envs: the number of environments, at least 1.
        env_args: keyword arguments of the environment, as for `gymnasium.make`; `max_episode_steps` is one of them.
        observe: names of the entries of a Dict or Tuple that are observed, separated by commas, those of a space within
            it joined by dots as in "robot.joints"; "" for all.
        frame_stack: how many of the last observations to join, oldest first: images along their channels.
        previous_action: append the previous action: one-hots, bits, or numbers from -1 to 1 between bounds.
        previous_reward: append the previous reward.
        observation_scale: "auto" divides observations by the scale in the environment's metadata, if there is one;
            "2.4,0.2095" divides them by these numbers, one a feature; "l2" divides each by its own length; "none"
            leaves them as they are.
        log_info: names of entries of an episode's last infos, which become `infos["episode_infos"]`.

    Raises:
        ValueError: an environment that cannot be made, spaces that are not supported, wrong arguments; always one line.
    """
    for name, value in (("num_envs", num_envs), ("frame_stack", frame_stack)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    env_args = dict(env_args or {})
    try:
        vector = make_form(find_spec(env), num_envs, env_args, tuple(filter(None, observe.split(","))))
    except WrongArgument:
        raise
    except Exception as error:  # the line names the environment, whatever a foreign one raises
        with_args = f" with {env_args}" if env_args else ""
        plain = isinstance(error, ValueError | gymnasium.error.Error)
        reason = one_line(error) if plain else f"{type(error).__name__}: {one_line(error)}"
        reason = missing_module(error) or unknown_argument(error, env) or reason
        raise ValueError(f"cannot make environment {env!r}{with_args}: {reason}") from error

    require_same_step(vector)
    described = own_spaces(vector)
    if log_info:
        vector = EpisodeInfos(vector, log_info)
    chain = make_chain(
        vector.single_observation_space,
        vector.single_action_space,
        env,
        vector.metadata.get("observation_scale", ()),
        frame_stack=frame_stack,
        previous_action=previous_action,
        previous_reward=previous_reward,
        observation_scale=observation_scale,
    )
    if chain.transforms:
        vector = Transformed(vector, chain)
    vector.own_spaces = described
    return vector
