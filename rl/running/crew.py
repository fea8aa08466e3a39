"""Training in worker processes."""

from collections.abc import Callable
from typing import Any

from rl.acting.randomness import training_key
from rl.record.worker_state import WorkerStates
from rl.running.duties import Duties
from rl.running.outcome import Outcome
from rl.running.setup import Setup
from rl.running.supervisor import Supervisor
from rl.running.worker import Workers


class Crew:
    """What a Supervisor asks the parent of a run."""

    def __init__(
        self, setup: Setup, workers: Workers, outcome: Outcome, duties: Duties, worker_states: WorkerStates
    ) -> None:
        """Nothing is started yet; workers continue from `worker_states`."""
        self.setup, self.workers, self.outcome, self.duties = setup, workers, outcome, duties
        self.worker_states = worker_states

    def train(self) -> None:
        """Start the workers, answer what is due while they train, and return when all of them are gone."""
        config = self.setup.config
        ranks = 1 if self.workers.in_group else config.workers
        Supervisor(self, self.workers.life, ranks, self.setup.memory.signs, config.worker_timeout).run()

    def arguments_of(self, rank: int) -> tuple[Any, ...]:
        """Arguments of a worker's life, between its rank and its channel.

        A worker that takes another's place begins new episodes, with random numbers that the run has not used.
        """
        setup, config = self.setup, self.setup.config
        key, states = setup.training_key, self.worker_states
        if not self.workers.in_group:  # it needs no state but its own
            states = [one if other == rank else None for other, one in enumerate(states)]
        if self.outcome.restarts_left < config.restart_workers:
            key, states = training_key(setup.ledger.env_steps + self.outcome.restarts), [None] * config.workers
        return config, setup.make_environments, setup.memory, key, setup.overrides, states

    def begin(self) -> None:
        """All workers are ready and are about to start."""
        self.duties.begin()

    def answer(self, worker_failed: Callable[[], bool]) -> bool:
        """Do what is due; returns whether the run is to stop. `worker_failed` is asked during long answers."""
        return self.duties.answer(worker_failed)

    def receive(self, states: dict[int, bytes]) -> None:
        """Take the states of workers, by rank."""
        self.duties.checkpoints.receive(states)

    def replaces_worker(self, cause: str, outside: bool) -> bool:
        """Whether another worker takes the place of one that failed.

        After a signal a failure is not noted, since what ends then, ends by the signal. In a group it is, since
        torchrun sends a signal to all that a failure has left.
        """
        if self.outcome.signal is not None and not self.workers.in_group:
            return False
        return self.outcome.replaces_worker(cause, outside)
