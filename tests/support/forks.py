"""Processes that are forked: they share all memory that a test has made, and need no module to import."""

import os
from collections.abc import Callable
from typing import Any


def forked(action: Callable[[], Any]) -> int:
    """Start a process that runs `action` and ends; returns its id."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
        finally:
            os._exit(0)
    return pid
