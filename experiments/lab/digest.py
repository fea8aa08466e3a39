"""What a row of results was made with, in eight letters."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rl.config import Config
from rl.loop import Overrides
from rl.presets import MASKED_CARTPOLE

NOT_LEARNING = (
    *("seed", "run_dir", "log_info", "checkpoint_interval"),
    *("wandb", "wandb_project", "wandb_name", "wandb_group"),
)


def digest(config: Config, overrides: Overrides) -> str:
    """Eight letters that change with every option that a run learns by, and not with options that only watch it.

    Only options that differ from --preset masked-cartpole count, so an option that is added to Config later leaves rows
    valid. Environments and functions are named without their modules, so a module that moves leaves rows valid, too.
    """
    default = asdict(Config(**MASKED_CARTPOLE))
    learning = {
        name: value for name, value in asdict(config).items() if name not in NOT_LEARNING and value != default[name]
    }
    if "env" in learning:
        learning["env"] = learning["env"].rpartition(":")[2]  # of `module:Id-v0`
    for name in learning.keys() & {"core", "torso"}:
        learning[name] = os.path.basename(learning[name])  # of `folder/file.py:Class`
    return hashlib.sha256(
        json.dumps([learning, [described(overrides.targets), described(overrides.make_learner)]]).encode()
    ).hexdigest()[:8]


def described(override: Callable[..., Any] | None) -> Any:
    """A function's name; for a partial function its name and arguments."""
    if override is None:
        return None
    function = getattr(override, "func", override)
    return [function.__qualname__, getattr(override, "keywords", {}), *getattr(override, "args", ())]
