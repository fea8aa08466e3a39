"""Runs commands with all that they start, and says how they failed."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
LAST_LINES = 12  # shown of a failed run's log


class ProcessFailed(Exception):
    """A command failed or was stopped; the message ends with the last lines of its log."""


def run_process(command: list[str], log: Path, seconds: float, **environment: str) -> None:
    """Run a command with all that it starts; its output goes to a file.

    Raises:
        ProcessFailed: it ended with an error, or was stopped.
    """
    with open(log, "w", encoding="utf-8") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        cause = f"still running after {seconds:.0f} s"
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(seconds)
                cause = f"exit code {code}" if code else ""
        finally:
            end(process)
    if cause:
        lines = [
            line
            for line in without_folders(log.read_text(encoding="utf-8", errors="replace")).splitlines()
            if line.strip()
        ]
        raise ProcessFailed("\n".join([cause, *lines[-LAST_LINES:]]))


def end(process: subprocess.Popen) -> None:
    """Terminate a process, and after 10 seconds kill it and what it left in its group."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def without_folders(text: str) -> str:
    """Remove colours, and the folders of this machine, from a log."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    for folder, short in ((ROOT, "."), (sys.base_prefix, "<python>"), (Path.home(), "~")):
        text = text.replace(str(folder), short)
    return text
