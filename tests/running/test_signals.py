"""Which signals end a run in order, and who receives them. test_processes.py sends some to real runs."""

import faulthandler
import os
import signal
import time

import pytest

from experiments.lab.command_line import errors_in_one_line
from rl.running.signals import ENDING, Handler, name_of, noted_signals
from tests.support.forks import forked

USUAL = {"HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM", "VTALRM", "PROF", "XCPU", "IO", "PWR", "STKFLT"}
OTHERS = {"KILL", "STOP", "TSTP", "TTIN", "TTOU", "CONT", "CHLD", "WINCH", "URG", "SEGV", "BUS", "FPE", "ILL"}


def numbers(names):
    return {int(getattr(signal, f"SIG{name}")) for name in names}


def as_at_the_start():
    """Python's own handlers, in a process that was forked."""
    for number in ENDING:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def in_a_fork(action):
    """Run an action in a process of its own, in which all signals have their first handlers."""

    def act():
        as_at_the_start()
        action()
        os._exit(7)

    _, status = os.waitpid(forked(act), 0)
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 7


def test_every_signal_that_would_end_a_process_is_noted_and_no_other():
    """NVIDIA-NeMo/Automodel#405, facebookincubator/submitit#1701: a scheduler or a terminal sends another signal than
    SIGTERM, and nothing is saved. Real-time signals are among them."""
    assert numbers(USUAL) <= ENDING and not numbers(OTHERS) & ENDING
    assert {signal.SIGRTMIN, signal.SIGRTMIN + 3, signal.SIGRTMAX} <= ENDING

    def act():
        noted = []
        with noted_signals(noted.append):
            for number in sorted(ENDING):
                os.kill(os.getpid(), number)
        assert noted == sorted(ENDING)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL

    in_a_fork(act)


def test_a_signal_that_is_ignored_stays_ignored_and_a_handler_of_the_caller_his():
    """As under nohup. SIGINT and SIGTERM alone are taken from a caller who answers them, for the time of the run."""

    def act():
        noted, his = [], []
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, lambda number, _frame: his.append(number))
        with noted_signals(noted.append):
            for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
                os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGINT)
        assert noted == [signal.SIGINT, signal.SIGUSR2] and his == [signal.SIGUSR1, signal.SIGINT]

    in_a_fork(act)


def test_a_handler_that_c_code_has_set_stays():
    """Python does not know of it: faulthandler writes a traceback at SIGUSR1."""

    def act():
        reader, writer = os.pipe()
        faulthandler.register(signal.SIGUSR1, writer)
        noted = []
        with noted_signals(noted.append):
            os.kill(os.getpid(), signal.SIGUSR1)
        assert noted == [] and b"File" in os.read(reader, 10_000)

    in_a_fork(act)


def test_a_process_that_an_environment_forks_can_be_terminated():
    """It was born with the handler of its parent, which notes the signal and goes on."""

    def act():
        with noted_signals(lambda _number: None):
            assert isinstance(signal.getsignal(signal.SIGTERM), Handler)
            child = forked(signal.pause)
            os.kill(child, signal.SIGTERM)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM

    in_a_fork(act)


@pytest.mark.parametrize(
    ("number", "name"), [(15, "SIGTERM"), (signal.SIGRTMIN, "SIGRTMIN"), (signal.SIGRTMIN + 1, "SIGRTMIN+1")]
)
def test_a_signal_has_a_name(number, name):
    assert name_of(number) == name


def test_sigterm_while_a_command_starts_ends_it_in_order_and_is_no_wrong_option():
    """Exit code 143, whatever of a parser stands in between; afterwards the signal has its handler back."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end, errors_in_one_line():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        except SystemExit:
            raise ValueError("a parser refuses an option like this") from None
    assert end.value.code == 143 and signal.getsignal(signal.SIGTERM) == before
