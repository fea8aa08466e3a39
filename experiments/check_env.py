"""Check an environment of your own before it is trained on.

Question: what will be made of this environment, and does it keep its contract?
Command:  python -m experiments.check_env module:Id-v0 --env-arg delay=8
Time:     about 5 seconds.
Output:   its spaces and its form, everything that breaks the contract, its speed, and options to think of; exit code 1
          where it cannot be trained.
"""

from dataclasses import dataclass
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    env: Annotated[str, tyro.conf.Positional]
    """Gymnasium id, or module:Id-v0 or path/file.py:Id-v0 to import first what registers it."""
    env_arg: tuple[str, ...] = ()
    """Keyword argument of the environment as name=value (Python literals; anything else is a string); repeatable."""


def main() -> None:
    """Parse the command line, try the environment out, print."""
    from experiments.lab.command_line import errors_in_one_line, parse
    from rl.record.exit_process import exit_process

    with errors_in_one_line():
        exit_code = check(parse(Command, __doc__))
    exit_process(exit_code)


def check(command: Command) -> int:
    """Print what is found; returns the exit code, 1 where the environment cannot be trained.

    Raises:
        ValueError: an option is wrong.
    """
    from envs.check.findings import examine
    from rl.config import Config
    from rl.record.worker_state import can_be_read

    config = Config(env=command.env, env_arg=command.env_arg)
    findings = examine(config.env, config.env_args)
    if not can_be_read(findings.state):
        findings.facts["state"] = "told in types that no checkpoint can hold: --resume begins new episodes"
    print(command.env)
    for name, value in findings.facts.items():
        print(f"  {name + ':':<18} {value}")
    for title, lines in (("cannot be trained", findings.broken), ("may surprise", findings.surprises)):
        if lines:
            print(f"\n{title}")
            print("\n".join(f"  {number}. {line}" for number, line in enumerate(lines, start=1)))
    if findings.options and not findings.broken:
        print("\noptions to think of")
        print("\n".join(f"  {option:<32} {why}" for option, why in findings.options.items()))
    print(f"\n{'it cannot be trained' if findings.broken else 'it can be trained'}: {command.env}")
    return int(bool(findings.broken))


if __name__ == "__main__":
    main()
