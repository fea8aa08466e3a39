"""The mirror of a run in Weights & Biases."""

import contextlib
import os
import queue
import threading
from pathlib import Path
from typing import Any

from rl.config import Config
from rl.record.exit_process import leave_behind
from rl.record.keys import STEP
from rl.record.messages import Notify, in_short

INIT_SECONDS, FINISH_SECONDS = 20, 20
FAULT_SECONDS = 3  # a run that failed ends within 5 s, whatever W&B does
_said: list[str] = []  # by this process: once is enough for a study of many runs


class WandbMirror:
    """Sends rows to W&B from a thread. The first failure ends the mirror and not the run."""

    def __init__(self, run_dir: Path, config: Config, description: dict[str, Any], notify: Notify) -> None:
        self._run_dir, self._config, self._description, self._notify = run_dir, config, description, notify
        self._queue: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._mirror, name="wandb-mirror", daemon=True)
        self._thread.start()

    def put(self, keys: dict[str, float]) -> None:
        """Hand over a row, without waiting; after W&B has stopped, drop it."""
        if self._thread.is_alive():
            self._queue.put(("row", keys))

    def close(self, summary: dict[str, Any], patient: bool = False) -> None:
        """Hand over the summary and wait for W&B until a deadline, which is short after a fault.

        A patient call waits for the longest deadline, and again as long as W&B takes rows.
        """
        self._queue.put(("summary", summary))
        waits, left = {0: INIT_SECONDS + FINISH_SECONDS, 1: FAULT_SECONDS}, self._queue.qsize()
        seconds = waits[0] if patient else waits.get(summary["exit_code"], FINISH_SECONDS)
        self._thread.join(seconds)
        while patient and self._thread.is_alive() and self._queue.qsize() < left:
            left = self._queue.qsize()
            self._thread.join(seconds)
        if self._thread.is_alive():
            leave_behind(self)
            self._notify(f"W&B did not end in time and was left behind; the record in {self._run_dir} is complete")

    def _mirror(self) -> None:
        try:
            run = self._init()
            while run is not None:
                kind, payload = self._queue.get()
                if kind == "row":
                    run.log(payload)  # without step=: W&B drops rows whose step is not above the last
                    continue
                run.summary.update(payload)
                run.finish(exit_code=payload["exit_code"])
                return
        except BaseException as error:  # whatever W&B raises, SystemExit included, the run goes on
            leave_behind(self)
            self._notify(f"W&B stopped ({in_short(error)}); the run goes on, its record is whole")

    def _init(self) -> Any:
        """Start the W&B run, or return None where W&B is not installed or switched off."""
        try:
            import wandb
        except ImportError:
            self._notify("W&B is not installed: the record is kept in the run folder alone")
            return None
        mode = self._mode(wandb)
        if mode == "disabled":
            return None
        common = self._common(wandb)
        try:
            run = wandb.init(mode=mode, **common)
        except Exception as error:
            if mode == "offline":
                raise
            self._notify(f"W&B cannot go online ({in_short(error)}): this run is logged offline")
            run = wandb.init(mode="offline", **common)
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP)
        if resumed_at := self._description.get("resumed_at_env_steps"):
            run.config.update({"resumed_at_env_steps": resumed_at})
        return run

    def _common(self, wandb: Any) -> dict[str, Any]:
        config = self._config
        name = f"{config.core_name}-{config.env.rpartition(':')[2]}"
        wanted = {
            "silent": True,
            "console": "off",
            "init_timeout": INIT_SECONDS,
            "x_disable_stats": True,
            "disable_git": True,
            "x_transaction_log_flush_interval": 1.0,
        }
        known = {name: value for name, value in wanted.items() if name in wandb.Settings.model_fields}
        return {
            "project": config.wandb_project,
            "group": config.wandb_group or name,
            "name": f"{name}-s{config.seed}",
            "job_type": "train",
            "tags": [config.core_name, config.env.rpartition(":")[2], config.mode],
            "config": self._description["config"],
            "dir": str(self._run_dir),
            "settings": wandb.Settings(**known),
        }

    def _mode(self, wandb: Any) -> str:
        """Decide between online and offline, and never prompt."""
        wish = os.environ.get("WANDB_MODE", "")
        if wish not in ("online", "offline", "disabled"):
            os.environ.pop("WANDB_MODE", None)  # anything else makes W&B itself refuse to start
        if self._config.wandb != "auto":
            return self._config.wandb
        if wish in ("online", "offline", "disabled"):
            return wish
        if wish:
            self._notify(f"WANDB_MODE={wish!r} is not online, offline or disabled: this run is logged offline")
            return "offline"
        with contextlib.suppress(Exception):
            wandb.setup(settings=wandb.Settings(silent=True))
            if wandb.login(prompt=False, verify=False):  # whether a key is there; that it is right, init finds out
                return "online"
        if not _said:
            _said.append("offline")
            self._notify("W&B: no API key found, runs are logged offline; `wandb sync` uploads them later")
        return "offline"
