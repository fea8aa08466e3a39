"""Command lines of the experiments: parsing, help, and one line for a wrong option."""

import contextlib
import io
import itertools
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from experiments.lab.display import command_line, paragraphs
from experiments.lab.study import RunFailed
from rl.config import Config, option

Command = TypeVar("Command")


def parse(command: type[Command], docstring: str, default: Command | None = None) -> Command:
    """Parse the command line into a dataclass, its docstrings being the help.

    Args:
        command: the dataclass.
        docstring: of the experiment.
        default: holds the values of options that are not given, where they are not the dataclass's own.

    Raises:
        ValueError: an option is wrong, in one line.
    """
    import tyro

    # Append: an option that takes several values is repeated, as in --env-arg delay=8 --env-arg cues=3.
    style = (tyro.conf.OmitArgPrefixes, tyro.conf.UseAppendAction)
    shown = {"prog": program(), "description": paragraphs(docstring), "config": style}
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(command, default=default or tyro.MISSING_NONPROP, **shown)
    except SystemExit as end:
        if not end.code:  # --help
            raise
        raise ValueError(without_box(said.getvalue())) from None


def given(name: str) -> list[str | None]:
    """The values that the command line gives an option, found before it is parsed; None where one is missing."""
    values, words = [], sys.argv[1:]
    for word, next_word in itertools.zip_longest(words, words[1:]):
        said, equals, value = word.partition("=")
        if said.replace("_", "-") == name:
            values.append(value if equals else next_word)
    return values


def program() -> str:
    """How this program is called: `python -m experiments.train`."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)  # a package's is that of its __main__
    name = spec.name.removesuffix(".__main__") if spec else f"experiments.{Path(sys.argv[0]).stem}"
    return f"python -m {name}"


def without_box(text: str) -> str:
    """The first paragraph of tyro's framed error, in one line and in our words."""
    lines = [line.strip("│ ") for line in text.splitlines()[1:]]  # the first is the frame's title
    parts = itertools.groupby(lines, lambda line: bool(line.strip("─-╰╯")))
    said = next((" ".join(part) for is_text, part in parts if is_text), text)
    for theirs, ours in (
        (r"^Error parsing (config: )?", ""),
        (r": invalid literal for int\(\) with base 10: (.*)$", r" \1: a whole number is needed"),
        (r": could not convert string to float: (.*)$", r" \1: a number is needed"),
        (r"^invalid choice (.*) for argument '(.*)'\. Expected one of \((.*)\)\.$", r"\2 \1: one of \3 is needed"),
        (r"^Missing value for argument '(.*)'\. Expected 1 values\.$", r"\1: a value is needed, see --help"),
        (r"^Unrecognized options: (.*)$", r"\1: there is no such option, see --help"),
    ):
        said = re.sub(theirs, ours, said)
    return said


def refuse(config: Config, default: Config, names: tuple[str, ...]) -> None:
    """Refuse options of a run that the experiment sets itself.

    Raises:
        ValueError: the first one given.
    """
    for name in names:
        if getattr(config, name) != getattr(default, name):
            raise ValueError(f"{option(name)} {getattr(config, name)}: this experiment sets it itself, leave it out")


def listed(name: str, text: str, convert: Callable[[str], object], needed: str) -> list:
    """The values of a comma-separated option.

    Raises:
        ValueError: it is empty, or an entry is not what is needed.
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
        ValueError: it is empty, or an entry is something else.
    """

    def count(entry: str) -> int:
        if int(entry) < 1:
            raise ValueError(entry)
        return int(entry)

    return listed(name, text, count, "a list of whole numbers of at least 1, as in 2,4,8,")


def experiment(run: Callable[[], None]) -> None:
    """Run an experiment's body and end the process; a failed run ends it in one line, with the run's exit code."""
    from rl.record.wandb_mirror import exit_process

    exit_code = 0
    with command_line():
        try:
            run()
        except RunFailed as failure:
            print(f"error: {failure}", flush=True)
            exit_code = failure.exit_code
    exit_process(exit_code)
