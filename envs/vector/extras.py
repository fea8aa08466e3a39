"""Packages of environments that are not installed with this one, and the command that installs each."""

import functools
import sys

MODULES = {  # the module that is missing: the extra of setup.cfg
    "minigrid": "minigrid",
    "popgym": "popgym",
    "mujoco": "mujoco",
    "Box2D": "box2d",
    "ale_py": "atari",
    "mazelib": "labyrinth",
}
REGISTERED_BY = {  # how ids begin: the module that registers them, which no user has to name
    "ALE/": "ale_py",
    "MiniGrid-": "minigrid",
    "BabyAI-": "minigrid",
    "popgym-": "popgym",
}
NOT_REGISTERED_WITHOUT = {"popgym-Labyrinth": "mazelib"}  # how ids begin: the module without which there are none


def installed_by(module: str | None) -> str:
    """Return the command that installs a missing module; "" if it is of no extra."""
    extra = MODULES.get((module or "").partition(".")[0])
    return f"pip install -e .[{extra}]" if extra else ""


def let_mujoco_warn_once() -> None:
    """Let MuJoCo, where it is loaded, say each of its warnings once in this process and not once an environment."""
    mujoco = sys.modules.get("mujoco")
    if mujoco and mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(functools.cache(lambda text: print(f"MuJoCo: {text}", file=sys.stderr)))


def missing_module(error: BaseException) -> str:
    """Return in one line what is to be installed, where an environment could not be made for want of it; else ""."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ModuleNotFoundError) and (command := installed_by(cause.name)):
            return f"{cause.name} is not installed; {command}"
        cause = cause.__cause__ or cause.__context__
    return ""
