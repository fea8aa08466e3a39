"""What a result depends on: versions and the commit."""

import contextlib
import importlib.metadata
import platform
import subprocess
from pathlib import Path


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    found = {"python": platform.python_version(), "machine": platform.platform()}
    for package in ("torch", "gymnasium", "numpy", "einops", "wandb"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def git_commit() -> str | None:
    """The commit of this code, followed by `+` if files were changed since; None outside a checkout."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        git = ["git", "-C", str(Path(__file__).parent)]
        ask = {"capture_output": True, "encoding": "utf-8", "timeout": 5, "check": True}
        commit = subprocess.run([*git, "rev-parse", "HEAD"], **ask).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain", "--untracked-files=no"], **ask).stdout.strip()
        return commit + ("+" if changed else "")
    return None
