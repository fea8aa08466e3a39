"""Command lines of the experiments: parsing, help, and one line for a wrong option."""

import contextlib
import io
import itertools
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from rl.record.paths import require_makeable
from rl.shared.streams import lasting_streams

Command = TypeVar("Command")
FILES = (".md", ".csv", ".png", ".onnx", ".json", ".pdf")  # endings of an --out that is a file


def parse(command: type[Command], docstring: str, default: Command | None = None) -> Command:
    """Parse the command line into a dataclass, whose docstrings are the help.

    Args:
        command: the dataclass.
        docstring: describes the experiment; --help opens with it.
        default: holds the values of options that are not given, where the dataclass's own do not apply.

    Raises:
        ValueError: an option is wrong; the message is one line.
    """
    import tyro

    # Append: an option that takes several values is repeated, as in --env-arg delay=8 --env-arg cues=3.
    style = (tyro.conf.OmitArgPrefixes, tyro.conf.UseAppendAction)
    shown = {"prog": program(), "description": paragraphs(docstring), "config": style}
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            parsed = tyro.cli(command, default=default or tyro.MISSING_NONPROP, **shown)
    except SystemExit as end:
        if not end.code:  # --help
            raise
        raise ValueError(without_box(errors.getvalue())) from None
    require_places(parsed)
    return parsed


def require_places(command: Any) -> None:
    """Check that what an experiment writes can be written, before anything starts.

    Raises:
        ValueError: names the first option whose place cannot be made.
    """
    for name, of_file in (("runs_dir", False), ("out", False), ("gif", True)):
        place = getattr(command, name, None)
        if isinstance(place, Path):
            require_makeable(f"--{name.replace('_', '-')}", place.parent if of_file or place.suffix in FILES else place)


def given(name: str) -> list[str | None]:
    """The values that the command line gives an option, found before it is parsed; None where a value is missing."""
    values, words = [], sys.argv[1:]
    for word, next_word in itertools.zip_longest(words, words[1:]):
        written, equals, value = word.partition("=")
        if written.replace("_", "-") == name:
            values.append(value if equals else next_word)
    return values


def program() -> str:
    """How this program is called: `python -m experiments.train`."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)  # a package's spec names its __main__
    name = spec.name.removesuffix(".__main__") if spec else "experiments"
    return f"python -m {name}"


def paragraphs(docstring: str) -> str:
    """A module's docstring for --help, which fills each paragraph.

    A paragraph ends at an empty line, before a line that opens with a word and a colon, and before an indented line.
    """
    units: list[str] = []
    for line in docstring.splitlines():
        continues = units and units[-1] and line and not line.startswith("    ") and not re.match(r"\w+: ", line)
        if continues or (line.startswith(" " * 10) and units and units[-1]):
            units[-1] += " " + line.strip()
        else:
            units.append(line)
    return "\n\n".join(unit for unit in units if unit)


def without_box(text: str) -> str:
    """The first paragraph of tyro's framed error, in one line and in our words."""
    lines = [line.strip("│ ") for line in text.splitlines()[1:]]  # the first line is the frame's title
    blocks = itertools.groupby(lines, lambda line: bool(line.strip("─-╰╯")))
    message = next((" ".join(block) for is_text, block in blocks if is_text), text)
    for theirs, ours in (
        (r"^Error parsing (config: )?", ""),
        (r": invalid literal for int\(\) with base 10: (.*)$", r" \1: a whole number is needed"),
        (r": could not convert string to float: (.*)$", r" \1: a number is needed"),
        (
            r"^(--[\w-]+): no type matching .*\{None\}.* could be instantiated from \[(.*)\]\.$",
            r"\1 \2: a number is needed",
        ),
        (r"^invalid choice (.*) for argument '(.*)'\. Expected one of \((.*)\)\.$", r"\2 \1: one of \3 is needed"),
        (r"^Missing value for argument '(.*)'\. Expected 1 values\.$", r"\1: a value is needed, see --help"),
        (r"^Unrecognized options: (-.*)$", r"\1: there is no such option, see --help"),
        (r"^Unrecognized options: (.*)$", r"\1: no option takes this value, see --help"),
    ):
        message = re.sub(theirs, ours, message)
    return message


class Terminated(BaseException):
    """SIGTERM came. It is no SystemExit, by which the parser of the command line refuses an option."""


@contextlib.contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Turn a wrong option into one line and exit code 2, and Ctrl-C and SIGTERM into 130 and 143 without a traceback.

    Whatever is printed, a reader that goes away changes no exit code, and a locale without a character has a ? for it.
    """
    lasting_streams()

    def end(_number: int, _frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).splitlines())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Terminated:
        sys.exit(143)
    finally:
        signal.signal(signal.SIGTERM, before)


def experiment(run: Callable[[], None]) -> None:
    """Run an experiment's body and end the process; a failed run ends it in one line, with the run's exit code."""
    from experiments.lab.runs import RunFailed

    exit_code = 0
    with errors_in_one_line():
        try:
            run()
        except RunFailed as failure:
            print(f"error: {failure}", flush=True)
            exit_code = failure.exit_code
    from rl.record.exit_process import exit_process

    exit_process(exit_code)
