"""Names of cores and torsos: a short one from a table here, `module:Class` or `path/file.py:Class` for one of yours.

Importing this module imports no torch: a worker checks its config before it loads torch.
"""

import importlib
import importlib.util
import os
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

CORES = {
    "mlp": "rl.agent.cores:MLPCore",
    "rnn": "rl.agent.cores:RNNCore",
    "gru": "rl.agent.cores:GRUCore",
    "lstm": "rl.agent.cores:LSTMCore",
    "rtu": "rl.agent.diagonal.rtu:RTUCore",
    "mingru": "rl.agent.diagonal.mingru:MinGRUCore",
}
DIAGONAL = ("rtu", "mingru")  # whose recurrence acts on each unit by itself
TORSOS = {name: f"rl.agent.torsos.choice:{name}_torso" for name in ("auto", "mlp", "conv", "nature", "grid")}


def check_name(option: str, name: str, known: Mapping[str, str]) -> None:
    """Refuse a name that is neither in the table nor of the form `module:Class`, where a module may be a file.

    Raises:
        ValueError: the name is neither.
    """
    module, colon, attribute = name.rpartition(":")
    found = name in known or is_file(module) or (module and all(map(str.isidentifier, module.split("."))))
    if not found or (colon and not attribute.isidentifier()):
        raise ValueError(f"{option} {name!r}: one of {', '.join(known)}, module:Class or path/file.py:Class is needed")


def load(name: str, known: Mapping[str, str] | None = None) -> Any:
    """Import what a name stands for.

    Raises:
        ImportError: the module cannot be found or imported.
        AttributeError: the module has no such class.
    """
    module, _, attribute = (known or {}).get(name, name).rpartition(":")
    return getattr(import_file(module) if is_file(module) else import_module(module, attribute), attribute)


def is_file(module: str) -> bool:
    """Whether a module is named by its file."""
    return module.endswith(".py")


def absolute(name: str) -> str:
    """A name whose file, if it has one, is found from any folder."""
    module, _, rest = name.rpartition(":")
    return f"{os.path.abspath(os.path.expanduser(module))}:{rest}" if is_file(module) else name


def import_module(module: str, attribute: str) -> ModuleType:
    """Import a module by its name.

    Raises:
        ImportError: it cannot be found, which the message says how to mend, or not be imported.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # another one, which this one imports
        file = f"{module.replace('.', '/')}.py"
        raise ModuleNotFoundError(
            f"{error}; run the command in the folder that has {file}, or name the file by its path, as in "
            f"path/{file}:{attribute}",
            name=error.name,
        ) from error


def import_file(file: str) -> ModuleType:
    """Import a file once in this process, under its own name where that is free.

    Its folder joins the end of the module search path, so that it finds the modules beside it. `envs.vector.files` does
    the same, so that an environment and a core may stand in one file.

    Raises:
        ImportError: there is no such file. Other errors are those of the import.
    """
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise ImportError(f"there is no file {path}")
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == str(path) and module.__name__ != "__main__":
            return module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    name = path.stem
    found = None if name in sys.modules or not name.isidentifier() else importlib.util.find_spec(name)
    if found is None or Path(found.origin or "").resolve() != path:
        name = f"{name}_{zlib.crc32(str(path).encode()):08x}"  # another module has the plain name
    spec = importlib.util.spec_from_file_location(name, path)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
