"""A step of a policy as the bytes of an ONNX file that explains itself."""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from envs.vector.spaces import describe
from experiments.export.actions import about_logits
from experiments.export.graph import PolicyStep
from experiments.export.observations import Input
from rl.acting.threads import one_thread
from rl.play import Player

TRACED = 3  # rows of the example; the number of rows stays open
KEY = "carryover"  # of the metadata


def as_onnx(step: PolicyStep, player: Player) -> bytes:
    """The file's content.

    Raises:
        ValueError: torch cannot record the agent; one line.
    """
    import onnx

    batch = torch.export.Dim("batch", min=1)
    axes = [{one.shape.index("batch"): batch} for one in step.inputs.values()]
    try:
        with quiet(), one_thread(), torch.no_grad():
            program = torch.onnx.export(
                step.eval(),
                tuple(one.zeros(TRACED) for one in step.inputs.values()),
                dynamo=True,
                input_names=list(step.inputs),
                output_names=step.outputs,
                dynamic_shapes=(tuple(axes),),
                verbose=False,
            )
    except Exception as error:  # torch may raise anything on a core or a torso of a user
        raise ValueError(
            f"torch.onnx cannot record this agent ({cause(error)}); where a core or a torso branches on numbers, as in "
            "`if is_first.any()`, torch.where is needed"
        ) from error
    model = program.model_proto
    onnx.helper.set_model_props(model, {KEY: json.dumps(about(step, player))})
    model.producer_name = "carryover"
    onnx.checker.check_model(model)
    return model.SerializeToString()


def about(step: PolicyStep, player: Player) -> dict[str, Any]:
    """What one must know to play the file."""
    config = player.config
    return {
        "inputs": {name: described(one) for name, one in step.inputs.items()},
        "outputs": step.outputs,
        "carried": step.carried,
        "observation_space": describe(player.observation_space),
        "action_space": describe(player.action_space),
        **about_logits(player.agent.actions),
        "env": config.env,
        "env_args": config.env_args,
        "algorithm": config.algorithm,
        "core": config.core_name,
    }


def described(one: Input) -> dict[str, Any]:
    """Shape and dtype of a tensor, in NumPy's words."""
    return {"shape": list(one.shape), "dtype": str(one.dtype).removeprefix("torch.")}


def cause(error: BaseException) -> str:
    """The first line of what an error comes from."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    return f"{type(error).__name__}: {error}".splitlines()[0]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporter's words from the user: what it makes is compared afterwards."""
    before, words = logging.root.manager.disable, io.StringIO()
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
