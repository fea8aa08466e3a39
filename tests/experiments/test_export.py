"""A policy as an ONNX file: it says what the Player says, and plays where nothing of ours is installed."""

import contextlib
import io
import json
import re
import subprocess
import sys

import gymnasium
import numpy as np
import onnx
import onnxruntime
import pytest

from experiments.export import onnx_file
from experiments.export.__main__ import Command, export, main
from rl.play import Player
from tests.support.maze import Maze
from tests.support.readme import Page
from tests.support.runs import ROOT, train

SENSES = {"frame_stack": 2, "previous_action": True, "previous_reward": True}
PAGE = Page(ROOT / "experiments" / "export" / "README.md")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A run that sees everything that a transform can show; nobody writes to it."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(folder, total_env_steps=1600, env="CartPole-v1", observation_scale="4.8,10,0.4,10", **SENSES)
    return folder


@pytest.fixture(scope="module")
def exported(run_dir):
    """Its file, and what the command said of it."""
    path, said = run_dir.parent / "policy.onnx", io.StringIO()
    with contextlib.redirect_stdout(said):
        export(Command(run_dir, path))
    return path, said.getvalue()


@pytest.fixture
def session(exported):
    return onnxruntime.InferenceSession(exported[0].read_bytes())


def test_a_file_says_what_the_player_says_over_1000_steps_and_their_borders(run_dir, exported):
    """DLR-RM/stable-baselines3#946: what is deployed must do to observations what training did."""
    path, said = exported
    line = r"over 1,000 steps of 3 environments and (\d+) borders of episodes it says what the Player says; the "
    borders, worst = re.fullmatch(rf"wrote {path}: {line}largest difference is (\S+)\n", said).groups()
    assert int(borders) > 9 and float(worst) <= 1e-5
    assert sorted(one.name for one in run_dir.parent.iterdir()) == ["policy.onnx", "run"]


def test_the_reset_is_inside_so_that_whatever_is_carried_into_an_episode_is_not_looked_at(session):
    """Even nan; and where no episode opens, everything is looked at."""
    kinds = {"tensor(float)": np.float32, "tensor(bool)": bool, "tensor(int64)": np.int64}
    feed = {
        one.name: np.ones([5 if size == "batch" else size for size in one.shape], kinds[one.type])
        for one in session.get_inputs()
    }
    carried = ("core_state_0", "core_state_1", "frames", "previous_reward")
    sick = {name: np.full_like(feed[name], np.nan) for name in carried}
    other_action = {"previous_action": 1 - feed["previous_action"]}
    for one, other in zip(session.run(None, feed), session.run(None, feed | sick | other_action), strict=True):
        assert (one == other).all()
    goes_on = feed | {"is_first": np.arange(5) > 0}
    for name, changed in (sick | other_action).items():
        before, after = session.run(["logits"], goes_on)[0], session.run(["logits"], goes_on | {name: changed})[0]
        assert (before[1:] == after[1:]).all() and not np.array_equal(before[0], after[0]), name


def test_metadata_names_inputs_outputs_shapes_and_the_action_space(session):
    about = json.loads(session.get_modelmeta().custom_metadata_map["carryover"])
    assert {one.name: one.shape for one in session.get_inputs()} == {
        "observation": ["batch", 4],
        "is_first": ["batch"],
        "previous_action": ["batch"],
        "previous_reward": ["batch"],
        "core_state_0": [1, "batch", 8],
        "core_state_1": [1, "batch", 8],
        "frames": ["batch", 8],
    }
    assert {name: one["shape"] for name, one in about["inputs"].items()} == {
        one.name: one.shape for one in session.get_inputs()
    }
    assert [one.name for one in session.get_outputs()] == about["outputs"]
    assert about["action_space"] == {"type": "Discrete", "n": 2, "start": 0, "dtype": "int64"}
    assert about["carried"] == {
        "core_state_0": "next_core_state_0",
        "core_state_1": "next_core_state_1",
        "frames": "next_frames",
        "previous_action": "action",
    }


def test_the_pages_ten_lines_play_it_where_neither_rl_nor_torch_can_be_imported(run_dir, exported):
    """The snippet of the page, word for word: it earns what the Player earns."""
    hidden = ("torch", "rl", "envs", "experiments", "onnx", "onnxscript")
    program = f"import sys\nsys.modules.update(dict.fromkeys({hidden}))\n" + PAGE.snippets[0]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=exported[0].parent, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    player, environment = Player.from_run(run_dir), gymnasium.make("CartPole-v1")
    (shown, _), reward, total, ended = environment.reset(seed=0), 0.0, 0.0, True
    while total == 0 or not ended:
        shown, reward, terminated, truncated, _ = environment.step(player.act(shown, total == 0, reward))
        ended, total = terminated or truncated, total + reward
    assert float(done.stdout) == total


def test_a_file_that_would_say_something_else_is_an_error_and_is_not_written(
    run_dir, exported, tmp_path, monkeypatch, capsys
):
    """Here one number of a weight is another one."""
    model = onnx.load(exported[0])
    weight = next(one for one in model.graph.initializer if one.name.endswith("policy_head.weight"))
    numbers = onnx.numpy_helper.to_array(weight).copy()
    numbers[0, 0] += 1e-3
    weight.CopyFrom(onnx.numpy_helper.from_array(numbers, weight.name))
    monkeypatch.setattr(onnx_file, "as_onnx", lambda *_: model.SerializeToString())
    monkeypatch.setattr(sys, "argv", ["export", str(run_dir), "--out", str(tmp_path / "policy.onnx")])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2 and list(tmp_path.iterdir()) == []
    line = r"the file's logits at step \d+ is \S+ from the Player's, 1e-05 is allowed; no file was written"
    assert re.fullmatch(rf"error: {re.escape(str(run_dir))}: {line}\n", capsys.readouterr().err)


CASES = {
    "mlp": {"core": "mlp", "env": "FrozenLake-v1"},
    "rnn": {"core": "rnn", "observation_scale": "l2", "env": "CartPole-v1"},
    "gru": {"core": "gru", "core_layers": 2, "separate_critic": True},
    "lstm": {"core": "lstm", "algorithm": "q_online"},
    "float64": {"core": "gru", "dtype": "float64"},
    "digits": {"env": Maze.ID, "env_arg": ("shows=digits",), "core": "rnn", "previous_action": True},
    "float64 shown": {"env": Maze.ID, "env_arg": ("shows=numbers",), "core": "mlp", "envs_per_worker": 1},
    "own": {"core": "mingru:MinGRU", "env": "blink:Blink-v0"},
}


@pytest.mark.slow
@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_every_core_and_that_of_the_front_page_are_exported(tmp_path, options, monkeypatch):
    for text in Page(ROOT / "README.md").snippets[:2]:
        (tmp_path / text.split()[1].removesuffix(":")).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    train(tmp_path / "run", total_env_steps=640, **options)
    export(Command(tmp_path / "run", tmp_path / "policy.onnx"))
    assert (tmp_path / "policy.onnx").exists()


@pytest.mark.parametrize("shows", ["nested", "floats", "scalar"])
def test_scaled_floats_beside_bytes_and_scalars_are_exported(tmp_path, shows):
    options = {"env": "tests.support.entry_envs:Shows-v0", "env_arg": (f"shows={shows}",)}
    train(tmp_path / "run", total_env_steps=640, normalise_observations=True, **options)
    export(Command(tmp_path / "run", tmp_path / "policy.onnx"))
    assert (tmp_path / "policy.onnx").exists()


def test_bad_options_are_one_line(run_dir, tmp_path, monkeypatch, capsys):
    link = tmp_path / "link"
    link.symlink_to("/no/such/folder")
    for words, line in (
        ([run_dir, "--out", link / "p.onnx"], f"--out {link}: a folder that can be written is needed ("),
        ([run_dir, "--out", "policy.pt"], "--out policy.pt: a file name that ends in .onnx is needed"),
        ([tmp_path], f"{tmp_path}/checkpoint.pt: no checkpoint here; a run writes one at each --checkpoint-interval "),
        ([run_dir, "--best"], f"{run_dir}/checkpoint.best.pt: no such checkpoint; a run writes one with --keep-best"),
    ):
        monkeypatch.setattr(sys, "argv", ["export", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2
        assert capsys.readouterr().err.startswith(f"error: {line}")
