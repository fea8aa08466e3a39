"""Parts of error messages, which are one line each."""

import gymnasium


def one_line(thing: object) -> str:
    """Return `str(thing)` on one line: the texts of spaces and of foreign errors run over several."""
    return " ".join(str(thing).split())


def env_name(env: gymnasium.Env | gymnasium.vector.VectorEnv) -> str:
    """Return the environment's id, or the name of its class where it has none."""
    # Not env.spec: asking a wrapper for its spec caches it.
    spec = env.unwrapped.spec
    return type(env.unwrapped).__name__ if spec is None else spec.id
