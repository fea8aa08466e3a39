"""What an error says about an environment whose `reset` or `step` is not made as Gymnasium asks."""

import traceback
from pathlib import Path

import gymnasium

from envs.vector.messages import BrokenContract, one_line

ANSWERS = {
    "reset": "two values are needed: observation, info",
    "step": "five values are needed: observation, reward, terminated, truncated, info",
}
OF_GYMNASIUM = Path(gymnasium.__file__).parent


def wrong_answer(env: str, call: str, answer: str) -> BrokenContract:
    """Return the error of a call that gave something else than its values; `answer` says what it gave."""
    return BrokenContract(f"{env}: {call} gave {answer}; {ANSWERS[call]}")


def broken_call(env: str, call: str, error: Exception) -> BrokenContract | None:
    """Return the error in one line where a broken contract is its cause; None where something else may be.

    Args:
        env: the name of the environment.
        call: "reset" or "step".
        error: what the call raised. Wrappers of Gymnasium unpack the answer of the environment within.
    """
    text = one_line(error)
    if isinstance(error, TypeError) and f"{call}() got an unexpected keyword argument" in text:
        return BrokenContract(f"{env}: {text}; reset(self, *, seed=None, options=None) is needed")
    if "unpack" in text and OF_GYMNASIUM in raised_in(error).parents:
        return wrong_answer(env, call, f"something else ({text})")
    return None


def raised_in(error: BaseException) -> Path:
    """Return the file of the line that raised an error."""
    frames = traceback.extract_tb(error.__traceback__)
    return Path(frames[-1].filename) if frames else Path()
