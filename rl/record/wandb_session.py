"""W&B in this process: its variables, its key, online or offline. All of it stays as the caller had it."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from rl.record.messages import Notify
from rl.record.wandb_names import LENGTHS, cut, reason

MODES = ("online", "offline", "disabled")
_said: list[str] = []  # by this process: once is enough for a study of many runs


def refused_variables(wandb: Any) -> dict[str, str]:
    """Variables with which W&B would not even start, and why; it reads all of them, also those that it will not use."""
    found, check = {}, checker(wandb)
    for name, value in list(os.environ.items()):
        if name.startswith("WANDB_"):
            try:
                check({name: value})
            except Exception as error:  # whatever its validators raise
                found[name] = reason(error).rstrip(".")
    if os.environ.get("WANDB_MODE", "online") not in MODES:
        found["WANDB_MODE"] = f"not {', '.join(MODES[:-1])} or {MODES[-1]}"
    return found


def malformed_variables(wandb: Any, refused: dict[str, str]) -> dict[str, str]:
    """The refused variables without those that are empty or only too long: those are read, see `names_of`."""
    found, check = {}, checker(wandb)
    for name, why in refused.items():
        shorter = cut(os.environ.get(name, ""), LENGTHS["project"])
        if not shorter or name == "WANDB_TAGS":
            continue
        with contextlib.suppress(Exception):
            if name == "WANDB_PROJECT":
                check({name: shorter})
                continue
        found[name] = why
    return found


def checker(wandb: Any) -> Callable[[dict[str, str]], None]:
    """Raises whatever W&B raises on variables."""
    return getattr(wandb.Settings(), "update_from_env_vars", lambda _variables: None)


@contextlib.contextmanager
def without(variables: dict[str, str]) -> Iterator[None]:
    """Hide variables while W&B reads all of them."""
    hidden = {name: os.environ.pop(name) for name in variables if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def start(wandb: Any, refused: dict[str, str]) -> Callable[[], None]:
    """Start W&B without the variables that it refuses, and without its words unless the caller has started it.

    Returns:
        Puts back what W&B's settings were for the caller, or would have been.
    """
    try:
        from wandb.sdk import wandb_setup

        singleton = wandb_setup.singleton()
        loaded = singleton.settings_if_loaded is not None
    except (ImportError, AttributeError):  # of another version
        singleton, loaded = None, False
    settings = None
    with without(refused), contextlib.suppress(Exception):  # what is wrong, wandb.init says again
        if not loaded:
            wandb.termsetup(wandb.Settings(silent=True), None)  # it would say which files it reads
        settings = getattr(singleton or wandb.setup(), "settings", None)
    if settings is None:
        return lambda: None
    before = settings.model_copy()
    if not loaded:
        settings.silent = True
        wandb.termsetup(settings, None)

    def put_back() -> None:
        for name in type(settings).model_fields:
            if getattr(settings, name) != getattr(before, name):
                setattr(settings, name, getattr(before, name))
        if not loaded:
            wandb.termsetup(settings, None)

    return put_back


def mode_of(option: str, wandb: Any, malformed: dict[str, str], notify: Notify) -> str:
    """Online, offline or disabled, by the option, then by WANDB_MODE, then by whether there is a key. Never prompts."""
    wish = os.environ.get("WANDB_MODE", "")
    if option == "auto" and wish and wish not in MODES:
        notify(f"WANDB_MODE={wish!r} is not online, offline or disabled: this run is logged offline")
        return "offline"
    mode = wish or "auto" if option == "auto" else option
    if mode in ("offline", "disabled"):
        return mode
    if "WANDB_BASE_URL" in malformed:
        url, why = os.environ["WANDB_BASE_URL"], malformed["WANDB_BASE_URL"]
        notify(f"W&B: WANDB_BASE_URL {url!r} is malformed ({why}): this run is logged offline")
        return "offline"
    problem = key_problem(wandb, malformed)
    if problem is None:
        return "online"
    if problem:
        notify(f"W&B: the API key is malformed ({problem}): this run is logged offline")
    elif mode == "online" or not _said:
        _said.append("offline")
        notify("W&B: no API key found, runs are logged offline; `wandb sync` uploads them later")
    return "offline"


def key_problem(wandb: Any, malformed: dict[str, str]) -> str | None:
    """What is wrong with the key, "" where there is none, None where one is there. That it is right, init finds."""
    if "WANDB_API_KEY" in malformed:
        return f"WANDB_API_KEY: {malformed['WANDB_API_KEY']}"
    try:
        from wandb.errors import AuthenticationError
        from wandb.sdk import wandb_setup
        from wandb.sdk.lib import wbauth

        # wandb.login says no while a run of the caller's is active, and writes files.
        look = wbauth.authenticate_session
        host = os.environ.get("WANDB_BASE_URL") or wandb_setup.singleton().settings.base_url
    except (ImportError, AttributeError):  # of another version
        with contextlib.suppress(Exception):
            return None if wandb.login(prompt=False, verify=False) else ""
        return ""
    try:
        found = look(host=host, source="carryover", prompt=False, update_session=False)
    except AuthenticationError as error:
        return reason(error).rstrip(".")
    except Exception:  # an unreadable file, for one
        return ""
    return "" if found is None else None
