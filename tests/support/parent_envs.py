"""An environment that starts processes and leaves them to others: a forked one, a spawned one, and a program in a
session of its own. Spawned workers import this file."""

import multiprocessing
import os
import subprocess
import time
from pathlib import Path

import gymnasium
import numpy as np


class Parent(gymnasium.Env):
    """It is worth 1 a step. Each process of it leaves its number in `folder`."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, folder="", kinds="fork,spawn,program", length=8):
        self.length = length
        for kind in kinds.split(","):
            if kind in ("program", "stranger"):  # a stranger has no variable of ours either
                environment = {"env": {}} if kind == "stranger" else {}
                pid = subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True, **environment).pid
            else:
                process = multiprocessing.get_context(kind).Process(target=time.sleep, args=(1000,))
                process.start()
                pid = process.pid
            Path(folder, str(pid)).write_text(multiprocessing.current_process().name)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), {}

    def step(self, action):
        self.steps += 1
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), 1.0, self.steps >= self.length, False, {}


gymnasium.register("Parent-v0", Parent)


def alive(folder, of="worker"):
    """Those that the environments of such processes have started and that still live."""
    pids = [int(file.name) for file in Path(folder).iterdir() if file.read_text().startswith(of)]
    return {pid for pid in pids if lives(pid)}


def lives(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def end_all(folder):
    for file in Path(folder).iterdir():
        if lives(int(file.name)):
            os.kill(int(file.name), 9)
