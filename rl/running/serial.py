"""Training without worker processes."""

from rl.acting.started_processes import started_processes_ended
from rl.loop import build_worker, run_segments
from rl.record.worker_state import load_worker_state, worker_state
from rl.running.duties import Duties
from rl.running.setup import Setup
from rl.shared.generators import generators_put_back


def train_serially(setup: Setup, duties: Duties, saved: bytes | None) -> None:
    """Train in this process, which is worker and parent in turn, and leave the generators of the process as they were.

    Args:
        setup: what to train.
        duties: answered after every push.
        saved: state from which the worker continues, or None.
    """
    with generators_put_back(), started_processes_ended():
        try:
            train(setup, duties, saved)
        except (Exception, SystemExit):
            if duties.outcome.signal is None:  # else what an environment has started was ended by the same signal
                raise


def train(setup: Setup, duties: Duties, saved: bytes | None) -> None:
    """Train to the end of the run."""
    learner, collector, experience = build_worker(
        0, setup.config, setup.make_environments, setup.memory, setup.training_key, setup.overrides
    )
    left = 0 if saved is None else load_worker_state(collector, experience, saved)
    duties.begin()

    def between(left: int) -> None:
        if setup.ledger.dues.checkpoint:
            duties.checkpoints.receive({0: worker_state(collector, experience, left)})
        duties.answer()

    duties.answer()  # a resumed run may have been stopped before a verdict
    left = run_segments(learner, collector, experience, between, left)
    duties.checkpoints.receive({0: worker_state(collector, experience, left)})
    collector.environments.close()
