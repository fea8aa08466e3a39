"""A new run that begins with the parameters of another one."""

from pathlib import Path

from rl.config import Config
from rl.config_rules import option
from rl.record.checkpoint import fitting, load_checkpoint
from rl.running.setup import Setup

NETWORK = [
    "core",
    "hidden_size",
    "core_layers",
    "torso",
    "torso_size",
    "torso_layers",
    "activation",
    "value_hidden_size",
    "normalise_observations",
    "normalise_returns",
    "bounded_values",
    "separate_critic",
]


def begin_with_parameters(setup: Setup) -> None:
    """Load the parameters of the run that --init-from names, if it names one.

    Optimiser, episodes and record begin anew. The environment may be another one, of the same spaces.

    Raises:
        ValueError: one line that says why they do not fit.
    """
    config = setup.config
    if not config.init_from:
        return
    path = Path(config.init_from) / "checkpoint.pt"
    try:
        was, state = load_checkpoint(path)
        with fitting(path):
            parameters = state["learner"]["parameters"]
            count = parameters.numel()
    except ValueError as error:
        raise ValueError(f"--init-from {config.init_from}: {error}") from None
    require_same_network(was, config)
    if count != len(setup.agent):
        raise ValueError(
            f"--init-from {config.init_from}: its network has {count:,} parameters, and with the spaces of "
            f"{config.env} it would have {len(setup.agent):,}; an environment of the same spaces is needed"
        )
    setup.agent.load(parameters)
    setup.learner.parameters.copy_(parameters)
    if "sums" in setup.learner.vectors:  # the scales that the parameters were learnt with go on
        setup.learner.vectors["sums"].copy_(state["learner"]["sums"])


def require_same_network(was: Config, config: Config) -> None:
    """Check that parameters mean the same in both.

    Raises:
        ValueError: names the first option that differs.
    """
    for name in NETWORK:
        if getattr(was, name) != getattr(config, name):
            raise ValueError(
                f"--init-from {config.init_from}: its network has {option(name)} {getattr(was, name)}, not "
                f"{getattr(config, name)}; the same network is needed"
            )
    if was.has_q_values != config.has_q_values:
        raise ValueError(
            f"--init-from {config.init_from}: its heads are read as --algorithm {was.algorithm} reads them, "
            f"{config.algorithm} reads them otherwise"
        )
