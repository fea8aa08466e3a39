"""The autoreset mode that every vector environment here has."""

from gymnasium.vector import AutoresetMode, VectorEnv


def require_same_step(env: VectorEnv) -> None:
    """Raise a ValueError unless the environment resets within the step that ends an episode.

    NEXT_STEP, Gymnasium's default, adds to each episode a transition that never happened: action ignored, reward 0.
    """
    mode = env.metadata.get("autoreset_mode")
    if mode is not AutoresetMode.SAME_STEP:
        raise ValueError(f"{env} has autoreset mode {getattr(mode, 'name', mode)}; supported: SAME_STEP")
