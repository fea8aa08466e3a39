"""Names of cores and torsos: a short one from a table here, or `module:Class` for one of yours.

Importing this module imports no torch: a worker checks its config before it loads torch.
"""

import importlib
from collections.abc import Mapping
from typing import Any

CORES = {
    "mlp": "rl.agent.cores:MLPCore",
    "rnn": "rl.agent.cores:RNNCore",
    "gru": "rl.agent.cores:GRUCore",
    "lstm": "rl.agent.cores:LSTMCore",
}
TORSOS = {"mlp": "rl.agent.torsos:MLPTorso"}


def check_name(option: str, name: str, known: Mapping[str, str]) -> None:
    """Refuse a name that is neither in the table nor of the form `module:Class`.

    Raises:
        ValueError: the name is neither.
    """
    module, colon, attribute = name.partition(":")
    if name not in known and not (colon and attribute.isidentifier() and all(map(str.isidentifier, module.split(".")))):
        raise ValueError(f"{option} {name!r}: one of {', '.join(known)}, or module:Class, is needed")


def load(name: str, known: Mapping[str, str] | None = None) -> Any:
    """Import what a name stands for.

    Raises:
        ImportError: the module cannot be found or imported.
        AttributeError: the module has no such class.
    """
    module, _, attribute = (known or {}).get(name, name).partition(":")
    return getattr(importlib.import_module(module), attribute)
