"""Options: what is refused, in which words, and before anything is started."""

import ast
import dataclasses
import inspect
import itertools
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import train
from experiments.lab.command_line import parse
from experiments.train import main
from rl.algorithms import ALGORITHMS, read_by
from rl.config import Config
from rl.config_rules import option
from rl.presets import PRESETS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"seed": -1}, "--seed -1: a whole number of at least 0 is needed"),
        ({"workers": 0}, "--workers 0: a whole number of at least 1 is needed"),
        ({"workers": True}, "--workers True: a whole number is needed"),
        ({"workers": 2.0}, "--workers 2.0: a whole number is needed"),
        ({"segment_length": -1}, "--segment-length -1: a whole number of at least 0 is needed"),
        ({"observe": "a,a"}, "--observe 'a,a': names separated by commas, each once, are needed"),
        ({"observe": "a, b"}, "--observe 'a, b': names separated by commas, each once, are needed"),
        ({"torso_layers": -1}, "--torso-layers -1: a whole number of at least 0 is needed"),
        ({"discount": 1.01}, "--discount 1.01: a number from 0 to 1 is needed"),
        ({"discount": float("nan")}, "--discount nan: a number from 0 to 1 is needed"),
        ({"discount": True}, "--discount True: a number is needed"),
        ({"discount": "0.9"}, "--discount '0.9': a number is needed"),
        ({"gae_lambda": -0.5}, "--gae-lambda -0.5: a number from 0 to 1 is needed"),
        ({"adam_beta2": 1.0}, "--adam-beta2 1.0: a number from 0 to below 1 is needed"),
        ({"entropy_coefficient": -0.01}, "--entropy-coefficient -0.01: a number of at least 0 is needed"),
        ({"learning_rate": 0.0}, "--learning-rate 0.0: a number above 0 is needed"),
        ({"learning_rate": float("inf")}, "--learning-rate inf: a number above 0 is needed"),
        ({"max_gradient_norm": float("nan")}, "--max-gradient-norm nan: a number above 0 is needed"),
        (
            {"core": "tcn"},
            "--core 'tcn': one of mlp, rnn, gru, lstm, rtu, mingru, module:Class or path/file.py:Class is needed",
        ),
        ({"mode": "parallel"}, "--mode 'parallel': one of async, sync, serial is needed"),
        ({"carry_state": "no"}, "--carry-state 'no': True or False is needed"),
        ({"run_dir": Path("runs/x")}, "--run-dir PosixPath('runs/x'): text is needed"),
        ({"eval_max_steps": 0}, "--eval-max-steps 0: a whole number of at least 1 is needed"),
        ({"reward_threshold": float("nan")}, "--reward-threshold nan: a finite number is needed"),
        ({"reward_threshold": "9"}, "--reward-threshold '9': a finite number is needed"),
        ({"reward_threshold": True}, "--reward-threshold True: a finite number is needed"),
        ({"max_seconds": -0.5}, "--max-seconds -0.5: a number of at least 0 is needed"),
        ({"max_seconds": float("inf")}, "--max-seconds inf: a number of at least 0 is needed"),
        ({"baseline": "mean"}, "--baseline 'mean': one of value, none is needed"),
        ({"loss_reduction": "max"}, "--loss-reduction 'max': one of mean, sum is needed"),
        ({"env_arg": ("delay",)}, "--env-arg 'delay': name=value is needed, as in --env-arg delay=8"),
        ({"env_arg": ("de lay=8",)}, "--env-arg 'de lay=8': name=value is needed, as in --env-arg delay=8"),
        ({"env_arg": ("delay=8", "delay=9")}, "--env-arg 'delay=9': delay is given twice, one value is needed"),
        (
            {"segment_length": 1, "envs_per_worker": 1},
            "--normalise-advantages True: an update of a single step has nothing to compare its advantage with, "
            "--no-normalise-advantages is needed",
        ),
        ({"mode": "serial", "workers": 2}, "--workers 2: --mode serial has no worker processes, it needs --workers 1"),
        (
            {"stop_at_episode_end": True, "envs_per_worker": 2},
            "--envs-per-worker 2: --stop-at-episode-end True ends segments with one environment's episode, 1 is needed",
        ),
        (
            {"segment_length": 0, "envs_per_worker": 32},
            "--envs-per-worker 32: --segment-length 0 ends segments with one environment's episode, 1 is needed",
        ),
        (
            {"bootstrap": False, "returns": "gae"},
            "--returns gae: --no-bootstrap has no values to weigh, n_step is needed",
        ),
        (
            {"separate_critic": True, "detach_critic": True},
            "--detach-critic True: with --separate-critic nothing is shared, False is needed",
        ),
        ({"algorithm": "dqn"}, "--algorithm 'dqn': one of a2c, a2c_replay, ppo, q_online, q_replay is needed"),
        (
            {"replay_way": "random"},
            "--replay-way 'random': one of transitions, zero, zero_burn_in, stored, stored_burn_in, episodes is needed",
        ),
        *(
            ({"algorithm": "ppo", **options}, line)
            for options, line in (
                (
                    {"envs_per_worker": 1, "minibatches": 1, "stop_at_episode_end": True},
                    "--stop-at-episode-end True: --algorithm ppo learns from segments of N steps, False is needed",
                ),
                (
                    {"envs_per_worker": 1, "minibatches": 1, "segment_length": 0},
                    "--segment-length 0: --algorithm ppo learns from segments of N steps, at least 1 is needed",
                ),
                (
                    {"envs_per_worker": 30},
                    "--minibatches 4: a minibatch is whole columns of a segment, a number that divides "
                    "--envs-per-worker 30 is needed",
                ),
                ({"minibatches": 0}, "--minibatches 0: a whole number of at least 1 is needed"),
                ({"epochs": 0}, "--epochs 0: a whole number of at least 1 is needed"),
                ({"clip_range": 0.0}, "--clip-range 0.0: a number above 0 is needed"),
                ({"target_kl": -0.1}, "--target-kl -0.1: a number of at least 0 is needed"),
            )
        ),
        ({"epsilon_first": 0.0}, "--epsilon-first 0.0: a number above 0, up to 1 is needed"),
        ({"epsilon_last": 1.5}, "--epsilon-last 1.5: a number above 0, up to 1 is needed"),
        ({"priority_exponent": 1.1}, "--priority-exponent 1.1: a number from 0 to 1 is needed"),
        ({"importance_exponent": -0.1}, "--importance-exponent -0.1: a number from 0 to 1 is needed"),
        ({"replay_ratio": 0.0}, "--replay-ratio 0.0: a number above 0, up to 1000 is needed"),
        ({"max_cpu_seconds": -1}, "--max-cpu-seconds -1: a number of at least 0 is needed"),
        ({"eval_interval": -1}, "--eval-interval -1: a whole number of at least 0 is needed"),
        ({"interval_episodes": 0}, "--interval-episodes 0: a whole number of at least 1 is needed"),
        ({"burn_in": -1}, "--burn-in -1: a whole number of at least 0 is needed"),
        ({"replay_warm_up": -1}, "--replay-warm-up -1: a whole number of at least 0 is needed"),
        *(
            ({name: 0}, f"{option(name)} 0: a whole number of at least 1 is needed")
            for name in ("replay_capacity", "replay_batch", "sequence_length", "target_steps", "target_interval")
        ),
        *(
            (
                {"algorithm": algorithm, name: True},
                f"{option(name)} True: --algorithm {algorithm} has no critic apart "
                "from its action values, False is needed",
            )
            for name in ("separate_critic", "detach_critic", "bounded_values")
            for algorithm in ("q_online", "q_replay")
        ),
        *(
            (
                {"algorithm": algorithm, "baseline": "none"},
                f"--baseline none: it is an option of a2c, --algorithm {algorithm} needs value",
            )
            for algorithm in ("a2c_replay", "ppo", "q_online", "q_replay")
        ),
        *(
            ({"algorithm": algorithm, **options}, line)
            for algorithm in ("a2c_replay", "q_replay")
            for options, line in (
                (
                    {"envs_per_worker": 1, "stop_at_episode_end": True},
                    "--stop-at-episode-end True: a replay buffer takes segments of N steps, False is needed",
                ),
                (
                    {"envs_per_worker": 1, "segment_length": 0},
                    "--segment-length 0: a replay buffer takes segments of N steps, at least 1 is needed",
                ),
                (
                    {"carry_state": False},
                    "--no-carry-state: what a replayed sequence starts from is --replay-way; zero is near it",
                ),
                (
                    {"returns": "n_step", "bootstrap": False},
                    "--no-bootstrap: a replayed sequence ends anywhere, and goes on with a value; leave it out",
                ),
                (
                    {"replay_way": "episodes", "priority_exponent": 0.5},
                    "--priority-exponent 0.5: whole episodes are drawn all alike, 0 is needed",
                ),
                (
                    {"replay_capacity": 6000, "replay_warm_up": 6001},
                    "--replay-warm-up 6001: at most --replay-capacity, 6000, is needed",
                ),
            )
        ),
        (
            {"algorithm": "q_replay", "importance_exponent": 0.4},
            "--importance-exponent 0.4: without --priority-exponent all weigh the same, 0 is needed",
        ),
        (
            {"algorithm": "a2c_replay", "priority_exponent": 0.6, "importance_exponent": 0.4},
            "--importance-exponent 0.4: V-trace has none, 0 is needed",
        ),
        (
            {"algorithm": "a2c_replay", "replay_way": "transitions"},
            "--replay-way transitions: V-trace corrects over sequences, one of the others is needed",
        ),
        # Windows of 8 + 32 + 5 rows are 2 segments of 32, of 64 environments.
        (
            {"algorithm": "q_replay", "replay_capacity": 2047, "replay_warm_up": 0},
            "--replay-capacity 2047: sequences of every environment take 2048 env steps, at least that is needed",
        ),
        (
            {"algorithm": "a2c_replay", "replay_batch": 1, "sequence_length": 1},
            "--normalise-advantages True: an update of a single step has nothing to compare its advantage with, "
            "--no-normalise-advantages is needed",
        ),
        (
            {"log_interval": 1000, "eval_interval": 999},
            "--eval-interval 999: evaluations stand in the rows of --log-interval, at least 1000 is needed",
        ),
        (
            {"log_interval": 1, "total_env_steps": 3_000_000},
            "--log-interval 1: the record would exceed a million rows, at least 4 is needed",
        ),
    ],
)
def test_a_wrong_value_is_refused_in_one_line_that_names_option_value_and_what_is_right(options, line):
    with pytest.raises(ValueError, match=re.escape(line) + "$"):
        Config(**options)


def test_every_numeric_option_refuses_nan_and_every_count_refuses_half():
    for field in dataclasses.fields(Config):
        if field.type in (int, float):
            with pytest.raises(ValueError, match=f"^{option(field.name)} nan: "):
                Config(**{field.name: float("nan")})
        if field.type is int:
            with pytest.raises(ValueError, match=f"^{option(field.name)} 1.5: a whole number is needed"):
                Config(**{field.name: 1.5})


def test_values_at_the_edge_are_allowed():
    Config(seed=0, discount=1.0, gae_lambda=0.0, torso_layers=0, entropy_coefficient=0.0, adam_beta1=0.0, workers=1)
    Config(discount=0.0, gae_lambda=1, learning_rate=1)  # a whole number is a number
    Config(mode="serial", workers=1)
    Config(max_seconds=0)
    Config(
        algorithm="a2c", segment_length=0, stop_at_episode_end=True, envs_per_worker=1, workers=7
    )  # one environment a worker
    Config(bootstrap=False, returns="n_step")
    Config(separate_critic=True), Config(detach_critic=True)  # one of the two
    Config(epsilon_first=1.0, epsilon_last=1e-9, priority_exponent=1.0, importance_exponent=1.0, burn_in=0)
    Config(algorithm="q_replay", replay_capacity=2048, replay_warm_up=2048)
    Config(algorithm="q_replay", replay_capacity=2048, replay_warm_up=0, max_cpu_seconds=0, eval_interval=0)
    Config(algorithm="q_online", segment_length=1, envs_per_worker=1)  # it normalises no advantages
    Config(algorithm="a2c_replay", segment_length=1, envs_per_worker=1, workers=1)  # its updates are of many steps
    Config(algorithm="a2c_replay", replay_batch=1, sequence_length=1, mode="sync")  # of two workers
    Config(algorithm="q_online", stop_at_episode_end=True, envs_per_worker=1, carry_state=False)  # it has no buffer
    Config(algorithm="a2c_replay", separate_critic=True, replay_way="episodes")


def test_environment_arguments_are_python_literals_and_anything_else_is_text():
    config = Config(env_arg=("delay=8", "sizes=(1, 2)", "mask=True", "name=north", "path=a=b", "empty=", "none=None"))
    assert config.env_args == {
        "delay": 8,
        "sizes": (1, 2),
        "mask": True,
        "name": "north",
        "path": "a=b",
        "empty": "",
        "none": None,
    }


def test_a_segment_ends_with_its_episode_where_it_is_told_to_or_has_no_length():
    ends = {(0, False): True, (0, True): True, (10, True): True, (10, False): False}
    for (length, told), expected in ends.items():
        config = Config(algorithm="a2c", segment_length=length, stop_at_episode_end=told, envs_per_worker=1)
        assert config.stops_at_episode_end is expected


def test_the_learning_rate_falls_linearly_to_zero_and_stays_there():
    config = Config(learning_rate=0.4, total_env_steps=1000)
    assert [config.learning_rate_at(t) for t in (0, 250, 500, 1000, 1300)] == [0.4, 0.4 * 0.75, 0.2, 0.0, 0.0]
    constant = Config(learning_rate=0.4, total_env_steps=1000, anneal_learning_rate=False)
    assert [constant.learning_rate_at(t) for t in (0, 1000, 1300)] == [0.4, 0.4, 0.4]


@pytest.mark.parametrize(
    ("algorithm", "has_q_values", "replays"),
    [
        ("a2c", False, False),
        ("a2c_replay", False, True),
        ("ppo", False, False),
        ("q_online", True, False),
        ("q_replay", True, True),
    ],
)
def test_an_algorithm_has_action_values_or_not_and_a_buffer_or_not(algorithm, has_q_values, replays):
    config = Config(algorithm=algorithm)
    assert (config.has_q_values, config.replays) == (has_q_values, replays)


@pytest.mark.parametrize(
    ("way", "burn_in", "trained"),
    [
        ("transitions", 0, 1),
        ("zero", 0, 10),
        ("zero_burn_in", 7, 10),
        ("stored", 0, 10),
        ("stored_burn_in", 7, 10),
        ("episodes", 0, 10),
    ],
)
def test_a_window_is_burn_in_what_is_trained_on_and_what_its_targets_need(way, burn_in, trained):
    """Five steps of Q-learning's targets, one bootstrap of V-trace."""
    options = {"replay_way": way, "burn_in": 7, "sequence_length": 10, "target_steps": 5}
    config = Config(algorithm="q_replay", **options)
    assert (config.burn_in_rows, config.trained_rows, config.following_rows) == (burn_in, trained, 5)
    assert config.sequence_span == burn_in + trained + 5
    if way != "transitions":
        assert Config(algorithm="a2c_replay", **options).sequence_span == burn_in + trained + 1


def test_a_buffer_holds_whole_segments_of_every_environment_and_no_more_than_its_capacity():
    """2 · 3 environments, segments of 10: 1000 env steps are 166 rows, or 16 segments."""
    config = Config(algorithm="a2c", workers=2, envs_per_worker=3, segment_length=10, replay_capacity=1000)
    assert config.replay_rows == 160


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_fields_of_a_config_and_values_that_it_takes(name):
    assert Config(**PRESETS[name]) and name != "none"


# --- the command line


def fails(monkeypatch, capsys, *arguments):
    """What the command line prints on stderr when it ends with exit code 2."""
    monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--seed", "-1"], "--seed -1: a whole number of at least 0 is needed"),
        (["--workers", "1.5"], "--workers '1.5': a whole number is needed"),
        (["--learning-rate", "fast"], "--learning-rate 'fast': a number is needed"),
        (["--learning-rate", "nan"], "--learning-rate nan: a number above 0 is needed"),
        (["--reward-threshold", "much"], "--reward-threshold 'much': a number is needed"),
        (
            ["--core", "tcn"],
            "--core 'tcn': one of mlp, rnn, gru, lstm, rtu, mingru, module:Class or path/file.py:Class is needed",
        ),
        (["--max-seconds", "-1"], "--max-seconds -1.0: a number of at least 0 is needed"),
        (
            ["--segment-length", "0", "--envs-per-worker", "2"],
            "--envs-per-worker 2: --segment-length 0 ends segments with one environment's episode, 1 is needed",
        ),
        (
            ["--preset", "chapter5", "--envs-per-worker", "7"],
            "--envs-per-worker 7: --stop-at-episode-end True ends segments with one environment's episode, 1 is needed",
        ),
        (["--no-bootstrap"], "--returns gae: --no-bootstrap has no values to weigh, n_step is needed"),
        (
            ["--preset", "chapter5", "--separate-critic"],
            "--detach-critic True: with --separate-critic nothing is shared, False is needed",
        ),
        (["--env-arg", "delay"], "--env-arg 'delay': name=value is needed, as in --env-arg delay=8"),
        (["--sed", "3"], "--sed, 3: there is no such option, see --help"),
        (["--bounded-values", "maybe"], "maybe: no option takes this value, see --help"),
        (
            ["--observation-scale", "1,2,3"],
            "--observation-scale '1,2,3' is not 2 numbers, one a feature of MaskedVelocityCartPole-v1",
        ),
        (["--resume", ""], "--resume '': the folder of a run is needed"),
        (
            ["--resume", "runs/x", "--seed", "3"],
            "--resume runs/x: runs/x/checkpoint.pt: no checkpoint here; a run writes one at each --checkpoint-interval "
            "and at its end",
        ),
    ],
)
def test_the_command_line_says_what_is_wrong_in_one_line(monkeypatch, capsys, arguments, line):
    assert fails(monkeypatch, capsys, *arguments) == f"error: {line}\n"


def test_an_environment_that_cannot_be_made_is_one_line_that_names_the_option(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    for arguments in (("--env", "Nowhere-v1"), ("--env", "no_such_module:Id-v0")):
        said = fails(monkeypatch, capsys, *arguments)
        assert said.startswith(f"error: --env {arguments[1]}: ") and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []  # nothing was started or written


def test_a_folder_that_holds_something_is_not_written_to(monkeypatch, capsys, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    said = fails(monkeypatch, capsys, "--run-dir", tmp_path)
    assert said == f"error: --run-dir {tmp_path}: it is not empty; name a new folder\n"
    (tmp_path / "checkpoint.pt").touch()
    said = fails(monkeypatch, capsys, "--run-dir", tmp_path)
    assert said.endswith(f"name a new folder, or go on with --resume {tmp_path}\n")
    (tmp_path / "checkpoint.pt").unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_help_explains_every_option_and_loads_neither_torch_nor_wandb_nor_matplotlib():
    code = """
import runpy, sys
sys.argv = ["train", "--help"]
try:
    runpy.run_module("experiments.train", run_name="__main__")
except SystemExit as end:
    print("exit", end.code, sorted({"torch", "wandb", "matplotlib", "gymnasium"} & set(sys.modules)))
"""
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.endswith("exit 0 []\n")
    words = re.sub(r"[\s│]", "", shown.stdout)
    bodies = [ast.parse(inspect.getsource(base)).body[0].body for base in Config.__bases__]
    explained = {
        before.target.id: after.value.value
        for before, after in itertools.chain.from_iterable(map(itertools.pairwise, bodies))
        if isinstance(before, ast.AnnAssign) and isinstance(after, ast.Expr)
    }
    for field in dataclasses.fields(Config):
        assert option(field.name) in words and re.sub(r"\s", "", explained[field.name]) in words


def test_a_wide_or_narrow_terminal_makes_no_difference_to_an_error():
    for columns in ("30", "300"):
        command = [sys.executable, "-m", "experiments.train", "--total-env-steps", "many"]
        ended = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "COLUMNS": columns}
        )
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr == "error: --total-env-steps 'many': a whole number is needed\n"


# --- defaults of an environment


def test_where_actions_are_numbers_ppo_has_defaults_of_its_own_and_a_given_option_overrides_them(monkeypatch):
    """A bonus for entropy widens a Gaussian without end, and the rate of 1e-3 that suits a choice shakes it."""
    usual = {"entropy_coefficient": 0.0, "learning_rate": 5e-4, "segment_length": 256, "minibatches": 8}
    pendulum = Config(env="Pendulum-v1")
    assert parsed(monkeypatch, "--env", "Pendulum-v1").config == replace(pendulum, **usual)
    assert parsed(monkeypatch, "--env=Pendulum-v1", "--learning-rate", "1e-3").config == replace(
        pendulum, **{**usual, "learning_rate": 1e-3}
    )
    assert parsed(monkeypatch, "--env", "CartPole-v1").config == Config(env="CartPole-v1")
    assert parsed(monkeypatch, "--env", "no-such-v9").config == Config(env="no-such-v9")  # the run will say so
    preset = parsed(monkeypatch, "--env", "Pendulum-v1", "--preset", "masked-cartpole").config
    assert preset.learning_rate == PRESETS["masked-cartpole"]["learning_rate"]


# --- presets on the command line

NAME, CHOICES = next(iter(PRESETS)), ["none", *PRESETS]


@pytest.fixture
def preset(monkeypatch):
    """The first preset, with values of this test's own."""
    values = {"workers": 5, "segment_length": 7, "carry_state": False, "env_arg": ("delay=8",)}
    monkeypatch.setitem(PRESETS, NAME, values)
    return values


def parsed(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["train", *arguments])
    return parse(train.Command, train.__doc__, train.defaults())


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_gives_the_defaults(monkeypatch, name):
    for arguments in (["--preset", name], [f"--preset={name}"]):
        assert parsed(monkeypatch, *arguments).config == Config(**PRESETS[name])
    assert parsed(monkeypatch, "--preset", "none") == parsed(monkeypatch) == train.Command()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_an_algorithm_gives_its_defaults_and_a_preset_and_options_beside_it_override_them(monkeypatch, preset, name):
    own = {**ALGORITHMS[name].defaults, "algorithm": name}
    monkeypatch.setitem(PRESETS, NAME, {"workers": 5, "learning_rate": 0.25, "segment_length": 7})
    for words in (["--algorithm", name], [f"--algorithm={name}"]):
        assert parsed(monkeypatch, *words).config == Config(**own)
        beside = {**own, "workers": 5, "learning_rate": 0.5, "segment_length": 7}
        assert parsed(monkeypatch, *words, "--preset", NAME, "--learning-rate", "0.5").config == Config(**beside)
        assert parsed(monkeypatch, "--preset", NAME, "--learning-rate", "0.5", *words).config == Config(**beside)
    assert set(ALGORITHMS) == {"a2c", "a2c_replay", "ppo", "q_online", "q_replay"} and not ALGORITHMS["ppo"].defaults


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--algorithm", "dqn"],
            "--algorithm 'dqn': one of 'a2c', 'a2c_replay', 'ppo', 'q_online', 'q_replay' is needed",
        ),
        (
            ["--algorithm", "a2c", "--algorithm=q_replay"],
            "--algorithm 'a2c' 'q_replay': given 2 times, one of a2c, a2c_replay, ppo, q_online, q_replay is needed",
        ),
    ],
)
def test_an_algorithm_that_cannot_be_had_is_one_line(monkeypatch, capsys, arguments, line):
    assert fails(monkeypatch, capsys, *arguments) == f"error: {line}\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--algorithm", "a2c", "--epochs", 3], "--epochs 3: --algorithm a2c does not read it, ppo is needed"),
        (["--burn-in", 3], "--burn-in 3: --algorithm ppo does not read it, a2c_replay or q_replay is needed"),
        (
            ["--algorithm", "q_replay", "--entropy-coefficient", 0.1],
            "--entropy-coefficient 0.1: --algorithm q_replay does not read it, a2c or a2c_replay or ppo is needed",
        ),
        (
            ["--algorithm", "a2c_replay", "--no-double-q"],
            "--double-q False: --algorithm a2c_replay does not read it, q_replay is needed",
        ),
    ],
)
def test_an_option_that_the_algorithm_does_not_read_is_one_line_and_not_ignored(monkeypatch, capsys, words, line):
    assert fails(monkeypatch, capsys, *words) == f"error: {line}, or leave it out\n"


def test_what_an_algorithm_sets_is_read_by_it(monkeypatch):
    for name in ALGORITHMS:
        config = parsed(monkeypatch, "--algorithm", name).config
        train.refuse_unread(config, config)
        assert all(name in read_by(field) for field in ALGORITHMS[name].defaults)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ([], {}),
        (["--core", "gru"], {"core": "gru"}),
        (["--segment-length", "9"], {"segment_length": 9}),
        (["--workers=2"], {"workers": Config().workers}),
        (["--carry-state"], {"carry_state": True}),
        (["--env-arg", "cues=3", "--env-arg=delay=9"], {"env_arg": ("cues=3", "delay=9")}),
        (["--env_arg", "delay=9"], {"env_arg": ("delay=9",)}),
    ],
)
def test_an_option_that_is_given_overrides_the_preset_wherever_it_stands(monkeypatch, preset, words, options):
    config = Config(**{**preset, **options})
    for arguments in (["--preset", NAME, *words], [*words, "--preset", NAME], [*words, f"--preset={NAME}"]):
        assert parsed(monkeypatch, *arguments).config == config


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--preset", "quick"], f"--preset 'quick': one of {', '.join(map(repr, CHOICES))} is needed"),
        (["--seed", "1", "--preset=quick"], f"--preset 'quick': one of {', '.join(map(repr, CHOICES))} is needed"),
        (["--preset"], "--preset: a value is needed, see --help"),
        (
            ["--preset", NAME, "--seed", "2", f"--preset={NAME}"],
            f"--preset '{NAME}' '{NAME}': given 2 times, one of {', '.join(CHOICES)} is needed",
        ),
        (
            ["--preset", NAME, "--mode", "serial"],
            "--workers 5: --mode serial has no worker processes, it needs --workers 1",
        ),
        (["--preset", NAME, "--workers", "0"], "--workers 0: a whole number of at least 1 is needed"),
        (
            ["--preset", NAME, "--resume", "runs/x"],
            f"--preset {NAME}: a resumed run keeps its own options, leave it out",
        ),
    ],
)
def test_a_preset_that_cannot_be_had_is_one_line(monkeypatch, capsys, preset, arguments, line):
    assert fails(monkeypatch, capsys, *arguments) == f"error: {line}\n"


def test_a_preset_is_refused_beside_resume_even_where_nothing_is_left_of_it(monkeypatch, capsys):
    monkeypatch.setitem(PRESETS, NAME, {"workers": 5})
    arguments = ("--preset", NAME, "--workers", Config().workers, "--resume", "runs/x")
    assert fails(monkeypatch, capsys, *arguments).startswith(f"error: --preset {NAME}: a resumed run keeps its own")


@pytest.mark.parametrize(("arguments", "default"), [((), "64"), (("--preset", NAME), "7")])
def test_help_says_what_presets_are_and_shows_the_values_of_one(monkeypatch, capsys, preset, arguments, default):
    monkeypatch.setattr(sys, "argv", ["train", *arguments, "--help"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code is None or end.value.code == 0
    words = re.sub(r"[\s│]", "", capsys.readouterr().out)
    assert all(re.search(rf"--preset.*\W{name}:\w+.*--resume", words) for name in PRESETS)
    assert re.search(r"--segment-lengthINT.*?\(default:(\w+)\)", words).group(1) == default


def test_the_record_has_the_preset_and_its_values(monkeypatch, capsys, preset, tmp_path):
    small = {
        "mode": "serial",
        "workers": 1,
        "envs-per-worker": 4,
        "total-env-steps": 70,
        "eval-episodes": 2,
        "wandb": "disabled",
        "env": "RecallCue-v0",
        "run-dir": tmp_path / "run",
    }
    words = ["--preset", NAME, *(f"--{name}={value}" for name, value in small.items())]
    monkeypatch.setattr(sys, "argv", ["train", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["command_line"] == ["train", *words]
    assert record["config"] == json.loads(
        json.dumps(
            dataclasses.asdict(
                Config(
                    **{
                        **preset,
                        "mode": "serial",
                        "workers": 1,
                        "envs_per_worker": 4,
                        "total_env_steps": 70,
                        "eval_episodes": 2,
                        "wandb": "disabled",
                        "env": "RecallCue-v0",
                        "run_dir": str(tmp_path / "run"),
                    }
                )
            )
        )
    )
