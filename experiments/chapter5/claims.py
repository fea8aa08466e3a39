"""The chapter's claims, each with our evidence and a verdict, on one page.

Question: which claims of the chapter hold where its systems are built without faults and measured with seeds?
Command:  python -m experiments.chapter5.claims
Time:     ten seconds; nothing is trained.
Output:   claims.md in --out, drawn from the rows of the studies in --results.

Reads the rows of policy_gradients, first_45_seconds, repairs, n_steps, n_step_error and ways_to_distribute. Verdicts
follow from the numbers by the rules in this file: a difference in learning counts where its 95 % interval does not
contain the point of no difference, a difference in speed from 10 % on.
"""

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

from experiments.chapter5.length_results import final_lengths
from experiments.chapter5.ways_to_distribute.ways import LONG_STEPS, WAYS
from experiments.lab.rows import Row, read_csv
from experiments.lab.statistics import compared, with_interval
from experiments.lab.tables import publish, scores

SOURCES = {  # study: the file of rows that is read
    "n_step_error": "n_step_error.csv",
    "n_steps": "runs.csv",
    "first_45_seconds": "runs.csv",
    "ways_to_distribute": "runs.csv",
    "policy_gradients": "runs.csv",
    "repairs": "runs.csv",
}
Tables = dict[str, list[Row]]


class Finding(NamedTuple):
    """A claim of the chapter, our evidence, and the verdict."""

    claim: str
    evidence: str
    verdict: str


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    results: Path = Path("experiments/results/chapter5")
    """Folder of the studies' results."""
    out: Path = Path("runs/chapter5/claims")
    """Folder of the page."""


def read(results: Path) -> Tables:
    """The rows of every study, and the measured speeds.

    Raises:
        ValueError: a study has no rows there, or rows of different options.
    """
    if not results.is_dir():
        raise ValueError(f"--results {results}: there is no such folder")
    tables = {study: read_csv(results / study / file) for study, file in SOURCES.items()}
    tables["speed"] = read_csv(results / "ways_to_distribute" / "speed.csv")
    for study, rows in tables.items():
        if not rows:
            name = "ways_to_distribute" if study == "speed" else study
            raise ValueError(
                f"--results {results}: no rows of {study}; "
                f"python -m experiments.chapter5.{name} --seeds 10 --out {results / name} makes them"
            )
    for study, rows in tables.items():
        options: dict[tuple, tuple] = {}
        for row in rows:
            arm = row.get("arm") or row["env_steps"], row.get("compute_ms")
            made_with = tuple(row.get(name) for name in ("digest", "states", "rollouts"))
            if options.setdefault(arm, made_with) != made_with:
                raise ValueError(
                    f"--results {results}: rows of {study}, {arm[0]}, are of different options; keep one kind"
                )
    return tables


def shown(values: list[float], digits: int = 0) -> str:
    """Interquartile mean with its interval: 170 [150, 190]."""
    mean, low, high = with_interval(values)
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


MARGIN = 1.1  # of speeds, whose medians vary by some per cent
SIGNS = {1: "holds", -1: "the opposite holds", 0: "not decided by these seeds"}


def bias_and_variance(tables: Tables) -> Finding:
    """Claim 1, first half: N-step lies between online and Monte Carlo in bias and in variance."""
    rows = tables["n_step_error"]
    stages, seen = sorted({int(row["env_steps"]) for row in rows}), []
    between = True
    for stage in stages:
        values = {}
        for name in ("1", "10", "MC"):
            mine = [row for row in rows if int(row["env_steps"]) == stage and row["N"] == name]
            means = [sum(float(row[key]) for row in mine) / len(mine) for key in ("squared_bias", "variance")]
            values[name] = tuple(max(0.0, mean) ** 0.5 for mean in means)
        (bias, noise), (bias_n, noise_n), (bias_mc, noise_mc) = values.values()
        between &= bias > bias_n > bias_mc and noise < noise_n < noise_mc
        seen.append(
            f"after {stage:,} env steps bias {bias:.2f}, {bias_n:.2f}, {bias_mc:.2f} and deviation "
            f"{noise:.2f}, {noise_n:.2f}, {noise_mc:.2f}"
        )
    return Finding(
        "1a. N-step returns lie between one-step and Monte Carlo returns in bias and in variance",
        "Of N = 1, 10, Monte Carlo, in rewards: " + "; ".join(seen),
        "holds" if between else "does not hold at every stage",
    )


def learning(tables: Tables) -> list[Finding]:
    """Claim 1, second half: N-step learns faster than Monte Carlo, and than one-step."""
    found = []
    for other in ("Monte Carlo", "N = 1"):
        pair = [final_lengths(tables["n_steps"], arm) for arm in ("N = 10", other)]
        words, sign = compared(*pair)
        found.append(
            Finding(
                f"1b. N-step learns faster than {'Monte Carlo' if other != 'N = 1' else 'one-step (online)'}: "
                "equal env steps, one environment",
                f"Episode length at the end: N = 10 {shown(pair[0])}, {other} {shown(pair[1])}; P(N = 10 > {other}) "
                f"{words}",
                SIGNS[sign],
            )
        )
    for version in ("as printed", "repaired"):
        pair = [final_lengths(tables["first_45_seconds"], f"{arm} {version}") for arm in ("N-step", "Monte Carlo")]
        if all(pair):
            words, sign = compared(*pair)
            found.append(
                Finding(
                    f"1c. The same after 45 seconds, 7 asynchronous workers, {version}",
                    f"Episode length at the end: N-step {shown(pair[0])}, Monte Carlo {shown(pair[1])}; P(N-step > "
                    f"Monte Carlo) {words}; the chapter's figures: about 300 and 140",
                    SIGNS[sign],
                )
            )
    return found


def asynchronous(tables: Tables) -> list[Finding]:
    """Claim 2: asynchronous updates work well in practice, compared with synchronous ones."""
    rows, found = tables["ways_to_distribute"], []
    for workers in (2, 8):
        pair = [final_lengths(rows, f"{mode} {workers} workers") for mode in ("async", "sync")]
        words, sign = compared(*pair)
        seconds = [median(scores(rows, f"{mode} {workers} workers", "seconds")) for mode in ("async", "sync")]
        staleness = median(scores(rows, f"async {workers} workers", "staleness"))
        found.append(
            Finding(
                f"2. Asynchronous updates work well in practice: {workers} workers, 8 environments",
                f"Episode length at the end, equal env steps: async {shown(pair[0])}, sync {shown(pair[1])}; P(async > "
                f"sync) {words}; seconds {seconds[0]:.1f} and {seconds[1]:.1f}; gradients {staleness:.1f} updates old",
                {1: "holds: better than sync", 0: SIGNS[0], -1: "does not hold: worse than sync"}[sign],
            )
        )
    pair = [final_lengths(rows, arm) for arm in ("async 8 workers", LONG_STEPS)]
    words, sign = compared(*pair)
    found.append(
        Finding(
            "2. The same against one process whose learning rate is 8 times as large, as async has 8 times the updates",
            f"Episode length at the end, equal env steps: async 8 workers {shown(pair[0])}, one process "
            f"{shown(pair[1])}; P(async > one process) {words}",
            {
                1: "async is better still",
                0: SIGNS[0],
                -1: "one process is better: async's lead need not come from asynchrony",
            }[sign],
        )
    )
    return found


def batched(tables: Tables) -> Finding:
    """Claim 4: batching environments in one process is the alternative where environments are cheap."""
    rows, said, share, each = tables["speed"], [], {}, {}
    for cost in sorted({float(row["compute_ms"]) for row in rows}):
        sps: dict[str, list[float]] = {}
        for row in rows:
            if float(row["compute_ms"]) == cost:
                sps.setdefault(row["arm"], []).append(float(row["sps"]))
        speeds = {arm: median(values) for arm, values in sps.items()}
        alone = speeds.pop("one process")
        speeds = {arm: speed for arm, speed in speeds.items() if WAYS[arm].workers > 1}  # one worker is no distribution
        arm = max(speeds, key=speeds.__getitem__)
        share[cost] = alone / speeds[arm]
        each[cost] = share[cost] * WAYS[arm].workers  # of what one of these workers does
        said.append(f"at {cost:g} ms a step {alone:,.0f} against {speeds[arm]:,.0f} ({arm})")
    cheap, dear = min(share), max(share)
    numbers = (
        f"{share[cheap]:.2f} times the speed of the best workers where steps are cheap and {share[dear]:.2f} where "
        f"they are dear, which is {each[cheap]:.1f} and {each[dear]:.1f} times that of one of these workers"
    )
    if share[cheap] > MARGIN and share[dear] < 1 / MARGIN:
        verdict = f"holds: {numbers}"
    elif each[cheap] > MARGIN > each[dear]:
        verdict = f"holds for each CPU, not for the machine: {numbers}"
    else:
        verdict = f"does not hold here: {numbers}"
    return Finding(
        "4. Batching environments in one process is the alternative where environments are cheap",
        "Env steps a second, one process of 8 environments against the best of the workers: " + "; ".join(said),
        verdict,
    )


def loss(tables: Tables) -> Finding:
    """Claim 5: the loss is uninformative; only the return tells whether the agent improves.

    If a falling loss told of a rising return, its rank correlation with the episode length would be near −1 everywhere.
    """
    by_arm = {}
    for study in ("n_steps", "policy_gradients"):
        for arm in dict.fromkeys(row["arm"] for row in tables[study]):
            if arm in ("online", "reinforce-baseline"):
                continue  # these are the same runs as N = 1 and Monte Carlo
            by_arm[arm] = scores(tables[study], arm, "loss_rank_correlation")
    everything = [value for values in by_arm.values() for value in values]
    medians = {arm: median(values) for arm, values in by_arm.items()}
    positive = sum(value > 0 for value in everything) / len(everything)
    ascending = sorted(medians.items(), key=lambda pair: pair[1])
    said = ", ".join(f"{arm} {value:+.2f}" for arm, value in ascending)
    if max(medians.values()) < -0.5:
        verdict = "does not hold: the loss falls as the agent improves"
    elif min(medians.values()) > 0.5:
        verdict = "does not hold as said: the loss tells, but it rises as the agent improves"
    else:
        verdict = "holds: what the loss does while the agent improves depends on the system"
    return Finding(
        "5. The loss is uninformative: only the return tells whether the agent improves",
        f"Spearman's ρ of loss and episode length over a run's intervals, median over seeds: {said}. ρ > 0 (the loss "
        f"*rises* while the agent improves) in {positive:.0%} of {len(everything)} runs",
        verdict,
    )


def page(findings: list[Finding]) -> str:
    """A Markdown table."""
    lines = ["| claim of the chapter | our evidence | verdict |", "|---|---|---|"]
    lines += [f"| {one.claim} | {one.evidence} | {one.verdict} |" for one in findings]
    return "\n".join(lines) + (
        "\n\nInterquartile means over seeds with 95 % bootstrap intervals; P(X > Y): how likely a run of X beats one "
        "of Y, one half being no difference. Episode length at the end: mean over the last fifth of training. Claim 3, "
        "that online training suits recurrent networks better than replay, is not of these studies."
    )


def main() -> None:
    """Parse the command line, read the studies, write the page."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        command = parse(Command, __doc__)
        tables = read(command.results)
        findings = [bias_and_variance(tables), *learning(tables), *asynchronous(tables), batched(tables), loss(tables)]
        command.out.mkdir(parents=True, exist_ok=True)
        publish(command.out, "claims", page(findings))

    experiment(run)


if __name__ == "__main__":
    main()
