"""Command lines of the experiments: parsing, help, and one line for a wrong option."""

from collections.abc import Callable
from typing import TypeVar

from experiments.display import command_line, paragraphs
from experiments.study import RunFailed
from rl.config import Config, option

Command = TypeVar("Command")


def parse(command: type[Command], docstring: str) -> Command:
    """Parse the command line into a dataclass, its docstrings being the help."""
    import tyro

    # Append: an option that takes several values is repeated, as in --env-arg delay=8 --env-arg cues=3.
    return tyro.cli(
        command, description=paragraphs(docstring), config=(tyro.conf.OmitArgPrefixes, tyro.conf.UseAppendAction)
    )


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
    try:
        values = [convert(entry.strip()) for entry in text.split(",") if entry.strip()]
    except (ValueError, KeyError):
        values = []
    if not values:
        raise ValueError(f"{name} {text!r}: {needed} is needed")
    return values


def experiment(run: Callable[[], None]) -> None:
    """Run an experiment's body and end the process; a failed run ends it in one line, with the run's exit code."""
    from rl.tracking import leave

    exit_code = 0
    with command_line():
        try:
            run()
        except RunFailed as failure:
            print(f"error: {failure}", flush=True)
            exit_code = failure.exit_code
    leave(exit_code)
