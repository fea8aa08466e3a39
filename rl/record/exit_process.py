"""The end of a process that may have a blocked W&B."""

import contextlib
import multiprocessing.util
import os
import shutil
import signal
import sys
import tempfile
import weakref
from pathlib import Path

from rl.acting.started_processes import end_started_processes

_left_behind: list[object] = []  # what would keep the process from ending


def leave_behind(mirror: object) -> None:
    """Note that a mirror has not ended."""
    _left_behind.append(mirror)


def exit_process(exit_code: int) -> None:
    """End the process, without Python's usual steps at exit where a blocked W&B would keep it from ending."""
    sys.stdout.flush()
    sys.stderr.flush()
    end_started_processes()  # of environments
    if _left_behind:
        multiprocessing.util._exit_function()  # of those steps, the one that removes semaphores
        weakref.finalize._exitfunc()  # and the one that removes temporary folders
        end_wandb_service()
        os._exit(exit_code)
    sys.exit(exit_code)


def end_wandb_service() -> None:
    """Kill W&B's own process, a child of this one, which does not end by itself if it hangs or was stopped.

    Remove the folder of its socket too, also where somebody else has killed the process.
    """
    for stat in Path("/proc").glob("[0-9]*/stat"):  # without a /proc the process is left alone
        with contextlib.suppress(OSError, ValueError):
            pid, _, rest = stat.read_text(errors="replace", encoding="utf-8").partition(" (")
            name, _, rest = rest.rpartition(") ")
            if name == "wandb-core" and int(rest.split()[1]) == os.getpid():
                os.kill(int(pid), signal.SIGKILL)
    for folder in Path(tempfile.gettempdir()).glob(f"wandb-{os.getpid()}-*"):
        shutil.rmtree(folder, ignore_errors=True)
