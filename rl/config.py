"""One frozen dataclass is the command line, the W&B config and the header of the checkpoint."""

from dataclasses import dataclass
from typing import Any

from rl.algorithms import ALGORITHMS, Algorithm
from rl.config_rules import check, parsed_arguments
from rl.names import absolute
from rl.options.learning import LearningOptions
from rl.options.network import NetworkOptions
from rl.options.ppo import PPOOptions
from rl.options.processes import ProcessOptions
from rl.options.record import RecordOptions
from rl.options.replay import ReplayOptions
from rl.options.task import TaskOptions


@dataclass(frozen=True)
class Config(RecordOptions, ReplayOptions, PPOOptions, LearningOptions, ProcessOptions, NetworkOptions, TaskOptions):
    """One training run: what is learnt, by which network, by how many workers, and where the record goes."""

    # Fields come from the last base first, so the bases stand in the order of --help read backwards.

    def __post_init__(self) -> None:
        """Reject values that cannot work.

        Raises:
            ValueError: one line about the first option found wrong.
        """
        check(self)
        for name in ("env", "core", "torso"):  # a file is found from any folder
            object.__setattr__(self, name, absolute(getattr(self, name)))

    @property
    def env_args(self) -> dict[str, Any]:
        """Keyword arguments of the environment, parsed from `env_arg`."""
        return parsed_arguments(self.env_arg)

    @property
    def environment_options(self) -> dict[str, Any]:
        """The keyword arguments with which the environment layer builds vector environments."""
        names = ("env_args", "frame_stack", "previous_action", "previous_reward", "observation_scale")
        options = {name: getattr(self, name) for name in names}
        options |= {"observe": self.observe} if self.observe else {}
        return options | ({"log_info": self.logged_infos} if self.log_info else {})

    @property
    def logged_infos(self) -> tuple[str, ...]:
        """Names of `log_info`."""
        return tuple(self.log_info.split(",")) if self.log_info else ()

    @property
    def stops_at_episode_end(self) -> bool:
        """Whether a segment ends with its episode."""
        return self.stop_at_episode_end or self.segment_length == 0

    @property
    def algorithm_record(self) -> Algorithm:
        """What sets the algorithm apart from the others."""
        return ALGORITHMS[self.algorithm]

    @property
    def core_name(self) -> str:
        """The core's name without its module."""
        return self.core.rpartition(":")[2]

    @property
    def env_id(self) -> str:
        """The environment's id without the module or the file that registers it."""
        return self.env.rpartition(":")[2]

    @property
    def has_q_values(self) -> bool:
        """Whether the heads are read as action values."""
        return self.algorithm_record.has_q_values

    @property
    def replays(self) -> bool:
        """Whether it learns from a buffer."""
        return self.algorithm_record.replays

    @property
    def trained_rows(self) -> int:
        """Steps of a sequence that are trained on."""
        return 1 if self.replay_way == "transitions" else self.sequence_length

    @property
    def burn_in_rows(self) -> int:
        """Steps before a sequence that bring the state up to date."""
        return self.burn_in if self.replay_way in ("zero_burn_in", "stored_burn_in") else 0

    @property
    def following_rows(self) -> int:
        """Observations behind a sequence that its targets need."""
        return self.target_steps if "target_steps" in self.algorithm_record.options else 1

    @property
    def sequence_span(self) -> int:
        """Rows of a buffer that one sequence spans."""
        return self.burn_in_rows + self.trained_rows + self.following_rows

    @property
    def replay_rows(self) -> int:
        """Steps of each environment that its buffer holds: whole segments."""
        return self.replay_capacity // (self.total_environments * self.segment_length) * self.segment_length

    @property
    def total_environments(self) -> int:
        """Environments over all workers."""
        return self.workers * self.envs_per_worker

    def learning_rate_at(self, env_steps: int) -> float:
        """Adam's step size after `env_steps`: αₜ = α · (1 − (t − t₀) / (T − t₀)) where annealed, from t₀ on, else α."""
        falls = self.anneal_learning_rate and env_steps > self.anneal_from
        length = self.total_env_steps - self.anneal_from
        left = max(0.0, 1.0 - (env_steps - self.anneal_from) / length) if falls and length > 0 else 1.0
        return self.learning_rate * left
