"""A ledger, and pushes to it."""

from typing import Any

from rl.shared.ledger import Ledger
from rl.shared.published import Publication
from tests.support.configs import cartpole_config


def make_ledger(threshold: float | None = 10.0, start_env_steps: int = 0, **options: Any) -> Ledger:
    """A ledger of one environment, where 100 episodes decide, unless options say otherwise."""
    defaults = {"workers": 1, "envs_per_worker": 1, "total_env_steps": 1_000_000, "log_interval": 1000}
    return Ledger(cartpole_config(**{**defaults, **options}), threshold, Publication(), start_env_steps)


def losses(**values: float) -> dict[str, float]:
    """The logged numbers of an update: zeros but for these."""
    names = ("policy_loss", "value_loss", "entropy", "explained_variance", "grad_norm", "staleness", "learning_rate")
    return {**dict.fromkeys(names, 0.0), **values}


def push(ledger: Ledger, returns=(), env_steps: int = 10, **values: float) -> bool:
    """One update with episodes of such returns; whether it crossed the threshold."""
    ledger.record(env_steps, losses(**values), [(float(value), 5) for value in returns])
    return ledger.crosses()
