"""The mirror of a run in Weights & Biases."""

import contextlib
import json
import os
import queue
import secrets
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rl.config import Config
from rl.record.exit_process import leave_behind
from rl.record.files import write_json
from rl.record.keys import STEP
from rl.record.messages import Notify
from rl.record.wandb_folders import folders_of, last_step, mark_uploaded
from rl.record.wandb_names import Names, in_words, names_of
from rl.record.wandb_session import malformed_variables, mode_of, refused_variables, start

INIT_SECONDS, FINISH_SECONDS = 20, 20
FAULT_SECONDS = 3  # a run that failed ends within 5 s, whatever W&B does
IDENTITY = "wandb.json"  # in the run folder: which W&B run is the run's mirror
_taken: set[str] = set()  # ids of W&B runs of this process


class Summary(NamedTuple):
    """How a run has ended."""

    content: dict[str, Any]


class WandbMirror:
    """Sends rows to W&B from a thread. The first failure ends the mirror and not the run.

    A resumed run goes on in its W&B run, which is asked how far it has come: rows of the record that it lacks are sent
    first, and rows that it has are not sent again. A row that a stop has cut off is not sent: the resumed run has it
    whole.
    """

    def __init__(
        self,
        run_dir: Path,
        config: Config,
        description: dict[str, Any],
        notify: Notify,
        earlier: Sequence[str] = (),
        folder: Path | None = None,
        replay: bool = False,
    ) -> None:
        """Start.

        Args:
            run_dir: the folder of the run.
            config: names the run.
            description: what W&B shows as the run's config, and whether it was resumed.
            notify: shows a line to the user.
            earlier: lines of the record, which a resumed run has already.
            folder: an option's, where W&B writes.
            replay: it sends a whole record: its end waits as long as W&B takes rows, and the W&B run of the run itself
                stays what it was.
        """
        self._run_dir, self._config, self._description, self._notify = run_dir, config, description, notify
        self._earlier, self._folder, self._replay = earlier, folder, replay
        self._names: Names | None = None
        self._online, self._rest = False, ""  # whether it is; what brings the rest to W&B
        self._known: str | None = None  # id of the W&B run of a resumed run
        self._queue: queue.SimpleQueue[dict[str, float] | Summary] = queue.SimpleQueue()
        self._sent = -1.0  # env steps to which W&B has the rows
        self._put_back = contextlib.ExitStack()  # what W&B's settings were for the caller
        self._thread = threading.Thread(target=self._mirror, name="wandb-mirror", daemon=True)
        self._thread.start()

    @property
    def resumed_at(self) -> int | None:
        """Env steps of the checkpoint of a resumed run."""
        return self._description.get("resumed_at_env_steps")

    def put(self, keys: dict[str, float]) -> None:
        """Hand over a row, without waiting; after W&B has stopped, drop it."""
        if self._thread.is_alive():
            self._queue.put(keys)

    def close(self, summary: dict[str, Any]) -> None:
        """Hand over the summary and wait for W&B until a deadline, which is short after a fault.

        A replay waits for the longest deadline, and again as long as W&B takes rows.
        """
        self._queue.put(Summary(summary))
        waits, left = {0: INIT_SECONDS + FINISH_SECONDS, 1: FAULT_SECONDS}, self._queue.qsize()
        seconds = waits[0] if self._replay else waits.get(summary["exit_code"], FINISH_SECONDS)
        self._thread.join(seconds)
        while self._replay and self._thread.is_alive() and self._queue.qsize() < left:
            left = self._queue.qsize()
            self._thread.join(seconds)
        if self._thread.is_alive():
            leave_behind(self)
            self._put_back.close()
            self._notify(
                f"W&B did not end in time and was left behind; the record in {self._run_dir} is complete{self._rest}"
            )

    def _mirror(self) -> None:
        try:
            run = self._init()
            if run is None:
                return
            for row, summary in self._rows(self._sent):
                if row:
                    known = {key: value for key, value in row.items() if value is not None}  # null is undefined
                    run.log(known)  # without step=: W&B drops rows whose step is not above the last
                else:
                    run.summary.update(summary)
                    run.finish(exit_code=summary["exit_code"])
        except BaseException as error:  # whatever W&B raises, SystemExit included, the run goes on
            leave_behind(self)
            cause = in_words(error, self._names)
            self._notify(f"W&B stopped ({cause}); the run goes on, its record is whole{self._rest}")
        finally:
            self._put_back.close()

    def _rows(self, sent: float) -> Iterator[tuple[dict[str, float], dict[str, Any]]]:
        """Each row that W&B lacks, in order, then the summary."""
        interval, before, cut_off = self._config.log_interval, 0, None
        for row in self._all_rows():
            if isinstance(row, Summary):
                if cut_off and row.content["exit_code"] == 0:  # the last row of a complete run
                    yield cut_off, {}
                yield {}, row.content
                return
            step = row.get(STEP, before)
            if step // interval == before // interval and (self.resumed_at is not None or not self._replay):
                cut_off = row
            elif step > sent:
                yield row, {}
            before = step

    def _all_rows(self) -> Iterator[Any]:
        """The rows of the record as they come, then the Summary."""
        yield from map(json.loads, self._earlier)
        while True:
            yield self._queue.get()

    def _steps_of(self, run: Any, folder: str) -> float:
        """Env steps to which the W&B run of a resumed run goes; -1 where it has no rows."""
        if self.resumed_at is None:
            return -1
        *earlier, _ = folders_of(folder, run.id) or [None]
        if not self._online:
            found = last_step(earlier)
            last = json.loads(self._earlier[-1])[STEP] if self._earlier else -1
            return last if found is None else found
        mark_uploaded(earlier)
        found = run.summary.get(STEP) if run.resumed else None
        return found if isinstance(found, int | float) else -1

    def _init(self) -> Any:
        """Start the W&B run, or return None where W&B is not installed or switched off."""
        option, notify = self._config.wandb, self._notify
        if option == "auto" and os.environ.get("WANDB_MODE") == "disabled":
            return None
        try:
            import wandb
        except ImportError:
            notify("W&B is not installed: the record is kept in the run folder alone")
            return None
        refused = refused_variables(wandb)
        malformed = malformed_variables(wandb, refused)
        self._put_back.callback(start(wandb, refused))
        mode = mode_of(option, wandb, malformed, notify)
        self._names = names_of(self._config, self._run_dir, malformed, self._folder)
        arguments = {**self._names.arguments, **self._identity(wandb), "config": self._description["config"]}
        arguments |= {"dir": self._writable(arguments["dir"]), "settings": self._settings(wandb, malformed)}
        others = [name for name in malformed if name not in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL")]
        if others:
            notify(f"W&B: {', '.join(f'{name} is malformed ({malformed[name]})' for name in others)}: left out")
        run = self._begin(wandb, mode, arguments)
        identity = {name: getattr(run, name, None) for name in ("id", "project", "entity")}
        _taken.add(identity["id"])
        if not self._replay and self._known in (None, identity["id"]):  # the next resumption looks for that one again
            write_json(self._run_dir / IDENTITY, identity)
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP)
        self._sent = self._steps_of(run, arguments["dir"])
        if self.resumed_at:
            run.config.update({"resumed_at_env_steps": self.resumed_at}, allow_val_change=True)
        return run

    def _begin(self, wandb: Any, mode: str, arguments: dict[str, Any]) -> Any:
        """Start the W&B run online, or offline where that fails."""
        resume = {"resume": "allow"} if self.resumed_at is not None else {}
        if mode == "online":
            try:
                run = wandb.init(mode=mode, **arguments, **resume)
                self._online = True
                self._rest = f"; `python -m experiments.replay_to_wandb {self._run_dir} --missing` sends what W&B lacks"
                return run
            except Exception as error:
                self._notify(f"W&B cannot go online ({in_words(error, self._names)}): this run is logged offline")
            arguments["id"] = secrets.token_hex(4)  # the other one is in use by what could not go online
        return wandb.init(mode="offline", **arguments)

    def _identity(self, wandb: Any) -> dict[str, Any]:
        """The id of the W&B run, and with the one of a resumed run its project and entity."""
        wish = self._names.arguments["id"]
        if self.resumed_at is not None:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                found = json.loads((self._run_dir / IDENTITY).read_text(encoding="utf-8"))
                project = self._names.arguments["project"]
                if self._config.wandb_project and project != found["project"]:  # a W&B run cannot move: another one
                    return {"id": secrets.token_hex(4)}
                if wish and wish != found["id"]:
                    self._notify(f"WANDB_RUN_ID {wish!r} is not read: this run goes on as {found['id']!r}")
                self._known = found["id"]
                return {name: value for name, value in found.items() if value}
        mine = getattr(wandb, "run", None)
        taken = {*_taken, getattr(mine, "id", None)} - {None}
        if wish in taken:
            self._notify(f"WANDB_RUN_ID {wish!r} is the id of another run of this process: this run has its own")
        return {"id": wish if wish and wish not in taken else secrets.token_hex(4)}

    def _writable(self, folder: str) -> str:
        """The folder, or the run's own where that cannot be written: W&B would write to a temporary one, unsaid."""
        try:
            os.makedirs(folder, exist_ok=True)
            if os.access(folder, os.R_OK | os.W_OK):
                return folder
            cause = "no permission"
        except OSError as error:
            cause = str(error.strerror)
        source = self._names.sources.get("dir", folder)
        self._notify(f"W&B: {source}: a folder that can be written is needed ({cause}); W&B writes to {self._run_dir}")
        return str(self._run_dir)

    def _settings(self, wandb: Any, malformed: dict[str, str]) -> Any:
        """Settings that leave the terminal, the caller's W&B runs and the end of the process alone.

        A setting whose own variable is set stays as that says.
        """
        wanted = {
            "silent": True,
            "console": "off",
            "init_timeout": INIT_SECONDS,
            "x_disable_stats": True,
            "disable_git": True,
            "x_transaction_log_flush_interval": 1.0,
        }
        if not self._replay:
            wanted |= {"finish_timeout": FINISH_SECONDS, "finish_timeout_raises": True}
        wanted = {name: value for name, value in wanted.items() if variable_of(name) not in os.environ}
        wanted["reinit"] = "create_new"  # beside the caller's runs
        url = os.environ.get("WANDB_BASE_URL")
        if url and "WANDB_BASE_URL" not in malformed:  # W&B itself reads it only once in a process
            wanted["base_url"] = url
        return wandb.Settings(**{name: value for name, value in wanted.items() if name in wandb.Settings.model_fields})


def variable_of(setting: str) -> str:
    """The variable of a setting of W&B: WANDB_CONSOLE, WANDB__DISABLE_STATS."""
    return "WANDB_" + ("_" + setting[2:] if setting.startswith("x_") else setting).upper()
