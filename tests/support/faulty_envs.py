"""Environments that fail on purpose, and one that tells what its process looks like. Spawned workers import this file.

`faulty_envs:Faulty-v0` observes noise and is worth 1 a step. It fails in the process that `process` names, at that
process's step number `at`, in the way that `fault` names, and leaves the time of the fault in `folder`; with `once` it
does not where that was left there before.
"""

import json
import multiprocessing
import os
import signal
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np

steps_of_this_process = 0


class Faulty(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(
        self, fault="", at=100, process="worker 1", folder="", length=8, slow_process="", sleep=0.0, once=False
    ):
        self.here = multiprocessing.current_process().name
        self.fault = fault if self.here == process else ""
        self.at, self.folder, self.length = at, folder, length
        self.sleep = sleep if self.here == slow_process else 0.0
        if once and Path(folder, "fault").exists():
            self.fault = ""
        if fault == "probe":
            self.probe()

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.np_random.uniform(-1, 1, 2).astype(np.float32), {}

    def step(self, action):
        global steps_of_this_process
        steps_of_this_process += 1
        self.steps += 1
        time.sleep(self.sleep)
        observation, reward = self.np_random.uniform(-1, 1, 2).astype(np.float32), 1.0
        if self.fault and steps_of_this_process >= self.at:
            if self.folder:
                Path(self.folder, "fault").write_text(str(time.time()))
            if self.fault == "raises":
                raise RuntimeError("the pole fell on my foot")
            if self.fault == "exits":
                sys.exit("bye")
            if self.fault == "leaves":
                os._exit(0)
            if self.fault == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.fault == "hangs":
                time.sleep(3600)
            if self.fault == "slow":
                time.sleep(0.05)
            if self.fault == "stopped":
                os.kill(os.getpid(), signal.SIGSTOP)
            if self.fault == "nan_reward":
                reward = np.nan
            if self.fault == "nan_observation":
                observation = np.full(2, np.nan, np.float32)
        return observation, reward, self.steps >= self.length, False, {}

    def close(self):
        if self.folder:
            Path(self.folder, f"{self.here} closed").touch()

    def probe(self):
        """Write down what this process looks like, from inside."""
        import torch

        at_start = dict(entry.split("=", 1) for entry in Path("/proc/self/environ").read_text().split("\0") if entry)
        seen = {
            "torch_threads": torch.get_num_threads(),
            "wandb_imported": "wandb" in sys.modules,
            "start_method": multiprocessing.get_start_method(),
            "threads_at_start": [at_start.get(f"{name}_NUM_THREADS") for name in ("OMP", "MKL", "OPENBLAS")],
            "sigint_blocked": signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []),
        }
        Path(self.folder, f"{self.here}.json").write_text(json.dumps(seen))


gymnasium.register("Faulty-v0", Faulty)
gymnasium.register("Easy-v0", Faulty, reward_threshold=1.0)  # every episode is worth more: the first window crosses
