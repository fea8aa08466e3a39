"""What a sweep tries: option=log(low,high), option=uniform(low,high) or option=choice(a,b,...)."""

import difflib
import itertools
import math
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args, get_origin

from rl.config import Config
from rl.config_rules import option

NOT_TRIED = ("seed", "env_arg", "run_dir", "log_info", "wandb", "wandb_project", "wandb_name", "wandb_group")
MOST_CORNERS = 4096  # of all that could contradict each other, so many are tried
FORM = "option=log(low,high), option=uniform(low,high) or option=choice(a,b,...)"


@dataclass(frozen=True)
class Range:
    """The values of one option that trials may have."""

    name: str  # of the field of Config
    kind: Literal["log", "uniform", "choice"]
    values: tuple[Any, ...]  # all of them, or the lowest and the highest

    def suggest(self, trial: Any) -> Any:
        """The value that Optuna chooses for a trial."""
        if self.kind == "choice":
            return trial.suggest_categorical(self.name, list(self.values))
        suggest = trial.suggest_int if isinstance(self.values[0], int) else trial.suggest_float
        return suggest(self.name, *self.values, log=self.kind == "log")

    def has(self, value: Any) -> bool:
        """Whether a trial may have this value."""
        return value in self.values if self.kind == "choice" else self.values[0] <= value <= self.values[1]

    def __str__(self) -> str:
        return f"{self.name}={self.kind}({','.join(map(str, self.values))})"


Space = tuple[Range, ...]


def space_of(texts: Sequence[str], config: Config) -> Space:
    """The ranges that a command line names.

    Args:
        texts: one for each option.
        config: what all trials have in common.

    Raises:
        ValueError: one of them is wrong, or a trial could not be a run; one line.
    """
    if not texts:
        raise ValueError(f"nothing to try: {FORM} is needed, as in 'learning_rate=log(1e-4,1e-2)'")
    space = tuple(map(range_of, texts))
    for one in space:
        if sum(other.name == one.name for other in space) > 1:
            raise ValueError(f"{one}: {one.name} is given twice, one range is needed")
        for value in one.values:
            settings_of(config, {one.name: value}, f"{one}", (one,))
    for values in corners(space):
        settings = dict(zip((one.name for one in space), values, strict=True))
        settings_of(config, settings, "a trial with " + in_words(settings), space)
    return space


def settings_of(config: Config, settings: dict[str, Any], what: str, space: Space) -> Config:
    """A config with other settings.

    Raises:
        ValueError: no run can have them; the line begins with `what`.
    """
    try:
        return replace(config, **settings)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None


def in_words(settings: dict[str, Any]) -> str:
    """Settings in one line."""
    return ", ".join(f"{name} {shown(value)}" for name, value in settings.items())


def shown(value: Any) -> str:
    """A setting as a reader wants it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def range_of(text: str) -> Range:
    """The range that a text names.

    Raises:
        ValueError: it is wrong; one line that begins with the text.
    """
    match = re.fullmatch(r"\s*([\w-]+)\s*=\s*(\w+)\s*\((.*)\)\s*", text)
    if not match:
        raise ValueError(f"{text!r}: {FORM} is needed")
    name, kind, inner = match[1].lstrip("-").replace("-", "_"), match[2], match[3]
    known = {field.name: field for field in fields(Config)}
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        raise ValueError(f"{text!r}: there is no option {name}" + (f"; {near[0]} is one" if near else ", see --help"))
    if name in NOT_TRIED:
        raise ValueError(f"{text!r}: a sweep cannot try {option(name)}, another option is needed")
    if kind not in ("log", "uniform", "choice"):
        raise ValueError(f"{text!r}: {kind} is unknown, {FORM} is needed")
    kinds = known[name].type
    values = tuple(value_of(part.strip(), kinds, text) for part in inner.split(",")) if inner.strip() else ()
    if kind == "choice":
        if len(values) < 2 or len(set(values)) < len(values):
            raise ValueError(f"{text!r}: at least two values, each once, are needed")
    elif kinds not in (int, float):
        raise ValueError(f"{text!r}: {name} is no number, {name}=choice(...) is needed")
    elif len(values) != 2 or not values[0] < values[1]:
        raise ValueError(f"{text!r}: two numbers, the lower one first, are needed")
    elif kind == "log" and values[0] <= 0:
        raise ValueError(f"{text!r}: numbers above 0 are needed for log")
    return Range(name, kind, values)


def value_of(part: str, kind: Any, text: str) -> Any:
    """A value of a range, of the type of its option.

    Raises:
        ValueError: it is of another type.
    """
    if kind is bool:
        if part.lower() not in ("true", "false"):
            raise ValueError(f"{text!r}: {part!r} is neither true nor false")
        return part.lower() == "true"
    if kind in (int, float):
        try:
            number = kind(part)
            if not math.isfinite(number):
                raise ValueError(part)
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise ValueError(f"{text!r}: {part!r} is not {what}") from None
        return number
    if get_origin(kind) is Literal and part not in get_args(kind):
        raise ValueError(f"{text!r}: {part!r} is none of {', '.join(get_args(kind))}")
    return part


def corners(space: Space) -> Iterable[tuple[Any, ...]]:
    """Every combination of the ends of ranges and of choices, or many of them at random where they are too many."""
    if math.prod(len(one.values) for one in space) <= MOST_CORNERS:
        return itertools.product(*(one.values for one in space))
    chance = random.Random(0)
    return (tuple(chance.choice(one.values) for one in space) for _ in range(MOST_CORNERS))
