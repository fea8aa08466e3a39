"""What all rewritten environments of POPGym share: their spaces, and the single form that one column makes."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import Space
from gymnasium.spaces.utils import unflatten

from envs.vector.columns import ColumnsVectorEnv
from envs.vector.encoders import Encoder


class PopgymVectorEnv(ColumnsVectorEnv):
    """Shows the arrays into which `make_vector` turns the observations of the package popgym.

    `own_observation_space` is the package's space, and `single_observation_space` that of the arrays. A subclass draws
    from the generators of its columns what the package draws from its own, in the same order. Equal seeds then give
    equal episodes.
    """

    def __init__(self, num_envs: int, own_observation_space: Space, action_space: Space):
        super().__init__(num_envs, Encoder(own_observation_space, action_space).space, action_space)
        self.own_observation_space = own_observation_space


class PopgymEnv(gymnasium.Env):
    """A vector form of one column as a single environment, which shows the package's own observations.

    A subclass names its vector form as `vector_form`.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own convention)
    vector_form: type[PopgymVectorEnv]

    def __init__(self, **arguments: Any):
        """Take the arguments of the vector form."""
        self._column = self.vector_form(1, **arguments)
        self.observation_space = self._column.own_observation_space
        self.action_space = self._column.single_action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._column._generators = [self.np_random]
        self._column._start_episodes(np.zeros(1, dtype=np.int64))
        return self._observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        [reward], [terminated], [truncated] = self._column._advance(np.asarray(action)[None])
        return self._observe(), float(reward), bool(terminated), bool(truncated), {}

    def state_dict(self) -> dict[str, Any]:
        """Return the state in plain Python; a reset must have come before."""
        return self._column.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the `state_dict()` of an equal environment; this one must have been reset."""
        self._column.load_state_dict(state)

    def _observe(self) -> Any:
        return unflatten(self.observation_space, self._column._observe()[0])
