"""Write a trained policy to an ONNX file, which plays without this repository and without torch.

Question: how does this policy get into my program?
Command:  python -m experiments.export runs/lstm-MaskedVelocityCartPole-v1-s1 --out policy.onnx
Time:     about 10 seconds.
Output:   the file: one step of the policy, with what training did to observations, and the core state in and out.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, with a checkpoint."""
    out: Path = Path("policy.onnx")
    """The file."""
    best: bool = False
    """Take the checkpoint of the best evaluation, which a run with --keep-best has."""


def main() -> None:
    """Parse the command line, export, say what was written."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: export(parse(Command, __doc__)))


def export(command: Command) -> None:
    """Write the file, once it has played beside the Player.

    Raises:
        ValueError: there is no readable checkpoint, an option cannot work, or the file would say something else than
            the Player; then there is no file.
    """
    if command.out.suffix != ".onnx" or command.out.is_dir():
        raise ValueError(f"--out {command.out}: a file name that ends in .onnx is needed")
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ValueError(f"--out {command.out}: {error.name} is not installed; pip install -e .[export]") from None
    from experiments.export.beside import STEPS, own_environments, play_beside
    from experiments.export.graph import PolicyStep
    from experiments.export.onnx_file import as_onnx
    from rl.play import Player
    from rl.record.checkpoint import load_checkpoint
    from rl.record.own_modules import found_again
    from rl.record.saved_agent import checkpoint_of

    path = checkpoint_of(command.run, command.best)
    config, state = load_checkpoint(path)
    with found_again(config, state, path) as config:
        environments = own_environments(config)
    player = Player.from_run(command.run, len(environments), best=command.best)
    step = PolicyStep(player)
    command.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        content = as_onnx(step, player)
        session = session_of(content, config.dtype)
        compared = play_beside(session, step, player, environments)
    except ValueError as error:
        raise ValueError(f"{command.run}: {error}; no file was written") from None
    temporary = command.out.with_name(command.out.name + ".tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, command.out)
    finally:
        temporary.unlink(missing_ok=True)
    print(
        f"wrote {command.out}: over {STEPS:,} steps of {len(environments)} environments and {compared.borders} borders "
        f"of episodes it says what the Player says; the largest difference is {compared.worst:.1g}"
    )


def session_of(content: bytes, dtype: str) -> Any:
    """What plays the file.

    Raises:
        ValueError: onnxruntime lacks an operation in this precision; one line.
    """
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as Missing

    try:
        return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Missing as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"--dtype {dtype}: onnxruntime lacks an operation in this precision ({reason})") from error


if __name__ == "__main__":
    main()
