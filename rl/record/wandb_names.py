"""What W&B is told of a run. An option comes before W&B's variable, and the variable before our default."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from rl.config import Config

LENGTHS = {"project": 128, "group": 128, "name": 128, "job_type": 64, "tags": 64, "id": 64}  # W&B takes no longer ones
_WORDS = {  # by which an error of W&B speaks of a setting
    "project": r"project",
    "entity": r"entity|team\b",
    "group": r"group",
    "name": r"run[ _]?name|display[ _]?name",
    "tags": r"\btags?\b",
    "notes": r"notes",
    "job_type": r"job[ _]?type",
    "id": r"run[ _]?id",
    "dir": r"root[ _]?dir|director",
    "base_url": r"base[ _]?url|https?://|\bhost\b|network|connect",
    "api_key": r"api[ _]?key|credential|authenticat|permission|\b40[13]\b",
}
_SOURCES = {  # where a setting of W&B comes from: our option, if there is one, and W&B's variable
    "project": ("--wandb-project", "WANDB_PROJECT"),
    "group": ("--wandb-group", "WANDB_RUN_GROUP"),
    "entity": ("", "WANDB_ENTITY"),
    "name": ("--wandb-name", "WANDB_NAME"),
    "tags": ("", "WANDB_TAGS"),
    "notes": ("", "WANDB_NOTES"),
    "job_type": ("", "WANDB_JOB_TYPE"),
    "id": ("", "WANDB_RUN_ID"),
    "dir": ("", "WANDB_DIR"),
    "base_url": ("", "WANDB_BASE_URL"),
    "api_key": ("", "WANDB_API_KEY"),
}


class Names(NamedTuple):
    """What W&B is told of a run."""

    arguments: dict[str, Any]  # of wandb.init; None: W&B decides
    sources: dict[str, str]  # of those that a user gave: the option or the variable, with its value


def names_of(config: Config, run_dir: Path, malformed: dict[str, str], folder: Path | None = None) -> Names:
    """The names of a run, cut to the lengths that W&B takes; its config keeps the whole.

    Args:
        config: the config of the run.
        run_dir: W&B writes there by default.
        malformed: variables that W&B would refuse, which count as not set.
        folder: an option's, where W&B writes.
    """
    environment, learner = config.env.rpartition(":")[2], f"{config.core_name}-{config.env.rpartition(':')[2]}"
    seed = f"-s{config.seed}"
    options = {"project": config.wandb_project, "group": config.wandb_group, "name": config.wandb_name}
    options["dir"] = str(folder or "")
    defaults = {
        "project": "carryover",
        "group": learner,
        "name": cut(learner, LENGTHS["name"] - len(seed)) + seed,
        "job_type": "train",
        "tags": [config.core_name, environment, config.mode],
        "dir": str(run_dir),
    }
    arguments, sources = {}, {}
    for name, (option, variable) in _SOURCES.items():
        found = "" if variable in malformed else os.environ.get(variable, "")
        value = options.get(name) or found
        if value:
            shown = "" if name == "api_key" else f" {value!r}"
            sources[name] = (option if options.get(name) else variable) + shown
        if name in ("base_url", "api_key"):  # those are settings of a session
            continue
        chosen = value or defaults.get(name)
        if name == "tags":
            tags = [tag.strip() for tag in chosen.split(",")] if value else chosen
            chosen = [cut(tag, LENGTHS["tags"]) for tag in dict.fromkeys(tags) if tag]
        elif chosen and name in LENGTHS:
            chosen = cut(chosen, LENGTHS[name])
        arguments[name] = os.path.expanduser(chosen) if name == "dir" else chosen
    return Names(arguments, sources)


def cut(text: str, length: int) -> str:
    """A text of at most this length: else its beginning, and eight letters that tell it from others that begin so."""
    if len(text) <= length:
        return text
    return f"{text[: length - 9]}-{hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"


def reason(error: BaseException) -> str:
    """Why W&B refuses something, in one line. A refused value is not in it where pydantic refuses: it may be a key."""
    errors = getattr(error, "errors", None)  # pydantic lists them
    if not callable(errors):
        return " ".join(str(error).split())
    first = errors()[0]
    where = ".".join(map(str, first["loc"]))
    return " ".join(f"{where}: {first['msg'].removeprefix('Value error, ')}".removeprefix(": ").split())


def in_words(error: BaseException, names: Names | None) -> str:
    """An exception of W&B in one line, with the settings that it speaks of, as a user gives them."""
    text = reason(error)
    line = f"{type(error).__name__}: {text}"
    if names is None:
        return line
    blamed = []
    for name, words in _WORDS.items():
        if re.search(words, text, re.IGNORECASE):
            option, variable = _SOURCES[name]
            blamed.append(names.sources.get(name) or option or variable)
    new = [one for one in blamed if one.split(" ")[0] not in text]
    return f"{line}; see {', '.join(new)}" if new else line
