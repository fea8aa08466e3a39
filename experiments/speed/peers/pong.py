"""Pong as its peers see it: the environment of --preset pong, and what their runs have in common with ours."""

from typing import Any

SIDE = 42
ALIKE = (
    "16 games x 128 steps, 42 x 42, 3 epochs x 4 minibatches, Adam 1e-3, clip 0.1, entropy 0.01, features 256, LSTM 128"
)
PACKAGES = ("ale-py", "opencv-python-headless")


def make_pong() -> Any:
    """Make one game: grey pictures [42, 42, 1], four frames a step, up to 30 of them without an action at first."""
    import ale_py
    import gymnasium
    from gymnasium.wrappers import AtariPreprocessing

    gymnasium.register_envs(ale_py)
    game = gymnasium.make("ALE/Pong-v5", frameskip=1, repeat_action_probability=0.0)
    return AtariPreprocessing(game, noop_max=30, frame_skip=4, screen_size=SIDE, grayscale_newaxis=True)
