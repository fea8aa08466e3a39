"""Error messages of environments, which are one line each."""

import gymnasium
import numpy as np

LONGEST = 120  # characters of a space or of a value in a message


class BrokenContract(ValueError):
    """An environment gives something else than it said: one line that names the environment, the space, the value."""

    in_one_line = True  # who reports it shows the line without a traceback


class WrongArgument(ValueError):
    """An argument of `make_vector` does not go with the environment: one line that begins with its name."""


def one_line(thing: object) -> str:
    """Return `str(thing)` on one line: the texts of spaces and of foreign errors run over several."""
    return " ".join(str(thing).split())


def in_short(thing: object) -> str:
    """Return what a space or a value looks like, on one line that is not too long."""
    with np.printoptions(threshold=8, edgeitems=3):
        line = one_line(thing if isinstance(thing, np.ndarray | gymnasium.Space) else repr(thing))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 2]} …"


def env_name(env: gymnasium.Env | gymnasium.vector.VectorEnv) -> str:
    """Return the environment's id, or the name of its class where it has none."""
    # Not env.spec: asking a wrapper for its spec caches it.
    spec = env.unwrapped.spec
    return type(env.unwrapped).__name__ if spec is None else spec.id
