"""The options of the experiment."""

import math
from dataclasses import dataclass
from pathlib import Path

from experiments.chapter5.length_study import LengthCommand
from experiments.chapter5.ways_to_distribute.ways import ENV_STEPS, QUICK, WAYS, Way
from experiments.lab.options import listed
from rl.config_rules import option

LEAST_ENV_STEPS = 5_000  # of a learning run: five points of its curve


@dataclass(frozen=True)
class Command(LengthCommand):
    """What the command line says."""

    arms: str = "quick"
    """Which ways, separated by commas; or quick, or all, see above."""
    seeds: int = 1
    """Runs of each arm, from --first-seed on."""
    env_steps: int = ENV_STEPS
    """Env steps of each run with the cheap environment."""
    learn_expensive: bool = True
    """Also learn with steps that compute for 1 ms: one process, async 2 workers and sync 2 workers, where --arms has
    them."""
    expensive_env_steps: int = 20_000
    """Env steps of each of these runs."""
    expensive_seeds: int = 3
    """Most runs of each of these arms."""
    compute_ms: str = "0,1,10"
    """Milliseconds for which a step computes; speed is measured at each."""
    seconds: float = 3.0
    """Training seconds of each measurement of speed."""
    repetitions: int = 1
    """Measurements of each speed; the results are their medians."""
    length: float = 50.0
    """The mean episode length, over five log intervals, to which seconds are projected."""
    processes: int = 1
    """Serial runs at a time. With more, seconds of one process and of the other ways could not be compared."""
    runs_dir: Path = Path("runs/chapter5/ways_to_distribute")
    """Folder of the run folders."""

    def ways(self) -> list[Way]:
        """The ways that --arms names.

        Raises:
            ValueError: an option cannot work. `Study` checks the options that it knows.
        """
        for name, least in (
            ("repetitions", 1),
            ("expensive_seeds", 1),
            ("env_steps", LEAST_ENV_STEPS),
            ("expensive_env_steps", LEAST_ENV_STEPS),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"{option(name)} {getattr(self, name)}: a whole number of at least {least} is needed")
        for name in ("seconds", "length"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{option(name)} {getattr(self, name)}: a number above 0 is needed")
        wanted = {"all": ",".join(WAYS), "quick": ",".join(QUICK)}.get(self.arms, self.arms)
        return listed("--arms", wanted, WAYS.__getitem__, f"all, quick, or a list out of {','.join(WAYS)},")

    def costs(self) -> list[float]:
        """The milliseconds of --compute-ms, smallest first.

        Raises:
            ValueError: an entry is no number of at least 0.
        """

        def cost(entry: str) -> float:
            if not 0 <= float(entry) < math.inf:
                raise ValueError(entry)
            return float(entry)

        return sorted(listed("--compute-ms", self.compute_ms, cost, "a list of numbers of at least 0, as in 0,1,10,"))
