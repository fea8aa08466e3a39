"""When a worker counts as hung, by a clock that the tests set; test_processes.py has workers that really hang."""

from types import SimpleNamespace

import pytest

from rl.running import supervisor
from rl.running.supervisor import START_SECONDS, Supervisor
from rl.shared.signs import WorkerSigns


class Watched:
    """The parent of one worker with a timeout of 10 s, which is looked at when a test says so."""

    def __init__(self, monkeypatch, ready=True, started=True):
        self.now, self.asked = 0.0, []
        monkeypatch.setattr(supervisor.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(supervisor, "Worker", lambda rank, *_rest: self.worker(rank))
        self.signs = WorkerSigns(1)
        self.supervisor = Supervisor(self, None, 1, self.signs, 10.0)
        self.supervisor.started, self.supervisor.crew = started, [self.worker(0, ready)]
        self.hangs_after(0.0)

    def worker(self, rank, ready=False):
        return SimpleNamespace(
            rank=rank,
            ready=ready,
            settled=False,
            seen=-1,
            idle=0.0,
            seen_at=self.now,
            end=lambda: None,
            process=SimpleNamespace(name=f"worker {rank}"),
        )

    def arguments_of(self, rank):
        return (rank,)

    def replaces_worker(self, cause, outside):
        self.asked.append(cause)
        return len(self.asked) == 1

    def hangs_after(self, seconds):
        """Whether the worker hangs at a look so many seconds after the last look."""
        self.now += seconds
        return self.supervisor.hangs(self.supervisor.crew[0])


def test_a_worker_hangs_that_has_made_no_progress_for_its_timeout(monkeypatch):
    watched = Watched(monkeypatch)
    assert [watched.hangs_after(4.0) for _ in range(3)] == [False, False, True]
    watched.signs.progress[0] += 1
    assert [watched.hangs_after(4.0) for _ in range(4)] == [False, False, False, True]


def test_between_two_looks_no_more_than_half_of_its_timeout_counts(monkeypatch):
    """The parent was stopped for an hour, and the worker with it."""
    watched = Watched(monkeypatch)
    assert [watched.hangs_after(seconds) for seconds in (3600.0, 4.0, 2.0)] == [False, False, True]


def test_a_worker_may_take_longer_to_begin_and_then_may_wait_for_the_others(monkeypatch):
    watched = Watched(monkeypatch, ready=False, started=False)
    looks = int(START_SECONDS / 4)
    assert [watched.hangs_after(4.0) for _ in range(looks + 1)] == [False] * looks + [True]
    watched = Watched(monkeypatch, ready=True, started=False)
    assert not any(watched.hangs_after(4.0) for _ in range(100))


def test_a_worker_that_takes_the_place_of_a_waiting_one_does_not_wait_yet(monkeypatch):
    """Waiting counts as progress, so a worker that hangs as it begins would never be found."""
    watched = Watched(monkeypatch)
    watched.signs.waiting[0], first = 1, watched.supervisor.crew[0]
    watched.supervisor.fail(first, "fell")
    second = watched.supervisor.crew[0]
    assert second is not first and watched.signs.waiting[0] == 0 and watched.supervisor.faults == 0
    watched.supervisor.fail(second, "fell too")
    assert watched.supervisor.crew == [second] and watched.supervisor.faults == 1
    assert watched.asked == ["worker 0 fell", "worker 0 fell too"]


@pytest.mark.parametrize(("exitcode", "words"), [(-9, "was killed by SIGKILL"), (3, "ended early: exit code 3")])
def test_an_exit_code_in_words(exitcode, words):
    assert supervisor.last_words(exitcode) == words
