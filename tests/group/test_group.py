"""A group that torchrun started: its workers learn what those of one machine learn, and it ends as orderly as they."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed

import envs
from experiments import train
from rl.algorithms import ALGORITHMS
from rl.group.exchange import Group, this_round
from rl.group.learner import GroupLearner, grouped
from rl.loop import Overrides
from rl.record.checkpoint import load_checkpoint
from rl.running.run import new_run, resumed_run
from rl.shared.group_lost import GroupLost
from rl.shared.learner_memory import LearnerMemory
from tests.support.bits import assert_bit_equal
from tests.support.configs import cartpole_config
from tests.support.programs import ENDLESS, Program, assert_whole, soon
from tests.support.runs import ROOT, TINY, untimed, words

CARTPOLE = {
    **TINY,
    "mode": "sync",
    "log_interval": 200,
    "checkpoint_interval": 700,
    "total_env_steps": 2_000,
    "eval_interval": 400,
    "interval_episodes": 2,
}
FAULTY = {**ENDLESS, "mode": "sync"}
LATE = 5  # seconds, soon: from when a fault is known until the record says it; 1 to 3 on a quiet machine
MIXED = "tests.support.entry_envs:ShowsMixed-v0"
MASKED_TABLE = "tests.support.action_envs:MaskedTable-v0"
REPLAY = {
    **ALGORITHMS["q_replay"].defaults,
    **CARTPOLE,
    "algorithm": "q_replay",
    "replay_capacity": 2_000,
    "replay_warm_up": 300,
    "replay_batch": 4,
    "sequence_length": 4,
    "burn_in": 2,
    "target_steps": 2,
}


PPO = {
    **ALGORITHMS["ppo"].defaults,
    **CARTPOLE,
    "algorithm": "ppo",
    "epochs": 3,
    "minibatches": 2,
    "target_kl": 1e-4,
    "learning_rate": 0.01,
}


class Torchrun(Program):
    """torchrun, and everything it starts, which carries a mark."""

    def __init__(self, folder, options, workers=2, how=("--standalone",), before=(), **variables):
        launcher = ["-m", "torch.distributed.run", *how, "--nproc-per-node", str(workers), "-m", "experiments.train"]
        super().__init__(folder, [*before, sys.executable, *launcher, *options], **variables)

    def member(self, rank):
        """The process of a worker; of rank 0 the parent, which has the run."""
        found = [Path(f"/proc/{pid}") for pid in self.everyone()]
        [folder] = [
            one
            for one in found
            if f"\0RANK={rank}\0" in (one / "environ").read_text()
            and "experiments.train" in (one / "cmdline").read_text()
        ]
        return int(folder.name)

    def wait_until(self, condition, seconds=300):
        super().wait_until(condition, seconds)

    def summary(self):
        return json.loads((self.folder / "summary.json").read_text())

    def all_gone(self, limit=300):
        """The exit code, once everything has ended; how soon that is promised is said where it matters."""
        code = self.process.wait(limit)
        self.seconds_until_all_are_gone(limit)
        return code


@pytest.fixture
def start(tmp_path):
    groups = []

    def start(folder, options, **more):
        groups.append(Torchrun(tmp_path / folder, options, **more))
        return groups[-1]

    yield start
    for group in groups:
        group.end()


def on_one_machine(folder, **options):
    """A finished run of spawned workers."""
    assert new_run(cartpole_config(**options, run_dir=str(folder)), envs.make_vector).execute()["exit_code"] == 0
    return folder


def in_a_group(folder, workers, **options):
    """A finished run of processes that torchrun started."""
    group = Torchrun(folder, words({**options, "run_dir": folder}), workers)
    try:
        assert group.all_gone() == 0, group.said()
        return folder
    finally:
        group.end()


def learnt(folder):
    """What a run's checkpoint says but for times: the learner, counters, and where each worker stands."""
    state = load_checkpoint(folder / "checkpoint.pt")[1]
    counters = {name: state["ledger"]["arrays"][name] for name in ("env_steps", "updates", "returns", "returns_seen")}
    workers = [torch.load(io.BytesIO(one.numpy().tobytes()), weights_only=True) for one in state["workers"]]
    return {"learner": state["learner"], "counters": counters, "workers": workers}


# --- what is learnt


@pytest.mark.parametrize(
    ("workers", "options"),
    [
        pytest.param(2, {}, id="2 workers"),
        pytest.param(1, {}, id="1 worker", marks=pytest.mark.slow),
        pytest.param(3, REPLAY, id="3 workers, replay", marks=pytest.mark.slow),
        pytest.param(3, PPO, id="3 workers, ppo", marks=pytest.mark.slow),
        pytest.param(2, {"env": "Pendulum-v1"}, id="2 workers, numbers", marks=pytest.mark.slow),
        pytest.param(2, {"env": MASKED_TABLE}, id="2 workers, masked numbers", marks=pytest.mark.slow),
        pytest.param(2, {"env": MIXED, "frame_stack": 2}, id="2 workers, image and vector", marks=pytest.mark.slow),
        pytest.param(3, {"core": "gru", "loss_reduction": "sum"}, id="3 workers, sums", marks=pytest.mark.slow),
    ],
)
def test_in_order_a_group_learns_bit_for_bit_what_workers_of_one_machine_learn(tmp_path, workers, options):
    """Record, evaluations within and after training, parameters, moments, and the state of each worker at the end."""
    options = {**CARTPOLE, **options}
    one = on_one_machine(tmp_path / "one", **options, workers=workers)
    group = in_a_group(tmp_path / "group", workers, **options)
    assert_bit_equal(learnt(one), learnt(group))
    assert untimed(one) == untimed(group) and untimed(one)[-1]["global_step"] >= 2_000
    assert sum("eval/episodic_return" in row for row in untimed(group)) == 5  # at 400, 800, … 2,000 env steps
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (one, group)]
    assert summaries[0]["eval_sampled"] == summaries[1]["eval_sampled"]
    assert load_checkpoint(group / "checkpoint.pt")[0].reduce == "ordered"


@pytest.mark.slow
@pytest.mark.parametrize("loss_reduction", ["mean", "sum"])
def test_all_together_a_group_of_three_learns_the_same_to_rounding(tmp_path, loss_reduction):
    """float64 rounds at 1e-16; 20 updates may grow that."""
    options = {**CARTPOLE, "dtype": "float64", "loss_reduction": loss_reduction}
    one = on_one_machine(tmp_path / "one", **options, workers=3)
    group = in_a_group(tmp_path / "group", 3, **options, reduce="all_reduce")
    first, second = (learnt(folder)["learner"]["parameters"] for folder in (one, group))
    torch.testing.assert_close(first, second, rtol=1e-10, atol=1e-12)
    assert [row["global_step"] for row in untimed(one)] == [row["global_step"] for row in untimed(group)]


# --- what is exchanged


class OneOfMany:
    """Stands for the group in rank 0; `act` is what happens in the parent while the others are told."""

    def __init__(self, act):
        self.act, self.told, self.size = act, [], 1

    def broadcast(self, tensor):
        self.told.append(tensor.clone())
        self.act()


def test_rank_0_stands_still_where_it_told_the_others_to_though_its_parent_was_quick():
    """The parent may settle what it was waited for while the ledger is on its way: the others wait to be told."""
    config = cartpole_config(mode="sync", workers=1)
    memory = LearnerMemory(config, 3)
    ledger, group = memory.ledger, OneOfMany(memory.ledger.dues.evaluated)
    learner = GroupLearner(group, config, memory)
    ledger.pages.now.evaluation_due[0] = 1
    learner.publish()
    group.told.clear()
    learner.wait_for_parent()
    assert group.told[0].tolist() == [0]  # go on
    assert len(group.told) == 6  # then the ledger, parameters, two moments and the step count
    group.told.clear()
    learner.wait_for_parent()
    assert group.told == []


def test_what_rank_0_tells_of_its_ledger_is_of_one_moment():
    """A verdict is two changes, the second of which is written to the page that is being told."""
    config = cartpole_config(mode="sync", workers=1, stop_when_solved=True)
    memory = LearnerMemory(config, 3, reward_threshold=1.0)
    ledger = memory.ledger
    told = []

    class Slow(OneOfMany):
        def broadcast(self, tensor):
            self.act()
            told.append(tensor.clone())

    def judge():
        ledger.finish()
        ledger.dues.judged(confirmed=True)

    ledger.pages.now.attempt[0] = 1
    before = ledger.pages.now.content.copy()
    GroupLearner(Slow(judge), config, memory).share_ledger()
    assert ledger.crossings.confirmed and ledger.finished
    assert np.array_equal(told[0].numpy(), before)


def test_rank_0_reads_its_ledger_under_the_lock():
    config = cartpole_config(mode="sync", workers=1)
    memory, group = LearnerMemory(config, 3), OneOfMany(lambda: None)
    learner = GroupLearner(group, config, memory)
    with memory.lock:
        thread = threading.Thread(target=learner.share_ledger, daemon=True)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive() and group.told == []
    thread.join(20)
    assert len(group.told) == 1


def ask(store, rank, names):
    thread = threading.Thread(target=lambda: names.__setitem__(rank, this_round(store, rank, 2)), daemon=True)
    thread.start()
    return thread


def test_a_group_that_starts_again_on_the_same_store_has_a_name_that_is_new_to_both():
    """torchrun keeps the store when it restarts processes: what the last start left there must not be found."""
    store = distributed.HashStore()
    store.set_timeout(timedelta(seconds=20))
    seen = []
    for _ in range(3):
        names = {}
        first = ask(store, 0, names)
        time.sleep(0.1)  # rank 0 looks before the other has asked
        second = ask(store, 1, names)
        first.join(20)
        second.join(20)
        assert names[0] == names[1]
        seen.append(names[0])
    assert len(set(seen)) == 3


class Other(OneOfMany):
    """A group of two, the other of which adds this to whatever is added up."""

    def __init__(self, *theirs):
        super().__init__(lambda: None)
        self.theirs, self.size = torch.tensor(theirs), 2

    def add_up(self, tensor):
        tensor += self.theirs


def of_two(group, **options):
    config = cartpole_config(mode="sync", workers=2, reduce="all_reduce", **options)
    return GroupLearner(group, config, LearnerMemory(config, 2))


def test_gradients_that_all_add_up_together_are_weighted_by_the_env_steps_behind_them():
    """Means [1, 2] of 3 steps and [5, 6] of 1 step: (3 + 5) / 4 = 2, (6 + 6) / 4 = 3. Nothing new: half of each."""
    ours = torch.tensor([1.0, 2.0])
    assert of_two(Other(5.0, 6.0, 1.0)).add_up(ours, 3).tolist() == [2, 3]
    assert of_two(Other(5.0, 6.0, 1.0)).add_up(ours, 0).tolist() == [3, 4]
    assert of_two(Other(5.0, 6.0, 1.0), loss_reduction="sum").add_up(ours, 3).tolist() == [6, 8]
    assert ours.tolist() == [1, 2]


def test_the_worker_whose_advantages_are_not_finite_is_the_one_that_fails():
    """It does before it tells the others, or all would fail alike."""
    group = OneOfMany(lambda: None)
    config = cartpole_config(mode="sync", workers=1)
    learner = GroupLearner(group, config, LearnerMemory(config, 3))
    with pytest.raises(FloatingPointError, match=r"^the advantages are not finite"):
        learner.sum_over_workers(torch.tensor([1.0, float("nan"), 1.0], dtype=torch.float64))
    assert group.told == []


def test_an_experiment_with_a_learner_of_its_own_does_not_go_over_several_machines():
    assert grouped(Overrides(targets=print), None).targets is print
    with pytest.raises(ValueError, match="a learner of one machine's own"):
        grouped(Overrides(make_learner=print), None)


def test_a_worker_that_finds_no_group_says_what_may_be_missing(monkeypatch):
    monkeypatch.setattr("rl.group.exchange.JOIN_SECONDS", 1.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(GroupLost, match=r"^found no group within 1 s: a worker is missing, or GLOO_SOCKET_IFNAME sh"):
        Group()


# --- options


@pytest.fixture
def command(monkeypatch):
    """What a command line comes to in one of so many processes that torchrun started; 0: it did not."""

    def command(workers, *options, **variables):
        monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
        of_torchrun = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": str(workers), **variables}
        for name, value in of_torchrun.items() if workers else ():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["train", *options])
        return train.command()

    return command


def test_torchrun_says_how_many_workers_there_are(command):
    assert command(3, "--mode", "sync").config.workers == 3
    assert command(3, "--mode", "sync", "--workers", "3").config.workers == 3
    assert command(0, "--mode", "sync").config.workers == 2  # the default, without torchrun


def test_up_to_eight_workers_gradients_are_added_up_in_order(command):
    assert command(8, "--mode", "sync").config.reduce == "ordered"
    assert command(9, "--mode", "sync").config.reduce == "all_reduce"
    assert command(9, "--mode", "sync", "--reduce", "ordered").config.reduce == "ordered"
    assert command(8, "--mode", "sync", "--reduce", "all_reduce").config.reduce == "all_reduce"


@pytest.mark.parametrize(
    ("workers", "options", "line"),
    [
        (2, [], "--mode async: under torchrun workers update together, sync is needed"),
        (
            1,
            ["--mode", "serial", "--workers", "1"],
            "--mode serial: under torchrun workers update together, sync is needed",
        ),
        (2, ["--mode", "sync", "--workers", "3"], "--workers 3: torchrun started 2, leave it out"),
        (
            2,
            ["--mode", "sync", "--workers", "2", "--restart-workers", "1"],
            "--restart-workers 1: only async replaces workers, 0 is needed",
        ),
        (0, ["--mode", "sync", "--reduce", "ordered"], "--reduce ordered: it is read under torchrun, leave it out"),
        (
            2,
            ["--resume", "runs/x", "--mode", "sync"],
            "--resume runs/x: runs/x/checkpoint.pt: no checkpoint here; a run writes one at each --checkpoint-interval "
            "and at its end",
        ),
    ],
)
def test_an_option_that_does_not_go_with_a_group_is_one_line(command, workers, options, line):
    with pytest.raises(ValueError) as error:
        command(workers, *options)
    assert str(error.value) == line


def test_a_group_that_is_to_be_restarted_needs_a_folder_to_go_on_from(command, tmp_path):
    restarts = {"TORCHELASTIC_MAX_RESTARTS": "2"}
    with pytest.raises(ValueError, match=r"^--run-dir '': where torchrun restarts a group, a folder to go on from is"):
        command(2, "--mode", "sync", **restarts)
    assert command(2, "--mode", "sync", "--run-dir", str(tmp_path), **restarts).config.run_dir == str(tmp_path)
    assert command(2, "--mode", "sync", TORCHELASTIC_MAX_RESTARTS="0").config.run_dir == ""


@pytest.fixture
def cut_off(tmp_path):
    """A function that leaves a run that was stopped at its first row, of these options and those of CARTPOLE."""

    def cut_off(**options):
        config = cartpole_config(**{**CARTPOLE, "eval_interval": 0, "run_dir": str(tmp_path / "run"), **options})
        run = new_run(config, envs.make_vector)
        assert run.execute(on_row=lambda _row: run.outcome.note_signal(signal.SIGTERM))["exit_reason"] == "SIGTERM"
        return tmp_path / "run"

    return cut_off


def test_a_run_goes_on_with_as_many_workers_as_it_had(cut_off):
    folder = cut_off(mode="serial", workers=1)
    with pytest.raises(ValueError) as error:
        train.run_of(train.Command(resume=str(folder)), 2)
    assert str(error.value) == (
        f"--resume {folder}: a run of 1 workers in mode serial, torchrun started 2 for mode sync"
    )
    assert train.run_of(train.Command(resume=str(folder)), 0).setup.config.workers == 1


def test_where_torchrun_restarts_a_group_the_same_command_goes_on_and_another_one_is_refused(
    cut_off, command, monkeypatch
):
    """torchrun counts no restart where a host joined anew, and one that was started again itself has counted none."""
    folder = cut_off(workers=2, reduce="ordered")
    given = words({**CARTPOLE, "eval_interval": 0, "run_dir": folder})
    with pytest.raises(ValueError, match=f"^--run-dir {folder}: it is not empty"):
        train.run_of(command(2, *given), 2)
    restarts = {"TORCHELASTIC_MAX_RESTARTS": "1"}
    run = train.run_of(command(2, *given, **restarts), 2)
    resumed_at = run.continuation.resumed_at
    assert resumed_at == run.setup.ledger.env_steps > 0 and run.workers.in_group
    moved = shutil.copytree(folder, folder.with_name("moved"))
    again = command(2, *given, f"--run-dir={moved}", **restarts)
    assert train.run_of(again, 2).continuation.resumed_at == resumed_at
    with pytest.raises(ValueError) as error:
        train.run_of(command(2, *given, "--seed=5", **restarts), 2)
    assert str(error.value) == f"--run-dir {folder}: its run has --seed 1, not 5; name another folder"
    monkeypatch.undo()
    with pytest.raises(ValueError, match=f"^--run-dir {folder}: it is not empty"):
        train.run_of(train.Command(config=run.setup.config), 0)


# --- how it ends


def faulty(folder, *env_arg, **options):
    """Words of a run that goes on until something happens."""
    given = [f"--env-arg={one}" for one in env_arg]
    return words({**FAULTY, **options, "run_dir": folder}) + given


@pytest.mark.slow
def test_a_fault_of_one_worker_is_named_in_the_record_and_ends_all(start, tmp_path):
    group = start("run", faulty(tmp_path / "run", "fault=raises", "at=1200", f"folder={tmp_path}"))
    assert group.all_gone() == 1
    assert (group.folder / "summary.json").stat().st_mtime - float((tmp_path / "fault").read_text()) < soon(LATE)
    summary, said = group.summary(), group.said()
    cause = "worker 0 lost its group: worker 1 failed: RuntimeError: the pole fell on my foot"
    assert summary["exit_reason"] == cause and summary["exit_code"] == 1 and summary["env_steps"] > 1000
    assert cause in said.splitlines()
    assert said.count("the pole fell on my foot\n") == 2  # of the traceback's two, the one that ends it, and that line
    assert_whole(tmp_path / "run", summary)


@pytest.mark.slow
def test_killed_workers_are_named_and_a_group_that_torchrun_restarts_goes_on_with_nothing_logged_twice(start, tmp_path):
    """Updates are of 2 · 4 · 8 = 64 env steps, a row each."""
    options = faulty(tmp_path / "run", "slow_process=worker 1", "sleep=0.001", total_env_steps=6_400)
    group = start("run", options, how=("--standalone", "--max-restarts", "1"))
    group.wait_until(group.has_rows)
    os.kill(group.member(1), signal.SIGKILL)
    assert group.all_gone() == 0
    said = group.said()
    assert "worker 0 lost its group: worker 1 is gone" in said.splitlines()
    assert "not bit by bit: environments of worker 0, 1 begin their next episodes" in said
    assert group.summary()["exit_reason"] == "total_env_steps" and group.summary()["exit_code"] == 0
    assert_each_update_once(group.folder, 100)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["hangs", "stopped"])
def test_a_worker_that_does_not_go_on_is_named_when_its_time_is_over(start, tmp_path, fault):
    """It sleeps for an hour in a step of its environment, or is stopped there as by SIGSTOP."""
    options = faulty(tmp_path / "run", f"fault={fault}", "at=2000", "process=worker 2", f"folder={tmp_path}")
    group = start("run", [*options, "--worker-timeout=3"], workers=3)
    group.wait_until(lambda: (group.folder / "summary.json").exists())
    assert (
        3 < (group.folder / "summary.json").stat().st_mtime - float((tmp_path / "fault").read_text()) < 3 + soon(LATE)
    )
    cause = "worker 0 lost its group: worker 2 did not answer within 3 s (--worker-timeout)"
    assert group.summary()["exit_reason"] == cause
    assert group.all_gone() == 1  # torchrun gives those that hang 30 s
    assert_whole(group.folder, group.summary())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """What a run comes to that nobody stops: 400 updates of two workers."""
    folder = tmp_path_factory.mktemp("runs") / "uninterrupted"
    return on_one_machine(folder, **LONG, workers=2)


LONG = {**CARTPOLE, "total_env_steps": 25_600, "eval_interval": 0, "checkpoint_interval": 5_000}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "whom"), [(signal.SIGTERM, "torchrun"), (signal.SIGINT, "torchrun"), (signal.SIGTERM, "worker 1")]
)
def test_a_group_that_is_asked_to_stop_goes_on_as_if_nothing_had_been(start, tmp_path, uninterrupted, number, whom):
    """A host that is taken away asks only its own workers; all stop with it. A machine alone goes on with the run."""
    group = start("run", words({**LONG, "run_dir": tmp_path / "run"}))
    group.wait_until(lambda: group.has_rows() and len(untimed(group.folder)) >= 10)
    os.kill(group.process.pid if whom == "torchrun" else group.member(1), number)
    group.all_gone()
    summary = group.summary()
    # Ctrl-C reaches all workers, and whoever is not rank 0 asks its parent by SIGTERM: one of them is the first.
    reasons = {signal.Signals(one).name: 128 + one for one in (number, signal.SIGTERM)}
    assert summary["exit_code"] == reasons[summary["exit_reason"]]
    assert 2_000 <= summary["env_steps"] < 25_600
    assert_whole(group.folder, summary)
    assert f'File "{ROOT}/rl' not in group.said()  # torchrun says in a traceback of its own that it was ended
    assert resumed_run(group.folder, envs.make_vector).execute()["exit_code"] == 0
    assert_bit_equal(learnt(uninterrupted), learnt(group.folder))
    assert untimed(uninterrupted) == untimed(group.folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "line"), [(0, "worker 1 lost its group: a worker or a host is gone"), (1, "worker 0 lost its group: ")]
)
def test_when_a_worker_is_killed_the_group_restarts_from_its_checkpoint_as_if_nothing_had_been(
    start, tmp_path, uninterrupted, rank, line
):
    """That of rank 0 has the run too. Rows behind its last checkpoint come again, and take their places."""
    group = start("run", words({**LONG, "run_dir": tmp_path / "run"}), how=("--standalone", "--max-restarts", "1"))
    group.wait_until((group.folder / "checkpoint.pt").exists)
    group.wait_until(lambda: len(untimed(group.folder)) >= 30)  # 6,000 env steps, the checkpoint is of 5,000
    os.kill(group.member(rank), signal.SIGKILL)
    assert group.all_gone() == 0, group.said()
    assert line in group.said() and "not bit by bit" not in group.said()
    assert_bit_equal(learnt(uninterrupted), learnt(group.folder))
    assert untimed(uninterrupted) == untimed(group.folder)


@pytest.mark.slow
def test_a_group_goes_on_with_a_run_that_one_machine_began(start, tmp_path, uninterrupted):
    run = new_run(cartpole_config(**LONG, workers=2, run_dir=str(tmp_path / "run")), envs.make_vector)
    threading.Timer(3.0, run.outcome.note_signal, [signal.SIGTERM]).start()
    assert run.execute()["exit_reason"] == "SIGTERM" and run.setup.ledger.env_steps < 25_600
    group = start("run", ["--resume", str(tmp_path / "run")])
    assert group.all_gone() == 0
    assert_bit_equal(learnt(uninterrupted), learnt(group.folder))
    assert untimed(uninterrupted) == untimed(group.folder)


@pytest.mark.slow
def test_when_torchrun_is_killed_the_run_ends_orderly_and_no_worker_had_wandb(start, tmp_path):
    """Each worker leaves what it looks like from inside."""
    group = start("run", faulty(tmp_path / "run", "fault=probe", f"folder={tmp_path}", wandb="offline"))
    group.wait_until(group.has_rows)
    group.process.kill()
    group.seconds_until_all_are_gone(limit=300)
    assert group.summary()["exit_reason"] == "SIGTERM"
    assert_whole(group.folder, group.summary())
    for rank in (0, 1):
        seen = json.loads((tmp_path / f"worker {rank}.json").read_text())
        assert not seen["wandb_imported"] and seen["torch_threads"] == 1


@pytest.mark.slow
def test_a_wrong_option_is_said_once_and_a_wrong_environment_ends_the_others_soon(start, tmp_path):
    group = start("mode", faulty(tmp_path / "mode", mode="async"), workers=3)
    assert group.all_gone() == 1
    assert group.said().count("error: --mode async: under torchrun workers update together, sync is needed\n") == 1
    group = start("env", faulty(tmp_path / "env", env="Nope-v0"), workers=3)
    assert group.all_gone() == 1
    assert group.said().count("error: --env Nope-v0") == 1 and not (tmp_path / "env").exists()


# --- several hosts: network namespaces of this machine


HOSTS = ("host-a", "host-b")
SPACES = [f"carryover-{os.getpid()}-{host}" for host in HOSTS]  # names that another one's tests do not have


def ip(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True, text=True)


@pytest.fixture
def hosts(tmp_path):
    """Two hosts with a cable between them, each with its own interfaces, routes and name; what they know of names."""
    names = tmp_path / "hosts"
    names.write_text("127.0.0.1 localhost\n10.77.0.1 host-a\n10.77.0.2 host-b\n")
    if not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("ip and unshare are needed")
    first, second = SPACES
    try:
        for space in SPACES:
            if made := ip("netns", "add", space).stderr:
                pytest.skip(f"network namespaces cannot be made here: {made.strip()}")
        cable = ip("link", "add", "cable", "netns", first, "type", "veth", "peer", "name", "cable", "netns", second)
        if cable.returncode:
            pytest.skip(f"no cable between network namespaces can be made here: {cable.stderr.strip()}")
        for number, space in enumerate(SPACES, 1):
            ip("-n", space, "address", "add", f"10.77.0.{number}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", space, "link", "set", device, "up")
        yield names
    finally:
        for space in SPACES:
            ip("netns", "delete", space)


def cable_of_second(state):
    """Take the second host's link down, or up."""
    assert ip("-n", SPACES[1], "link", "set", "cable", state).returncode == 0


AS_TOLD = ("--master-addr", "host-a", "--master-port", "29511")
THEY_MEET = ("--rdzv-backend", "c10d", "--rdzv-id", "7", "--rdzv-endpoint", "host-a:29511", "--max-restarts", "3")


def start_on_both(start, names, folder, options, how=AS_TOLD):
    """torchrun on each host, as a user would start it there, with one worker each."""
    there = 'mount --bind "$0" /etc/hosts && hostname "$1" && shift && exec "$@"'  # the mount is of this process alone
    return [
        start(
            folder,
            options,
            workers=1,
            GLOO_SOCKET_IFNAME="cable",
            before=["ip", "netns", "exec", space, "unshare", "--uts", "sh", "-c", there, names, host],
            how=["--nnodes", "2", *how, *(["--node-rank", str(number)] if how is AS_TOLD else [])],
        )
        for number, (host, space) in enumerate(zip(HOSTS, SPACES, strict=True))
    ]


@pytest.mark.slow
def test_two_hosts_learn_bit_for_bit_what_one_machine_learns(hosts, start, tmp_path):
    one = on_one_machine(tmp_path / "one", **CARTPOLE, workers=2)
    for group in start_on_both(start, hosts, "two", words({**CARTPOLE, "run_dir": tmp_path / "two"})):
        assert group.all_gone() == 0, group.said()
    assert_bit_equal(learnt(one), learnt(tmp_path / "two"))
    assert untimed(one) == untimed(tmp_path / "two")


CUT = {"slow_process": "worker 1", "sleep": 0.002}  # 0.064 s an update, which is of 2 · 4 · 8 = 64 env steps, a row


@pytest.mark.slow
def test_a_host_that_is_cut_off_ends_the_run_in_time_and_when_it_is_back_the_run_goes_on(hosts, start, tmp_path):
    """100 updates take 6.4 s or more. Rank 0 says who is missing; who is cut off from it waits for 5 s longer."""
    environment = [f"{name}={value}" for name, value in CUT.items()]
    options = faulty(tmp_path / "run", *environment, total_env_steps=6_400, worker_timeout=4)
    groups = start_on_both(start, hosts, "run", options)
    groups[0].wait_until(groups[0].has_rows)
    cable_of_second("down")
    cut = time.time()
    assert [group.all_gone() for group in groups] == [1, 1]
    assert (tmp_path / "run" / "summary.json").stat().st_mtime - cut < 4 + soon(LATE)
    said = [group.said() for group in groups]
    cause = "worker 0 lost its group: worker 1 on host-b did not answer within 4 s (--worker-timeout)"
    assert groups[0].summary()["exit_reason"] == cause and cause in said[0].splitlines()
    assert "worker 1 lost its group: a worker or a host did not answer within 9 s (--worker-timeout)" in said[1]
    assert groups[0].summary()["env_steps"] < 6_400
    assert_whole(tmp_path / "run", groups[0].summary())
    cable_of_second("up")
    for group in start_on_both(start, hosts, "run", ["--resume", str(tmp_path / "run")]):
        assert group.all_gone() == 0, group.said()
    assert_each_update_once(tmp_path / "run", 100)


@pytest.mark.slow
def test_torchrun_restarts_the_group_when_a_host_that_was_cut_off_is_back(hosts, start, tmp_path):
    """The link comes back before torchrun of either host gives the other up."""
    environment = [f"{name}={value}" for name, value in CUT.items()]
    options = faulty(tmp_path / "run", *environment, total_env_steps=6_400, worker_timeout=4)
    groups = start_on_both(start, hosts, "run", options, THEY_MEET)
    groups[0].wait_until(groups[0].has_rows)
    cable_of_second("down")
    groups[0].wait_until((tmp_path / "run" / "summary.json").exists)
    stopped_at = groups[0].summary()["env_steps"]
    cable_of_second("up")
    for group in groups:
        assert group.all_gone() == 0, group.said()
    assert f"going on from {stopped_at} env steps" in groups[0].said()
    assert_each_update_once(tmp_path / "run", 100)


def assert_each_update_once(folder, updates):
    """Of 64 env steps, a row each."""
    assert [row["global_step"] for row in untimed(folder)] == list(range(64, 64 * updates + 1, 64))
    assert [row["losses/updates"] for row in untimed(folder)] == [1] * updates
