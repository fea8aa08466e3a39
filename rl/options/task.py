"""The environment, and what is done to its observations."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TaskOptions:
    """The environment, and what is done to its observations."""

    env: str = "MaskedVelocityCartPole-v1"
    """Gymnasium id, or module:Id-v0 or path/file.py:Id-v0 to import first what registers it."""
    env_arg: tuple[str, ...] = ()
    """Keyword argument of the environment as name=value (Python literals; anything else is a string); repeatable."""
    observe: str = ""
    """Entries of a Dict or Tuple observation to observe, separated by commas; a dot leads into one: robot.joints. All
    that the network can read, if empty. An action mask always goes along."""
    frame_stack: int = 1
    """Observations joined into one, oldest first; the first one of an episode pads."""
    previous_action: bool = False
    """Append the previous action to the observation: one-hots, bits, or numbers from -1 to 1 between bounds; zeros
    where an episode opens."""
    previous_reward: bool = False
    """Append the previous reward (zero where an episode opens) to the observation."""
    observation_scale: str = "auto"
    """Divide each observation entry: auto (the scale the environment names, if any), none, numbers as 2.4,0.2095, or l2
    (the whole observation by its own length)."""
