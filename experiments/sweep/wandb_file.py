"""The same ranges as a sweep of W&B, for those who have a server."""

import json
from pathlib import Path
from typing import Any

from experiments.sweep.space import Range, Space
from rl.config_rules import option


def sweep_file(space: Space, options: list[str], seeds: list[int], trials: int) -> str:
    """The text of a wandb_sweep.yaml.

    Args:
        space: what is tried.
        options: the command line that all runs have in common.
        seeds: what the runs are seeded with; W&B draws one for each run.
        trials: how many, each with all seeds on average.

    Raises:
        ValueError: W&B has no way to give an option.
    """
    lines = [
        "# wandb sweep FILE, then wandb agent ID on each machine",
        "method: bayes",
        "metric:",
        "  name: eval_greedy",
        "  goal: maximize",
        f"run_cap: {trials * len(seeds)}",
        "command:",
        *(f"  - {json.dumps(word)}" for word in ("${env}", "${interpreter}", "-m", "experiments.train", *options)),
        '  - "${args}"',
        "program: experiments/train.py",
        "parameters:",
        *of_parameter("seed", {"values": seeds}),
    ]
    for one in space:
        if isinstance(one.values[0], bool):
            raise ValueError(f"{one}: W&B gives {option(one.name)} as a word that --help does not know, leave it out")
        lines += of_parameter(one.name, distribution(one))
    return "\n".join(lines) + "\n"


def distribution(one: Range) -> dict[str, Any]:
    """A range in the words of W&B."""
    if one.kind == "choice":
        return {"values": list(one.values)}
    low, high = one.values
    whole = isinstance(low, int)
    if one.kind == "uniform":
        return {"distribution": "int_uniform" if whole else "uniform", "min": low, "max": high}
    more = {"q": 1} if whole else {}
    return {"distribution": "q_log_uniform_values" if whole else "log_uniform_values", "min": low, "max": high, **more}


def of_parameter(name: str, words: dict[str, Any]) -> list[str]:
    """The lines of one parameter."""
    return [f"  {name}:", *(f"    {key}: {json.dumps(value)}" for key, value in words.items())]


def write(path: Path, text: str) -> None:
    """Write the file.

    Raises:
        ValueError: it is there already, or cannot be written.
    """
    if path.exists():
        raise ValueError(f"--wandb-sweep {path}: it is there already, name another file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"--wandb-sweep {path}: a file that can be written is needed ({error.strerror})") from None
