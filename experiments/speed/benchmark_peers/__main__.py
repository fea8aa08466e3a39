"""Train our agent and its peers on the same task and the same machine, by the same rule, in turn.

Question: how fast are other codebases on CartPole without velocities, in env steps a second and in time to solve it?
Command:  python -m experiments.speed.benchmark_peers (or: make bench-peers)
Time:     about 13 minutes a round on 2 CPUs, and 6 once to install the peers.
Output:   peers.json, peers.md (table) and peers.csv in --out; virtual environments, logs and records in --runs-dir.

A round trains ours, the first peer, the second and so on with one seed; the first round has --seed, each further one
the next. A machine that drifts does so for all of them. A run has solved the task if the mean return of its last
max(100, 2 x environments) finished training episodes is at least 475, and so is that of 100 fresh episodes with sampled
actions at the parameters of this crossing. If a peer's parameters cannot be frozen there, its first checkpoint after
the crossing plays, and the table says so. A crossing that is not confirmed empties the window. A peer that is "alike"
has the network, batch, minibatches and epochs of a run of our PPO beside it, which is compared with it alone. Each peer
is a script of experiments/speed/peers in its own virtual environment; the table reports one that fails.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments.speed.benchmark_peers.command import Command
from experiments.speed.benchmark_peers.peers import PEERS


def main() -> None:
    """Parse the command line, run ours and the peers in turn, write the results after each run."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: run(parse(Command, __doc__)))


def run(command: Command) -> None:
    """Write the results after each run, or once if they are only redrawn.

    Raises:
        ValueError: an option cannot work; nothing was trained.
    """
    from experiments.speed.benchmark_peers.page import read, write
    from rl.shared.processes import available_cpus

    command = command.checked(available_cpus())
    folder = command.runs_dir / "records" / f"{datetime.now(UTC):%Y%m%d-%H%M%S}"
    for results in [read(command.out)] if command.redraw else trained(command, folder):
        write(results, command.out)
    print((command.out / "peers.md").read_text(encoding="utf-8"))
    records = "" if command.redraw else f"; logs and records in {folder}"
    print(f"Written to {command.out}: peers.json, peers.md, peers.csv{records}.")


def trained(command: Command, folder: Path) -> Iterator[dict[str, Any]]:
    """Train ours and the peers in turn; yield the results so far after each run."""
    from experiments.speed.benchmark_peers.outcomes import OURS, beside, set_ratios
    from experiments.speed.benchmark_peers.page import rounded
    from experiments.speed.benchmark_peers.rounds import outcomes
    from experiments.speed.machine import describe

    if hasattr(os, "sched_setaffinity"):  # child processes inherit it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: command.cpus])
    machine = describe()
    titles = {OURS: "**carryover (ours)**"} | {name: PEERS[name].title for name in command.names()}
    for name in command.names():
        for apart in PEERS[name].alike:
            words = f", {apart}" if apart else ""
            titles[beside(name, apart)] = f"**ours, PPO beside {titles[name]}{words}**"
    results = {"words": in_words(machine, command), "machine": machine, "titles": titles, "outcomes": []}
    for one in outcomes(command, folder):
        results["outcomes"].append(one)
        set_ratios(results["outcomes"])
        yield results
        how = "failed" if one["error"] else "solved" if one["solved"] else "not solved"
        print(f"round {one['round']}: {one['peer']} {how}, {rounded(one['sps'])} env steps a second", flush=True)


def in_words(machine: dict[str, Any], command: Command) -> str:
    """Write the sentence above the table."""
    memory = "" if machine["memory_bytes"] is None else f", {machine['memory_bytes'] / 2**30:.0f} GiB"
    load = "" if machine["load_average"] is None else f", load average {machine['load_average']:.1f} before"
    return (
        f"Measured on {machine['date'][:10]}: {machine['processor']}, {command.cpus} CPUs{memory}, "
        f"{machine['system']}, Python {machine['versions']['python']}, commit {(machine['git_commit'] or '–')[:7]}; "
        f"each had {command.peer_seconds:g} seconds of training{load}."
    )


if __name__ == "__main__":
    main()
