"""Gymnasium's environments without velocities, or without positions: what is hidden is hidden, and nothing else."""

import builtins
import sys

import gymnasium
import numpy as np
import pytest

import envs
from envs.cartpole.velocities import MaskVelocity
from envs.masked.entries import ENTRIES
from envs.masked.make import MASKED

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
PACKAGES = {"mujoco": "mujoco", "box2d": "Box2D"}  # by the folder of Gymnasium that has the environment


def package_of(env_id):
    return PACKAGES.get(gymnasium.spec(env_id).entry_point.split(".")[2])


def installed(env_id):
    if package := package_of(env_id):
        pytest.importorskip(package)
    return env_id


@pytest.mark.parametrize("env_id", MASKED)
def test_a_masked_form_is_the_environment_without_its_velocities_or_its_positions(env_id):
    """From the same seed and under the same actions, over 30 steps and a reset."""
    installed(env_id)
    full, masked = gymnasium.make(env_id), gymnasium.make(f"MaskedVelocity{env_id}")
    seen = gymnasium.make(f"MaskedVelocity{env_id}", hide="positions")
    assert masked.spec.max_episode_steps == full.spec.max_episode_steps
    assert masked.spec.reward_threshold == full.spec.reward_threshold
    hidden = dict(zip((seen, masked), ENTRIES[env_id], strict=True))
    full.action_space.seed(0)
    shown = {env: env.reset(seed=3)[0] for env in (full, masked, seen)}
    for _ in range(30):
        action = full.action_space.sample()
        for env, entries in hidden.items():
            kept = np.setdiff1d(np.arange(full.observation_space.shape[0]), entries)
            assert np.array_equal(shown[env], shown[full][kept]) and shown[env].shape == env.observation_space.shape
        stepped = {env: env.step(action) for env in shown}
        over = stepped[full][2] or stepped[full][3]
        shown = {env: env.reset(seed=4)[0] if over else answer[0] for env, answer in stepped.items()}


@pytest.mark.parametrize("version", ["v4", "v5"])
@pytest.mark.parametrize(
    "name",
    [
        *("HalfCheetah", "Hopper", "Walker2d", "Ant", "Swimmer", "InvertedPendulum", "InvertedDoublePendulum"),
        *("Humanoid", "HumanoidStandup", "Reacher", "Pusher"),
    ],
)
def test_velocities_of_mujoco_are_where_the_table_says(name, version):
    """With every joint at rest and the model's own positions, what is not 0 among them would be a position."""
    pytest.importorskip("mujoco")
    if (name, version) == ("Pusher", "v4"):
        pytest.skip("Gymnasium has it for mujoco below 3 alone")
    env = gymnasium.make(f"{name}-{version}")
    env.reset(seed=0)
    bare, (positions, velocities) = env.unwrapped, ENTRIES[f"{name}-{version}"]
    generator = np.random.default_rng(0)
    places = bare.init_qpos + 0.1 * generator.standard_normal(bare.model.nq)
    observed = []
    for speed in (0.0, 1.0):
        bare.set_state(places, speed * (0.5 + generator.random(bare.model.nv)))
        observed.append(np.array(bare._get_obs()))
    assert (observed[0][list(velocities)] == 0).all()
    moving = observed[1][list(velocities)] != 0
    assert moving.mean() > 0.9 or (name.startswith("Humanoid") and moving.mean() > 0.8)
    assert np.array_equal(observed[0][list(positions)], observed[1][list(positions)])
    assert not set(positions) & set(velocities)
    assert len(MaskVelocity(gymnasium.make(f"{name}-{version}"), hide="positions").reset(seed=0)[0]) == len(
        observed[0]
    ) - len(positions)


def test_something_else_than_positions_and_velocities_cannot_be_hidden():
    for make in (
        lambda: gymnasium.make("MaskedVelocityPendulum-v1", hide="mass"),
        lambda: MaskVelocity(gymnasium.make("Pendulum-v1"), hide="mass"),
    ):
        with pytest.raises(ValueError, match="hide 'mass': one of positions, velocities is needed"):
            make()


@pytest.mark.parametrize(
    ("env_id", "module", "extra"),
    [
        ("minigrid:MiniGrid-MemoryS7-v0", "minigrid", "minigrid"),
        ("popgym.envs:popgym-RepeatPreviousEasy-v0", "popgym", "popgym"),
        ("ALE/Pong-v5", "ale_py", "atari"),
        ("MiniGrid-MemoryS7-v0", "minigrid", "minigrid"),
        ("popgym-RepeatPreviousEasy-v0", "popgym", "popgym"),
        ("LunarLander-v3", "Box2D", "box2d"),
        ("MaskedVelocityLunarLander-v3", "Box2D", "box2d"),
        ("HalfCheetah-v5", "mujoco", "mujoco"),
        ("MaskedVelocityHalfCheetah-v5", "mujoco", "mujoco"),
    ],
)
def test_a_missing_package_is_one_line_that_names_the_command_which_installs_it(env_id, module, extra, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **named):
        if name.partition(".")[0] == module:
            raise ModuleNotFoundError(f"No module named '{module}'", name=module)
        return real(name, *arguments, **named)

    gone = (module, "gymnasium.envs.mujoco", "gymnasium.envs.box2d")
    for name in [name for name in sys.modules if name.startswith(gone)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr("importlib.import_module", lambda name, *rest: without(name, *rest) and sys.modules[name])
    with pytest.raises(ValueError) as error:
        envs.make_vector(env_id, 1)
    line = f"cannot make environment '{env_id}': {module} is not installed; pip install -e .[{extra}]"
    assert str(error.value) == line


@pytest.mark.parametrize("env_id", ["HalfCheetah-v5", "MaskedVelocityHalfCheetah-v5"])
def test_mujoco_says_a_warning_once_and_not_for_each_environment(env_id, capfd):
    """With MuJoCo 4 a run of two workers of 16 environments showed the same three lines 35 times."""
    mujoco = pytest.importorskip("mujoco")
    mujoco.set_mju_user_warning(None)
    try:
        envs.make_vector(env_id, 4).close()
        mujoco.get_mju_user_warning()("a warning of the test")
        mujoco.get_mju_user_warning()("a warning of the test")
    finally:
        mujoco.set_mju_user_warning(None)
    lines = [line for line in capfd.readouterr().err.splitlines() if line]
    assert len(lines) == len(set(lines))
    assert lines[-1] == "MuJoCo: a warning of the test"
