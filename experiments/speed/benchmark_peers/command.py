"""The options of the comparison with peers."""

from dataclasses import dataclass, replace
from pathlib import Path

from experiments.speed.benchmark_peers.peers import PEERS


@dataclass(frozen=True)
class Command:
    """The options of the command."""

    peers: str = ",".join(PEERS)
    """Peers to run, in this order."""
    rounds: int = 1
    """How often ours and each peer are run."""
    seed: int = 1
    """Seed of the first round; each further round has the next."""
    cpus: int = 0
    """CPUs for each run, 0 for all. Ours has a worker on each, and 64 environments over all workers."""
    peer_seconds: float = 60.0
    """Seconds of training that each has to solve the task."""
    grace_seconds: float = 120.0
    """Seconds beyond these to start, compile and confirm; a run that takes longer is stopped and counts as failed."""
    ours: str = ""
    """More options of our run, those of experiments.train, as in --ours="--core gru"."""
    redraw: bool = False
    """Train nothing: write peers.md and peers.csv again from peers.json in --out."""
    runs_dir: Path = Path("runs/peers")
    """Folder of virtual environments, logs and records."""
    out: Path = Path("runs/peers")
    """Folder of the results."""

    def checked(self, most_cpus: int) -> "Command":
        """Return this command with its number of CPUs.

        Raises:
            ValueError: a peer is unknown, or an option is out of range.
        """
        self.names()
        for name, value, low, high in (
            ("--cpus", self.cpus, 0, most_cpus),
            ("--rounds", self.rounds, 1, 1000),
            ("--seed", self.seed, 0, 10**6),
            ("--peer-seconds", self.peer_seconds, 1, 10**6),
            ("--grace-seconds", self.grace_seconds, 1, 10**6),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} {value}: a number from {low} to {high} is needed")
        return replace(self, cpus=self.cpus or most_cpus)

    def names(self) -> list[str]:
        """Return the peers to run."""
        from experiments.lab.options import listed

        known = {name: name for name in PEERS}
        return listed("--peers", self.peers, known.__getitem__, f"a list out of {','.join(PEERS)}")
