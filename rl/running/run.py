"""One run, from config to summary: the parent that starts workers, watches them, and keeps the record."""

import contextlib
import copy
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from rl.acting.evaluate import MakeEnvironments, evaluate
from rl.acting.randomness import training_key
from rl.agent.build import agent_for
from rl.agent.check import check_own_parts
from rl.agent.flat import FlatAgent
from rl.config import Config
from rl.loop import NO_OVERRIDES, Overrides, build_worker, run_segments
from rl.parameters.sync import make_learner
from rl.record.checkpoint import file_id, fitting, load_checkpoint, save_checkpoint
from rl.record.record import Tracker
from rl.record.wandb_mirror import Notify
from rl.record.worker_state import has_environments, load_worker_state, worker_state
from rl.running.preflight import (
    choose_run_dir,
    claim,
    probe_environment,
    require_empty,
    require_importable,
    require_room,
)
from rl.running.signals import noted_signals
from rl.running.supervisor import Supervisor
from rl.shared.learner_memory import LearnerMemory
from rl.shared.ledger import Ledger

INTERVAL_EPISODES = 2**24  # number of the first one of an evaluation during training: none of the others gets there
OnRow = Callable[[dict[str, float]], None]


def to_stderr(line: str) -> None:
    """Show a line to the user."""
    print(line, file=sys.stderr, flush=True)


def ignore(_row: dict[str, float]) -> None:
    """Do nothing with a row."""


def never() -> bool:
    """Nothing has failed."""
    return False


def in_words(ranks: list[int]) -> str:
    """Numbers of workers, as 0, 1."""
    return ", ".join(map(str, ranks))


class Run:
    """The parent's part of a run."""

    def __init__(
        self,
        config: Config,
        make_environments: MakeEnvironments,
        run_dir: Path,
        resumed_at: int | None = None,
        parts: Overrides = NO_OVERRIDES,
        in_group: bool = False,
    ) -> None:
        """Check the environment, draw the parameters, share the memory; nothing is started or written yet.

        Args:
            config: everything about the run.
            make_environments: builds vector environments from (env, num_envs, **options); a top-level function, since
                spawned workers import it.
            run_dir: folder of the record.
            resumed_at: env steps of the checkpoint that it is to `go_on_from`.
            parts: of an experiment, in the place of rl's own.
            in_group: whether this is rank 0 of a group that torchrun started, whose other workers are not its own.

        Raises:
            ValueError: the environment cannot be made or is not supported, or workers could not make it.
        """
        self.began = time.monotonic()
        torch.set_num_threads(1)  # a second thread makes networks of this size slower
        self.config, self.make_environments, self.run_dir, self.parts = config, make_environments, run_dir, parts
        self.in_group, self.resumed_at = in_group, resumed_at
        if config.mode != "serial":
            require_importable(make_environments=make_environments, **parts._asdict())
        if config.replays and parts.targets:
            raise ValueError(
                f"--algorithm {config.algorithm}: an experiment's targets are those of segments as they "
                "come, a2c or q_online is needed"
            )
        probe = probe_environment(config, make_environments)  # a bad env ends here, in one line
        self.reward_threshold = probe.spec.reward_threshold if probe.spec else None
        require_room(config, probe.spec.max_episode_steps if probe.spec else None)
        check_own_parts(config)
        self.agent = FlatAgent(agent_for(config, probe))
        probe.close()
        self.memory = LearnerMemory(config, len(self.agent))
        self.ledger = Ledger(config, self.reward_threshold, self.resumed_at or 0)
        self.learner = make_learner(config, self.memory, self.ledger)
        self.learner.parameters.copy_(self.agent.parameters)
        self.attempts: list[dict[str, Any]] = []
        self.key = training_key(self.resumed_at or 0)
        # Where each worker goes on; None: it begins with new episodes.
        self.standing: list[bytes | None] = [None] * config.workers
        self.restarts = 0  # of workers, in the whole run
        self.checkpoint_read: tuple[int, ...] = ()
        self.began_from = self.ledger.env_steps, self.ledger.updates
        self.told: dict[int, bytes] = {}  # where workers stand for the next checkpoint, by rank
        self.rows_read = 0
        self.restarts_left = config.restart_workers
        self.startup_seconds = 0.0
        self.signal: int | None = None
        self.fault: str | None = None
        self.cut_off = False  # by the loss of a worker that did not fail by itself

    def go_on_from(self, state: dict[str, Any], checkpoint_read: tuple[int, ...]) -> None:
        """Take over what a checkpoint holds.

        Args:
            state: of the checkpoint.
            checkpoint_read: `file_id` of it.
        """
        self.checkpoint_read = checkpoint_read
        self.learner.load_state(state["learner"])
        self.ledger.load_state(state["ledger"])
        self.attempts, self.restarts = list(state["attempts"]), int(state.get("restarts", 0))
        if state.get("candidate") is not None:
            self.memory.candidate.parameters[:] = state["candidate"].numpy()
        for rank, saved in enumerate(state.get("workers", [])):
            self.standing[rank] = None if saved is None else saved.numpy().tobytes()
        if self.exact and self.config.replays and None in self.standing:
            # Workers that update together do so as their buffers fill: these are filled together, or all of them anew.
            self.standing = [None] * self.config.workers
        self.anew = [rank for rank, one in enumerate(self.standing) if one is None or not has_environments(one)]
        self.began_from = self.ledger.env_steps, self.ledger.updates

    # --- what the parent does while workers train

    def poll(self, worker_failed: Callable[[], bool] = never) -> bool:
        """Judge a pending crossing, write closed rows, save a checkpoint that is due; whether the run is to stop.

        What a signal or a fault cuts short stays as it is, for the run that goes on from here.
        """

        def cut() -> bool:
            return worker_failed() and not self.restarts_left

        with self.noting_faults():
            if self.ledger.attempt_pending and not self.stopping:
                self.judge(cut)
            if not self.stopping:
                self.write_rows(cut)
            if self.ledger.checkpoint_due and len(self.told) == self.config.workers and not self.stopping:
                self.checkpoint()
        if self.stopping:
            self.ledger.request_stop()
            if self.ledger.waiting:  # no push will come
                with self.locked() as held:
                    if held:
                        self.ledger.finish()
        return self.stopping

    @property
    def stopping(self) -> bool:
        """Whether a signal or a fault asks the run to end."""
        return self.signal is not None or self.fault is not None

    def write_rows(self, cut: Callable[[], bool] = never, at_end: bool = False) -> None:
        """Bring the record up to the last closed row, or to one whose evaluation is cut short.

        Args:
            cut: whether to cut it short.
            at_end: write all of them: behind the last checkpoint, a run that goes on writes them anew.
        """
        for row in self.ledger.rows(self.rows_read):
            evaluation = {}
            if self.ledger.evaluates(row.env_steps - row.interval_env_steps, row.env_steps):
                evaluation = {} if self.stopping else self.evaluate_now(cut)
                if not evaluation and not at_end:
                    return
                with self.locked() as held:
                    if not held:
                        return  # again at the next look
                    self.ledger.evaluated()
            restarts = {"worker/restarts": self.restarts} if self.config.restart_workers else {}
            keys = self.tracker.row(row, evaluation | restarts)
            self.rows_read += 1  # it is in the record now
            self.on_row(keys)

    def evaluate_now(self, cut: Callable[[], bool] = never) -> dict[str, float]:
        """Play the same episodes as every time with the parameters as they are now; {} where it was cut short.

        Training stands still meanwhile, and its clock too, but for asynchronous workers, which go on: what is played
        may be younger than the row, so its own env steps and CPU seconds stand beside the returns.
        """
        agent = FlatAgent(copy.deepcopy(self.agent.agent))  # the parent's own may be confirming a crossing
        with self.noting_faults():
            with self.locked() as held:
                if not held:
                    return {}
                agent.load(self.learner.parameters)
                seen = {"eval/global_step": self.ledger.env_steps, "eval/cpu_seconds": self.ledger.cpu_seconds}
            returns = [
                evaluate(
                    agent.agent,
                    self.config,
                    self.make_environments,
                    self.config.interval_episodes,
                    greedy,
                    seed=self.config.seed,
                    offset=INTERVAL_EPISODES,
                    stop=lambda: self.stopping or cut(),
                )
                for greedy in (True, False)
            ]
            if all(of_policy is not None for of_policy in returns):
                greedy, sampled = (float(of_policy.mean()) for of_policy in returns)
                return {**seen, "eval/episodic_return": greedy, "eval/episodic_return_sampled": sampled}
        return {}

    def note_signal(self, number: int) -> None:
        """Remember the first signal."""
        self.signal = self.signal or number

    def judge(self, cut: Callable[[], bool] = never) -> None:
        """Play fresh episodes with the parameters of a crossing: the run is solved if they reach the threshold too."""
        with self.locked() as held:  # until then it is still being copied
            if not held:
                return  # again at the next look
            self.agent.load(torch.from_numpy(self.memory.candidate.parameters))
        offset = (2 + len(self.attempts)) * self.config.eval_episodes
        returns = self.evaluate(greedy=False, offset=offset, cut=cut)
        if returns is None:
            return
        confirmed = bool(returns >= self.reward_threshold)
        with self.locked() as held:
            if not held:
                return
            self.attempts.append(self.attempt(returns, confirmed))
            with self.ledger.change():
                if confirmed and self.config.stop_when_solved:
                    self.ledger.finish()
                self.ledger.judge(confirmed)

    def attempt(self, returns: float | None, confirmed: bool) -> dict[str, Any]:
        """The last crossing, and what its evaluation said."""
        env_steps, seconds, window_mean = self.ledger.crossing
        return {
            "env_steps": env_steps,
            "seconds": seconds,
            "window_mean": window_mean,
            "confirmation": returns,
            "confirmed": confirmed,
        }

    def evaluate(self, greedy: bool, offset: int, cut: Callable[[], bool] = never) -> float | None:
        """Mean return of fresh episodes with the parent's agent; None where a signal or a fault cut it short."""

        def stop() -> bool:
            self.write_rows(cut)  # workers go on meanwhile, and so does the record
            return self.stopping or cut()

        returns = evaluate(
            self.agent.agent,
            self.config,
            self.make_environments,
            self.config.eval_episodes,
            greedy,
            seed=self.config.seed,
            offset=offset,
            stop=stop,
        )
        return None if returns is None else float(returns.mean())

    def checkpoint(self) -> None:
        """Save what the run needs to go on.

        Where a worker that was killed cannot tell any more where it stood, the last checkpoint stays, from which the
        run repeats what is lost bit by bit. One that failed by itself would fail there again: its environments begin
        their next episodes.
        """
        path = self.run_dir / "checkpoint.pt"
        if self.exact and self.cut_off and len(self.told) < self.config.workers and path.exists():
            self.notify(
                f"the checkpoint of {self.ledger.saved_at} env steps stays: --resume repeats from there, bit by bit"
            )
            return
        with self.locked() as held:
            if not held:
                return  # again at the next look
            ledger, pending = self.ledger, self.ledger.attempt_pending
            candidate = torch.from_numpy(self.memory.candidate.parameters.copy()) if pending else None
            state = {
                "learner": self.learner.state(),
                "ledger": ledger.state(self.rows_read),
                "candidate": candidate,
                "attempts": self.attempts,
                "env_steps": ledger.env_steps,
                "restarts": self.restarts,
                "parts": replaced(self.parts),
            }
        # Whoever has not moved still stands where it began.
        others = (
            self.standing if (ledger.env_steps, ledger.updates) == self.began_from else [None] * self.config.workers
        )
        standing = [self.told.get(rank, other) for rank, other in enumerate(others)]
        state["workers"] = [
            None if saved is None else torch.frombuffer(bytearray(saved), dtype=torch.uint8) for saved in standing
        ]
        save_checkpoint(path, self.config, state)
        with self.locked() as held:
            if held:
                if not ledger.finished:  # else they have told it for the last one too
                    self.told.clear()
                ledger.checkpointed()

    @property
    def exact(self) -> bool:
        """Whether the run goes on from a checkpoint as if it had never stopped."""
        return self.config.mode != "async"

    @contextlib.contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the learner's lock; False where it was not to be had in a second, since a worker hangs that holds it."""
        held = self.memory.lock.acquire(timeout=1.0)
        try:
            yield held
        finally:
            if held:
                self.memory.lock.release()

    @contextlib.contextmanager
    def own_run_dir(self) -> Iterator[None]:
        """Make the run's folder and hold it; where another run took an unnamed one meanwhile, the next.

        Raises:
            ValueError: another process writes there, or has done since this run was made.
        """
        named = bool(self.config.run_dir) or self.resumed_at is not None
        while True:
            try:
                self.run_dir.mkdir(parents=True, exist_ok=named)
                break
            except FileExistsError:
                self.run_dir = choose_run_dir(self.config)
            except OSError as error:
                raise ValueError(
                    f"--run-dir {self.run_dir}: a folder that can be written is needed ({error})"
                ) from None
        descriptor = claim(self.run_dir)
        try:
            if self.resumed_at is None:
                require_empty(self.run_dir)
            elif file_id(self.run_dir / "checkpoint.pt") != self.checkpoint_read:
                raise ValueError(f"--resume {self.run_dir}: another process went on with it meanwhile; resume it again")
            yield
        finally:
            os.close(descriptor)

    # --- training, with and without processes

    def train_here(self) -> None:
        """Serial mode: everything in this process."""
        learner, collector, experience = build_worker(
            0, self.config, self.make_environments, self.memory, self.ledger, self.key, self.parts
        )
        saved = self.standing[0]
        left = 0 if saved is None else load_worker_state(collector, experience, saved)
        self.start()

        def between(left: int) -> None:
            if self.ledger.checkpoint_due:
                self.told[0] = worker_state(collector, experience, left)
            self.poll()

        self.poll()  # a run that goes on may have stopped before a verdict
        left = run_segments(learner, collector, experience, between, left)
        self.told[0] = worker_state(collector, experience, left)
        collector.environments.close()

    def train_in_workers(self) -> None:
        """Async and sync mode: worker processes train, this one watches."""
        Supervisor(
            1 if self.in_group else self.config.workers,
            self.arguments_of,
            self.memory.signs,
            self.config.worker_timeout,
            self.start,
            self.poll,
            self.told.update,
            self.worker_failed,
        ).run()

    def arguments_of(self, rank: int) -> tuple[Any, ...]:
        """Of `run_worker`: one that takes another's place draws random numbers that the run has not used."""
        key, standing = self.key, self.standing if self.in_group else [None] * rank + self.standing[rank : rank + 1]
        if self.restarts_left < self.config.restart_workers:
            key, standing = training_key(self.ledger.env_steps + self.restarts), [None] * self.config.workers
        return (self.config, self.make_environments, self.memory, self.ledger, key, self.parts, standing, self.in_group)

    def start(self) -> None:
        """Training begins: everything before was start-up."""
        self.startup_seconds = time.monotonic() - self.began
        self.ledger.start_clock()

    def fail(self, cause: str) -> None:
        """Note the first fault, say it, and ask everyone to end."""
        if self.fault is None:
            self.fault = cause
            self.notify(cause)
            self.ledger.request_stop()

    def worker_failed(self, cause: str, outside: bool) -> bool:
        """Note a worker's fault, unless the run is being stopped: what ends then, ends by the signal.

        Args:
            cause: in words.
            outside: whether nothing that the worker did was the cause.

        Returns:
            Whether another worker should take its place.
        """
        if self.signal is not None and not self.in_group:  # there, torchrun sends one to all that a fault left
            return False
        if self.restarts_left and not self.fault and not self.ledger.finished:
            self.restarts_left -= 1
            self.restarts += 1
            self.notify(f"{cause}\nanother one takes its place, {self.restarts_left} more may follow")
            return True
        self.cut_off = self.cut_off or (outside and self.fault is None)
        self.fail(cause)
        return False

    @contextlib.contextmanager
    def noting_faults(self) -> Iterator[None]:
        """Turn an exception of the parent's own work into a fault of the run, which comes to an orderly end."""
        try:
            yield
        except (Exception, SystemExit):
            self.fail(f"the run failed:\n{traceback.format_exc()}")

    def say_how_it_goes_on(self) -> None:
        """Say in one line from where, and what is not as if the run had never stopped."""
        words = ["asynchronous workers do not repeat, nothing of the run is lost"] if not self.exact else []
        if self.anew and self.resumed_at:  # at 0 all begin as they would have
            words.append(f"environments of worker {in_words(self.anew)} begin their next episodes")
        empty = [rank for rank, saved in enumerate(self.standing) if saved is None]
        if self.config.replays and self.resumed_at and empty:
            words.append(f"the buffer of worker {in_words(empty)} is empty")
        how = f"not bit by bit: {'; '.join(words)}" if words else "bit by bit"
        self.notify(f"going on from {self.resumed_at} env steps, {how}")

    # --- the end

    def summary(self) -> dict[str, Any]:
        """How the run ended."""
        ledger, interrupted = self.ledger, self.signal is not None
        env_steps, seconds, crossing_mean = ledger.crossing
        ended_solved = ledger.solved and self.config.stop_when_solved
        evaluations: dict[str, float | None] = {"eval_greedy": None, "eval_sampled": None}
        if not self.fault and not interrupted:
            with self.noting_faults():
                self.agent.load(self.learner.parameters)
                evaluations["eval_greedy"] = self.evaluate(greedy=True, offset=0)
                evaluations["eval_sampled"] = self.evaluate(greedy=False, offset=self.config.eval_episodes)
        if self.fault:
            first, *others = self.fault.strip().splitlines()
            reason, code = " ".join([first, *others[-1:]]), 1  # who failed, and the last line of its traceback
        elif self.signal is not None:  # the same flag again: it may have come during the evaluation
            reason, code = signal.Signals(self.signal).name, 128 + self.signal
        else:
            limit = "max_seconds" if ledger.trained_seconds >= ledger.max_seconds else "max_cpu_seconds"
            in_time = ledger.env_steps >= self.config.total_env_steps
            reason, code = "solved" if ended_solved else "total_env_steps" if in_time else limit, 0
        return {
            "env_steps": ledger.env_steps,
            "updates": ledger.updates,
            "startup_seconds": self.startup_seconds,
            "seconds": ledger.trained_seconds,
            "cpu_seconds": ledger.cpu_seconds,
            "sps": ledger.env_steps / ledger.trained_seconds if ledger.trained_seconds > 0 else 0.0,
            "mean_return": crossing_mean if ended_solved else ledger.window_mean,
            "solved": ledger.solved,
            "solved_at_env_steps": env_steps if ledger.solved else None,
            "solved_at_seconds": seconds if ledger.solved else None,
            "solve_attempts": self.attempts + ([self.attempt(None, False)] if ledger.attempt_pending else []),
            **evaluations,
            "staleness": ledger.staleness,
            "restarts": self.restarts,
            "exit_reason": reason,
            "exit_code": code,
        }

    def execute(self, notify: Notify = to_stderr, on_row: OnRow = ignore) -> dict[str, Any]:
        """Train, then leave a checkpoint, a record and a summary, whatever happened.

        Args:
            notify: shows a line to the user.
            on_row: is given each row of the record as it is written.

        Returns:
            The summary, as in summary.json. `exit_code` is 0, 1 after a fault, 128 + signal after a signal.
        """
        self.notify, self.on_row = notify, on_row
        with noted_signals(self.note_signal), self.own_run_dir():
            if self.resumed_at is not None:
                self.say_how_it_goes_on()
            self.tracker = Tracker(
                self.run_dir, self.config, self.reward_threshold, notify, self.resumed_at, self.ledger.written_to(0)
            )
            with self.noting_faults():
                if self.config.mode == "serial":
                    self.train_here()
                else:
                    self.train_in_workers()
            self.poll()
            with self.noting_faults():
                if self.ledger.solved and self.config.stop_when_solved:
                    # The run ends at its crossing: async workers went on while it was being confirmed.
                    self.learner.parameters.copy_(torch.from_numpy(self.memory.candidate.parameters))
                self.checkpoint()
            with self.noting_faults():
                self.ledger.close_row()
                self.write_rows(at_end=True)
            summary = self.summary()
            try:
                self.tracker.close(summary)
            except OSError as error:  # a full disk, for one
                self.fail(f"the summary could not be written: {error}")
                summary |= {
                    "exit_reason": summary["exit_reason"] if summary["exit_code"] else self.fault,
                    "exit_code": 1,
                }
        return summary


def replaced(parts: Overrides) -> list[str]:
    """Names of the parts of rl that an experiment replaces; what only watches is none."""
    return [name for name in ("targets", "make_learner") if getattr(parts, name) is not None]


def new_run(
    config: Config, make_environments: MakeEnvironments, parts: Overrides = NO_OVERRIDES, in_group: bool = False
) -> Run:
    """A run from the start, in a folder of its own; `execute` trains it.

    Raises:
        ValueError: an option cannot work; nothing was started or written.
    """
    return Run(config, make_environments, choose_run_dir(config), parts=parts, in_group=in_group)


def resumed_run(
    run_dir: str | Path, make_environments: MakeEnvironments, parts: Overrides = NO_OVERRIDES, in_group: bool = False
) -> Run:
    """A run that goes on from its checkpoint with its own config, in serial and sync mode as if it had never stopped.

    Environments that cannot tell where they stood start new episodes, with random numbers that the run has not used.

    Raises:
        ValueError: there is no readable checkpoint, or the run was complete.
    """
    path = Path(run_dir) / "checkpoint.pt"
    read = file_id(path)
    with of_option(f"--resume {run_dir}"):
        config, state = load_checkpoint(path)
        with fitting(path):
            complete, at, needed = is_complete(config, state), state["env_steps"], list(state.get("parts", []))
            if type(at) is not int or at < 0:
                raise TypeError(f"env_steps {at!r}")
        if complete:
            raise ValueError(f"the run is complete, at {at} env steps; a longer one is a new run")
        if needed != replaced(parts):
            words = " and ".join(map(str, needed)) or "no parts"
            raise ValueError(f"it learns with {words} of an experiment, which alone can go on with it")
    run = Run(config, make_environments, Path(run_dir), at, parts, in_group)
    with of_option(f"--resume {run_dir}"), fitting(path):
        run.go_on_from(state, read)
    return run


@contextlib.contextmanager
def of_option(words: str) -> Iterator[None]:
    """Name an option in the errors of what it asks for."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{words}: {error}") from None


def is_complete(config: Config, state: dict[str, Any]) -> bool:
    """Whether the run of a checkpoint has trained for as long as it should, or is solved where that ends it."""
    [cpu_seconds] = state["ledger"]["arrays"].get("cpu_seconds", [0.0])  # older checkpoints have none
    limits = ((config.max_seconds, state["ledger"]["seconds"]), (config.max_cpu_seconds, cpu_seconds))
    ended = state["env_steps"] >= config.total_env_steps or any(0 < limit <= spent for limit, spent in limits)
    ended = ended or (config.stop_when_solved and state["ledger"]["solved"])
    return bool(ended and not state["ledger"].get("pending"))
