"""Values of options: numbers that are large enough, comma-separated lists, options that an experiment sets itself."""

from collections.abc import Callable
from typing import Any

from rl.config import Config
from rl.config_rules import option


def at_least(least: int, **values: int) -> None:
    """Refuse whole numbers below `least`.

    Raises:
        ValueError: names the first one.
    """
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{option(name)} {value}: a whole number of at least {least} is needed")


def refuse(config: Config, default: Config, names: tuple[str, ...]) -> None:
    """Refuse options of a run that the experiment sets itself.

    Raises:
        ValueError: names the first one that is given.
    """
    for name in names:
        if getattr(config, name) != getattr(default, name):
            raise ValueError(f"{option(name)} {getattr(config, name)}: this experiment sets it itself, leave it out")


def listed(name: str, text: str, convert: Callable[[str], Any], needed: str) -> list:
    """The values of a comma-separated option.

    Raises:
        ValueError: the list is empty, names a value twice, or an entry is not what is needed.
    """
    values, wrong = [], text
    try:
        for entry in filter(None, map(str.strip, text.split(","))):
            wrong = entry
            values.append(convert(entry))
    except (ValueError, KeyError):
        values = []
    if not values:
        raise ValueError(f"{name} {wrong!r}: {needed} is needed")
    if any(value in values[:place] for place, value in enumerate(values)):
        raise ValueError(f"{name} {text!r}: each value once is needed")
    return values


def counts(name: str, text: str) -> list[int]:
    """The whole numbers above 0 of a comma-separated option.

    Raises:
        ValueError: the list is empty, or an entry is something else.
    """

    def count(entry: str) -> int:
        if int(entry) < 1:
            raise ValueError(entry)
        return int(entry)

    return listed(name, text, count, "a list of whole numbers of at least 1, as in 2,4,8,")
