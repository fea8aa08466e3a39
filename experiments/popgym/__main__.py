"""Agents with memory on every environment of POPGym, beside the figures of its paper, at its budget.

Question: how do a GRU, an LSTM and a carried gradient do on the field's own benchmark, and at what price?
Command:  python -m experiments.popgym
Time:     a day on 2 CPUs for 15 M env steps x 3 seeds; a study that stopped goes on; --quick takes ten minutes.
Output:   popgym.md and .png (tables, figure), runs.csv and curves.csv in --out; run folders.

Agents train on the environments of envs/popgym, which equal those of the package popgym 1.0.7, and are judged on the
package itself: 200 episodes with the final parameters, sampled and greedy. --trials trains the settings that were tried
before, on three environments and on seeds that the study does not have.
The package must be there: pip install --no-deps popgym==1.0.7.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from envs.popgym.table import official_id
from experiments.lab.digest import digest
from experiments.lab.figures import pdf_too
from experiments.lab.learning_curves import RETURN
from experiments.lab.options import listed
from experiments.lab.records import Record, read_record
from experiments.lab.rows import Row
from experiments.lab.study import Arm, Study, StudyCommand
from experiments.lab.tables import publish
from experiments.popgym.arms import BETWEEN, CORES, EASY, ENV_STEPS, IDS, QUICK, arms
from experiments.popgym.page import figure, page
from experiments.popgym.trials import FIRST_SEED, trial_arms, trials_page
from rl.config import Config
from rl.loop import Overrides

EPISODES = 200
POINTS = 60  # of a curve, each the mean of its epochs
EARLY = 3_000_000  # env steps at which a run is looked at, too


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    ids: str = "all"
    """Environments: all, easy, or names as in RepeatFirstEasy, separated by commas."""
    cores: str = ",".join(CORES)
    """Cores, separated by commas; mlp, lstm and mingru are trained on the Easy environments alone."""
    seeds: int = 3
    """Runs of each arm, from --first-seed on."""
    first_seed: int = 1
    """Seed of each arm's first run."""
    env_steps: int = ENV_STEPS
    """Env steps of each run."""
    quick: bool = False
    """Four Easy environments, cores mlp, gru and rtu, two seeds, 1 M env steps."""
    trials: bool = False
    """Train the settings that were tried instead, and write their page."""
    processes: int = 2
    """Runs at a time."""
    runs_dir: Path = Path("runs/popgym")
    """Folder of the run folders."""
    out: Path | None = None
    """Folder of rows, page and figure; a run that has its row there is not trained again. None: --runs-dir."""
    pdf: bool = False
    """Write the figure as a PDF file, too."""

    def study(self) -> Study:
        """The study of the chosen arms.

        Raises:
            ValueError: an option cannot work, or the package is not there.
        """
        import envs

        envs.make_vector(official_id(IDS[0]), 1).close()  # it judges each run when that has ended
        if self.trials:
            return self._study(trial_arms(), 1, FIRST_SEED)
        if self.quick:
            return self._study(arms(QUICK, ("mlp", "gru", "rtu"), 1_000_000), 2, self.first_seed)
        groups = {"all": IDS, "easy": EASY}
        needed = f"all, easy, or a list out of {','.join(IDS)},"
        ids = groups.get(self.ids) or listed("--ids", self.ids, lambda name: IDS[IDS.index(name)], needed)
        cores = listed("--cores", self.cores, lambda name: (name, CORES[name])[0], f"a list out of {','.join(CORES)}")
        chosen = arms(tuple(ids), tuple(cores), self.env_steps)
        if not chosen:
            raise ValueError(f"--cores {self.cores} --ids {self.ids}: these cores have Easy ones alone")
        return self._study(chosen, self.seeds, self.first_seed)

    def _study(self, chosen: dict[str, Arm], seeds: int, first_seed: int) -> Study:
        command = StudyCommand(
            seeds=seeds,
            first_seed=first_seed,
            processes=self.processes,
            runs_dir=self.runs_dir,
            out=self.out,
            wandb="disabled",
        )
        return Study("popgym", chosen, command, result)


def result(config: Config, overrides: Overrides) -> tuple[Row, dict[str, list[Row]]]:
    """A finished run's row, judged on the package's own environment, and the points of its curve."""
    run = read_record(Path(config.run_dir))
    sampled, greedy = judged(config)
    row = {
        "digest": digest(config, overrides),
        "env_steps": run.summary["env_steps"],
        "cpu_minutes": round(run.summary["cpu_seconds"] / 60.0, 3),
        "sampled": round(sampled, 4),
        "greedy": round(greedy, 4),
        "mmer": round(largest_mean(run), 4),
        "mmer_early": round(largest_mean(run, EARLY), 4),
        "return_early": round(mean_before(run, EARLY), 4),
    }
    return row, {"curves": points_of(run)}


def judged(config: Config) -> tuple[float, float]:
    """The mean return of fresh episodes of the package's environment, with sampled and with greedy actions."""
    import envs
    from rl.acting.evaluate import evaluate
    from rl.record.saved_agent import load_agent

    agent, trained, _ = load_agent(config.run_dir, envs.make_vector)
    name = trained.env.partition("/")[2].removesuffix("-v0")
    official = replace(trained, env=official_id(name))
    sampled, greedy = (
        float(evaluate(agent, official, envs.make_vector, EPISODES, greedy, config.seed).mean())
        for greedy in (False, True)
    )
    return sampled, greedy


def largest_mean(run: Record, until: int | None = None) -> float:
    """The largest mean return of an epoch, of those that end within so many env steps: POPGym's MMER of one run."""
    steps, returns = run.curve("global_step")
    kept = returns if until is None else returns[steps <= until]
    return float(kept.max()) if len(kept) else float("nan")


def mean_before(run: Record, env_steps: int) -> float:
    """The mean of the epochs in the last tenth before so many env steps."""
    steps, returns = run.curve("global_step")
    kept = returns[(steps <= env_steps) & (steps > 0.9 * env_steps)]
    return float(kept.mean()) if len(kept) else float("nan")


def points_of(run: Record) -> list[Row]:
    """A curve in at most `POINTS` points."""
    steps, returns = run.curve("global_step")
    parts = zip(*(np.array_split(values, min(POINTS, len(steps))) for values in (steps, returns)), strict=True)
    return [{"global_step": int(x[-1]), RETURN: round(float(y.mean()), 4)} for x, y in parts] if len(steps) else []


def with_parts(rows: list[Row]) -> list[Row]:
    """The rows with environment and core."""
    return [row | dict(zip(("name", "core"), row["arm"].split(BETWEEN)[:2], strict=True)) for row in rows]


def main() -> None:
    """Parse the command line, train what is missing, tabulate and draw."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        command = parse(Command, __doc__)
        study = command.study()
        rows = study.complete()
        if command.trials:
            publish(study.out, "trials", trials_page(rows))
            return
        rows = with_parts(rows)
        with pdf_too(command.pdf):
            figure(rows, study.out / "popgym.png")
        publish(study.out, "popgym", page(rows))

    experiment(run)


if __name__ == "__main__":
    main()
