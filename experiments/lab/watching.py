"""An Experience that passes everything on, for experiments that measure while it learns."""

from typing import Any

from rl.acting.segment import Segment
from rl.config import Config


class Watching:
    """Wraps an experience; a subclass measures in `add` or `differentiate`.

    Measuring must not count in the run's CPU seconds, and must leave the run as it would be without.
    """

    def __init__(self, experience: Any, config: Config, moments: tuple[float, ...]) -> None:
        """Wrap an experience that is measured at these shares of the env steps."""
        self.experience, self.config, self.flat = experience, config, experience.flat
        self.moments = [share * config.total_env_steps for share in moments]
        self.env_steps = 0

    def add(self, segment: Segment) -> int:
        """Add a segment to the experience."""
        self.env_steps += segment.env_steps * self.config.workers
        return self.experience.add(segment)

    def moment_comes(self) -> bool:
        """Whether a moment has come; it is gone then."""
        comes = bool(self.moments) and self.env_steps >= self.moments[0]
        if comes:
            self.moments.pop(0)
        return comes

    def differentiate(self) -> dict[str, float]:
        """Differentiate as the experience does."""
        return self.experience.differentiate()

    def still_due(self, left: int) -> int:
        """Return what the experience says of the updates that are left."""
        return self.experience.still_due(left)

    def state(self) -> dict[str, Any]:
        """Return the state of the experience; a resumed run measures from its new start on."""
        return self.experience.state()

    def load_state(self, state: dict[str, Any]) -> None:
        """Load what `state()` returned."""
        self.experience.load_state(state)
