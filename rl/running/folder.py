"""The folder of a run: which one it is, and that no other run writes there."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from rl.config import Config
from rl.record.checkpoint import file_id
from rl.record.paths import require_makeable, unusable


class RunFolder:
    """The folder of a run, with the path of its checkpoint."""

    def __init__(self, config: Config, path: Path, resumed_from: tuple[int, ...] | None = None) -> None:
        """Nothing is written yet; `resumed_from` is the `file_id` of the checkpoint of a resumed run."""
        self.config, self.path, self.resumed_from = config, path, resumed_from

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder and hold it for this process. If another run has taken an unnamed folder, take the next.

        Raises:
            ValueError: it cannot be made, or another process writes there, or has done so since this object was made.
        """
        self.make()
        descriptor = claim(self.path)
        try:
            if self.resumed_from is None:
                require_empty(self.path)
            elif file_id(self.checkpoint) != self.resumed_from:
                raise ValueError(f"--resume {self.path}: another process went on with it meanwhile; resume it again")
            yield
        finally:
            os.close(descriptor)

    def make(self) -> None:
        """Make the folder, or the next of those without a name.

        Raises:
            ValueError: it cannot be made.
        """
        named = bool(self.config.run_dir) or self.resumed_from is not None
        while True:
            try:
                self.path.mkdir(parents=True, exist_ok=named)
                return
            except (OSError, ValueError) as error:
                if named or not isinstance(error, FileExistsError) or not os.path.lexists(self.path):
                    raise unusable("--run-dir", self.path, error) from None
            self.path = choose_run_dir(self.config)  # it exists by now, so this is another one


def claim(folder: Path) -> int:
    """Hold a folder for this process until it ends, or until `os.close` of what is returned.

    Raises:
        ValueError: another process holds it, or it cannot be read.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise ValueError(f"{folder}: a folder that can be read and written is needed ({error})") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise ValueError(f"{folder}: another process is writing there; wait for it, or name another folder") from None
    return descriptor


def require_empty(path: Path) -> None:
    """Refuse the folder of another run.

    Raises:
        ValueError: it holds something.
    """
    if os.path.lexists(path) and any(path.iterdir()):
        resume = f", or go on with --resume {path}" if (path / "checkpoint.pt").exists() else ""
        raise ValueError(f"--run-dir {path}: it is not empty; name a new folder{resume}")


def choose_run_dir(config: Config) -> Path:
    """The folder of a new run.

    Raises:
        ValueError: it cannot be made, or --run-dir names a folder that already holds something.
    """
    if config.run_dir:
        path = Path(config.run_dir)
        require_makeable("--run-dir", path)
        require_empty(path)
        return path
    learner = config.core_name if config.algorithm == Config.algorithm else f"{config.algorithm}-{config.core_name}"
    name = f"{learner}-{config.env_id}-s{config.seed}".replace("/", "-")
    candidates = (Path("runs") / (name if number == 1 else f"{name}-{number}") for number in range(1, 1_000_000))
    path = next(path for path in candidates if not os.path.lexists(path))
    require_makeable("--run-dir", path)
    return path
