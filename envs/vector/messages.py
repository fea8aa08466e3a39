"""Words for error messages, which are one line each."""

import gymnasium


def one_line(thing: object) -> str:
    """`str(thing)` on one line: spaces and the errors of other packages run over several."""
    return " ".join(str(thing).split())


def env_name(env: gymnasium.Env) -> str:
    """The environment's id, or its class where it has none."""
    # Not env.spec: asking a wrapper for its spec caches it.
    spec = env.unwrapped.spec
    return type(env.unwrapped).__name__ if spec is None else spec.id
