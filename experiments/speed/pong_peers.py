"""Train our agent and two others on Pong, on the same machine, in turn.

Question: how fast are others with an LSTM on Pong, in env steps a second?
Command:  python -m experiments.speed.pong_peers
Time:     16 minutes a round on 2 CPUs, and 3 once to install the peers.
Output:   pong_peers.json and pong_peers.md in --out; virtual environments, logs and records in --runs-dir.

Ours is --preset pong. The others have its pictures, network, batch, minibatches and epochs, and one process; games are
played one by one there, as their users play them. Each is a script of experiments/speed/peers in its own virtual
environment; the table reports one that fails. Ours needs ale-py: pip install "carryover-rl[atari]".
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from experiments.speed.benchmark_peers.outcomes import OURS, Outcome
from experiments.speed.benchmark_peers.peers import TORCH, Peer

PONG = ("ale-py==0.12.1", "opencv-python-headless==4.13.0.92", *TORCH)
PEERS = {
    "pong_sb3": Peer("sb3-contrib RecurrentPPO, CnnLstmPolicy", ("sb3-contrib==2.9.2", *PONG)),
    "pong_torch": Peer("CleanRL-style PPO-LSTM", PONG),
}
TITLES = {OURS: "**carryover (ours)**"} | {name: peer.title for name, peer in PEERS.items()}


@dataclass(frozen=True)
class Command:
    """The options of the command."""

    rounds: int = 1
    """How often each is run."""
    seed: int = 1
    """Seed of the first round; each further round has the next."""
    peer_seconds: float = 300.0
    """Seconds of training that each has."""
    grace_seconds: float = 120.0
    """Seconds beyond these to start and to end; a run that takes longer is stopped and counts as failed."""
    cpus: int = 0
    """CPUs for each run, 0 for all; ours has a worker on each."""
    runs_dir: Path = Path("runs/pong_peers")
    """Folder of virtual environments, logs and records."""
    out: Path = Path("runs/pong_peers")
    """Folder of the results."""

    def checked(self, most_cpus: int) -> "Command":
        """Return this command with its number of CPUs.

        Raises:
            ValueError: an option is out of range, or a package is missing.
        """
        for name, value, low, high in (
            ("--rounds", self.rounds, 1, 1000),
            ("--seed", self.seed, 0, 10**6),
            ("--peer-seconds", self.peer_seconds, 1, 10**6),
            ("--grace-seconds", self.grace_seconds, 1, 10**6),
            ("--cpus", self.cpus, 0, most_cpus),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} {value}: a number from {low} to {high} is needed")
        return replace(self, cpus=self.cpus or most_cpus)


def main() -> None:
    """Parse the command line, run ours and the peers in turn, write the results after each run."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: run(parse(Command, __doc__)))


def run(command: Command) -> None:
    """Run all in turn, and write the results after each run.

    Raises:
        ValueError: an option cannot work; nothing was trained.
    """
    from experiments.lab.tables import publish
    from experiments.speed.benchmark_peers.outcomes import set_ratios
    from experiments.speed.benchmark_peers.page import rounded
    from experiments.speed.benchmark_peers.processes import ProcessFailed
    from experiments.speed.benchmark_peers.rounds import fail, in_turn, install, run_ours, run_peer
    from experiments.speed.machine import describe
    from rl.shared.processes import available_cpus

    command = command.checked(available_cpus())
    runs = {OURS: partial(run_ours, alike="--preset pong --reward-threshold 19 --log-interval 2048")}
    for name, peer in PEERS.items():
        try:
            runs[name] = partial(run_peer, name, install(name, peer.packages, command.runs_dir))
        except ProcessFailed as failure:
            runs[name] = partial(fail, failure)
    command.out.mkdir(parents=True, exist_ok=True)
    machine, outcomes = describe(), []
    for one in in_turn(runs, command, command.runs_dir / "records" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}"):
        outcomes.append(one)
        set_ratios(outcomes)
        found = {"machine": machine, "cpus": command.cpus, "peer_seconds": command.peer_seconds, "outcomes": outcomes}
        (command.out / "pong_peers.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
        print(f"round {one['round']}: {one['peer']}, {rounded(one['sps'])} env steps a second", flush=True)
    publish(command.out, "pong_peers", page(found))


def page(found: dict[str, Any]) -> str:
    """Tabulate what was measured."""
    machine, rows = found["machine"], {}
    for one in found["outcomes"]:
        rows.setdefault(one["peer"], []).append(one)
    lines = [
        f"Measured on {machine['date'][:10]}: {machine['processor']}, {found['cpus']} CPUs; each had",
        f"{found['peer_seconds']:g} seconds of training on Pong in each round.",
        "",
        "| who | version | settings | env steps a second | our ratio |",
        "|---|---|---|---:|---:|",
    ]
    for name, runs in rows.items():
        described = next(([one["version"], one["settings"]] for one in runs if not one["error"]), ["–", "–"])
        speeds, ratios = (joined(runs, key) for key in ("sps", "speed_ratio"))
        lines.append(f"| {' | '.join([TITLES[name], *described, speeds, ratios])} |")
    for one in found["outcomes"]:
        if one["error"]:
            lines += [
                "",
                f"{TITLES[one['peer']]} failed in round {one['round']}, and said last:",
                "",
                "```",
                one["error"],
                "```",
            ]
    return "\n".join(
        [
            *lines,
            "",
            'Rounds are separated by " / ", oldest first. Ours has a worker on each CPU, and plays its games through',
            "ALE's vector environment. The others have one process with one torch thread, and play Gymnasium's games",
            "one by one. Convolutions, LSTM, batches, minibatches and epochs are the same for all.",
        ]
    )


def joined(runs: Sequence[Outcome], key: str) -> str:
    """A number of every round."""
    values = [one.get(key) for one in runs]
    return " / ".join("–" if value is None else f"{value:.3g}" if value < 100 else f"{value:,.0f}" for value in values)


if __name__ == "__main__":
    main()
