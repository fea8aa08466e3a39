"""The ways to distribute learning, and the configs of their runs."""

from typing import Any, NamedTuple

from rl.config import Config
from rl.presets import PRESETS

ENVIRONMENTS = 8  # over all workers
ENV_STEPS = 70_000
WORKERS = (1, 2, 4, 8)
LONG_STEPS = f"one process {ENVIRONMENTS} x learning rate"
EXPENSIVE_MS = 1.0  # of a step, in the learning runs with the expensive environment


class Way(NamedTuple):
    """How learning is distributed."""

    mode: str
    workers: int = 1

    @property
    def kind(self) -> str:
        """Async, sync or one process."""
        return "one process" if self.mode == "serial" else self.mode

    @property
    def name(self) -> str:
        """The name of its arm."""
        return self.kind + (f" {self.workers} worker{'s' * (self.workers > 1)}" if self.mode != "serial" else "")

    def config(self, compute_ms: float = 0.0, **options: Any) -> Config:
        """The config of a run with 8 environments in all, whose steps compute for `compute_ms` milliseconds."""
        mine = {"mode": self.mode, "workers": self.workers, "envs_per_worker": ENVIRONMENTS // self.workers}
        if compute_ms:
            from experiments.chapter5.expensive import EXPENSIVE_ENV

            mine |= {"env": EXPENSIVE_ENV, "env_arg": (f"compute_ms={compute_ms:g}",)}
        return Config(**PRESETS["chapter5-batched"] | {"total_env_steps": ENV_STEPS} | mine | options)


WAYS = {
    way.name: way for way in (Way("serial"), *(Way(mode, workers) for mode in ("async", "sync") for workers in WORKERS))
}
QUICK = [way.name for way in WAYS.values() if way.workers in (2, 8) or way.mode == "serial"]
EXPENSIVE = [way.name for way in WAYS.values() if way.workers == 2 or way.mode == "serial"]


def expensive_name(arm: str) -> str:
    """The arm that learns as `arm` does, with the expensive environment."""
    return f"{arm} {EXPENSIVE_MS:g} ms"
