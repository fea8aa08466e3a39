"""Modules that are named by their file: `path/tmaze.py` instead of `tmaze`."""

import importlib.util
import sys
import zlib
from pathlib import Path
from types import ModuleType


def is_file(module: str) -> bool:
    """Return whether a module is named by its file."""
    return module.endswith(".py")


def import_file(file: str) -> ModuleType:
    """Import a file once in this process, under its own name where that is free.

    Its folder joins the end of the module search path, so that it finds the modules beside it.

    Raises:
        ValueError: there is no such file. Other errors are those of the import.
    """
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
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
