"""A vector environment whose observations are encoded one by one: those of Dict, Tuple, Discrete and other spaces."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import iterate

from envs.vector.adapter import VectorAdapter
from envs.vector.contract import not_in
from envs.vector.encoders import Encoder
from envs.vector.episode_infos import entry
from envs.vector.messages import BrokenContract, env_name, in_short, one_line
from envs.vector.packing import MASK


class RowsAdapter(VectorAdapter):
    """Encodes each row of a SAME_STEP vector environment as a single environment's observation is encoded."""

    def __init__(self, env: VectorEnv, observe: Sequence[str] = (), mask_in_infos: bool = False):
        """Adapt a vector environment; `Encoder` explains the arguments."""
        spaces = env.single_observation_space, env.single_action_space
        super().__init__(env, Encoder(*spaces, observe, mask_in_infos, env_name(env)))

    def _array(self, observations: Any, call: str, infos: dict[str, Any]) -> np.ndarray:
        rows = [self._row(one, call, infos, column) for column, one in enumerate(self._one_by_one(observations))]
        array = np.stack(rows)
        self._bounds.check(array, call)
        return array

    def _final(
        self, observations: np.ndarray, infos: dict[str, Any], ended: np.ndarray, terminated: np.ndarray
    ) -> np.ndarray:
        if "final_obs" not in infos:
            raise BrokenContract(f"{self._name}: an episode ended without its last observation, infos['final_obs']")
        last, given = observations.copy(), infos["final_obs"]
        finals = given if isinstance(given, np.ndarray | list) else self._one_by_one(given)
        infos = infos.get("final_info", {})
        for column in ended.nonzero()[0]:
            last[column] = self._row(finals[column], "step", infos, column, bool(terminated[column]))
        self._bounds.check(last, "step")
        return last

    def _one_by_one(self, observations: Any) -> list[Any]:
        """Return the observations of a batch as those of single environments."""
        try:
            singles = list(iterate(self.env.observation_space, observations))
        except Exception as error:  # it may be anything
            raise BrokenContract(f"{self._name}: observations {in_short(observations)}: {one_line(error)}") from error
        if len(singles) != self.num_envs:
            raise BrokenContract(f"{self._name}: {len(singles)} observations of {self.num_envs} environments")
        return singles

    def _row(self, observation: Any, call: str, infos: dict[str, Any], column: int, over: bool = False) -> np.ndarray:
        """Return one environment's observation as a new array."""
        try:
            return self.encoder(observation, call, entry(infos, MASK, column), over)
        except BrokenContract:
            raise
        except (TypeError, ValueError) as error:
            raise not_in(self._name, call, observation, self.encoder.observed, one_line(error)) from None
