"""Carry the core state across segments, or zero it at each: how far does memory reach?

Question: what is lost when every training segment starts from a fresh state, and when does carrying not help either?
Command:  python -m experiments.carry_ablation
Time:     12 minutes on 2 busy cores (two serial runs at a time).
Output:   carry_ablation.md and .png (tables, figure) and runs.csv (a row for each run) in --out; run folders.

On RecallCue a cue must be named `delay` steps later. An agent whose state is zeroed at every segment of N steps only
knows the cue if cue and question fall into one segment. Where the cue's phase in the segment is uniform, that is so in
max(0, 1 - delay/N) of the episodes, and a guess in the others is worth 0 on average: the dotted line of the figure.
Carried state reaches any delay in acting, but its gradient stops at the segment's start, so learning fails where the
delay is much longer than N. The score is the mean return of the last fifth of training, with sampled actions.
A run that has its row in --out is not trained again, so an interrupted study continues where it stopped.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from experiments.lab.arms import COLOURS
from experiments.lab.digest import digest
from experiments.lab.figures import STYLE, pdf_too, write_figure
from experiments.lab.options import counts, refuse
from experiments.lab.records import final_score, read_record
from experiments.lab.rows import Row
from experiments.lab.study import Arm, Study, StudyCommand
from experiments.lab.tables import publish
from rl.config import Config
from rl.loop import Overrides
from rl.presets import MASKED_CARTPOLE

DEFAULT = Config(
    **MASKED_CARTPOLE
    | {"mode": "serial", "workers": 1, "envs_per_worker": 64, "log_interval": 5_000, "checkpoint_interval": 10_000_000}
)
RECALL, CARTPOLE = "RecallCue-v0", "MaskedVelocityCartPole-v1"
SET_HERE = (  # options of a run that the cells decide
    *("env", "env_arg", "segment_length", "total_env_steps", "carry_state", "run_dir"),
    *("entropy_coefficient", "mode", "workers", "stop_when_solved"),
)


def zeroed_score(delay: int, segment_length: float) -> float:
    """Expected RecallCue return of a perfect agent whose state is zeroed at every segment: max(0, 1 − d/N)."""
    return max(0.0, 1.0 - delay / segment_length)


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    delays: str = "2,4,8"
    """Delays of RecallCue, in steps."""
    segment_lengths: str = "2,3,4,6,8,16"
    """Segment lengths on RecallCue."""
    cartpole_segment_lengths: str = "2,4,8,16,32"
    """Segment lengths on MaskedVelocityCartPole."""
    seeds: int = 3
    """Runs of each cell, from --seed on."""
    recall_env_steps: int = 300_000
    """Env steps of a run on RecallCue."""
    cartpole_env_steps: int = 300_000
    """Env steps of a run on MaskedVelocityCartPole."""
    recall_entropy_coefficient: float = 0.01
    """Entropy bonus on RecallCue, without which the policy commits itself before it has learnt to recall."""
    processes: int = 2
    """Runs at a time."""
    runs_dir: Path = Path("runs/carry_ablation")
    """Folder of the run folders."""
    out: Path | None = None
    """Folder of rows, tables and figure; a run that has its row there is not trained again. None: --runs-dir."""
    pdf: bool = False
    """Write the figure as a PDF file, too."""
    config: Config = field(default=DEFAULT)

    def cells(self) -> list[tuple[str, int, int]]:
        """(task, delay, segment length) of every cell; the delay is 0 on CartPole.

        Raises:
            ValueError: a list is empty, or an entry is no whole number above 0.
        """
        delays, lengths = counts("--delays", self.delays), counts("--segment-lengths", self.segment_lengths)
        cartpole = counts("--cartpole-segment-lengths", self.cartpole_segment_lengths)
        return [(RECALL, delay, length) for delay in delays for length in lengths] + [
            (CARTPOLE, 0, length) for length in cartpole
        ]

    def arms(self) -> dict[str, Arm]:
        """Every cell with its state carried and zeroed.

        Raises:
            ValueError: an option cannot work, or the cells decide it.
        """
        refuse(self.config, DEFAULT, SET_HERE)
        arms = {}
        for task, delay, length in self.cells():
            for carry in (True, False):
                cell = f"d{delay}" if task == RECALL else "cartpole"
                arms[f"{cell}-n{length}-{'carried' if carry else 'zeroed'}"] = Arm(
                    self.run_config(task, delay, length, carry)
                )
        return arms

    def run_config(self, task: str, delay: int, segment_length: int, carry: bool) -> Config:
        """The config of a cell's runs."""
        recall = task == RECALL
        return replace(
            self.config,
            env=task,
            env_arg=(f"delay={delay}",) if recall else (),
            segment_length=segment_length,
            carry_state=carry,
            total_env_steps=self.recall_env_steps if recall else self.cartpole_env_steps,
            entropy_coefficient=self.recall_entropy_coefficient if recall else 0.0,
        )

    def study(self) -> Study:
        """The study of all cells.

        Raises:
            ValueError: an option cannot work.
        """
        command = StudyCommand(
            seeds=self.seeds,
            first_seed=self.config.seed,
            processes=self.processes,
            runs_dir=self.runs_dir,
            out=self.out,
            wandb=self.config.wandb,
        )
        return Study(self.config.wandb_group, self.arms(), command, result, tables=())


def result(config: Config, overrides: Overrides) -> tuple[Row, dict[str, list[Row]]]:
    """A finished run's row."""
    delay = int(config.env_args.get("delay", 0))
    row = {
        "digest": digest(config, overrides),
        "task": config.env,
        "delay": delay,
        "segment_length": config.segment_length,
        "core": config.core_name,
        "carry_state": config.carry_state,
        "env_steps": config.total_env_steps,
        "final_return": final_score(read_record(config.run_dir)),
        "zeroed_expected": zeroed_score(delay, config.segment_length) if delay else "",
    }
    return row, {}


Cells = dict[tuple[str, int], dict[int, dict[bool, list[float]]]]  # final returns by (task, delay), N and carry


def cells_of(rows: list[Row]) -> Cells:
    """The final returns of all seeds; the segment lengths of a task ascend."""
    cells: Cells = {}
    for row in sorted(rows, key=lambda row: int(row["segment_length"])):
        lengths = cells.setdefault((row["task"], int(row["delay"])), {})
        of_length = lengths.setdefault(int(row["segment_length"]), {True: [], False: []})
        of_length[str(row["carry_state"]) == "True"].append(float(row["final_return"]))
    order = list(dict.fromkeys((row["task"], int(row["delay"])) for row in rows))
    return {panel: cells[panel] for panel in order}


def tables(rows: list[Row]) -> str:
    """A Markdown table for each task and delay: mean and range over seeds, state carried and zeroed."""
    lines = []
    for (task, delay), lengths in cells_of(rows).items():
        lines += [f"**{task}{f', delay {delay}' if delay else ''}**", ""]
        expects = " max(0, 1 - delay/N) |" if delay else ""
        lines += [f"| segment length N | carried | zeroed |{expects}", "|---:|---:|---:|" + ("---:|" if delay else "")]
        for length, returns in lengths.items():
            both = [f"{np.mean(seeds):.2f} ({min(seeds):.2f} to {max(seeds):.2f})" for seeds in returns.values()]
            expected = f" {zeroed_score(delay, length):.2f} |" if delay else ""
            lines.append(f"| {length} | {both[0]} | {both[1]} |{expected}")
        lines.append("")
    seeds = len({row["seed"] for row in rows})
    lines.append(f"Mean (smallest to largest) over seeds ({seeds}) of the mean return in the last fifth of training.")
    return "\n".join(lines)


def carry_figure(rows: list[Row], file: Path) -> None:
    """Draw final return against segment length, state carried and zeroed, in a panel for each task and delay.

    Circles are seeds, lines their means; the dotted line is `zeroed_score`.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    cells = cells_of(rows)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, len(cells), figsize=(3 * len(cells), 3.2), squeeze=False, layout="constrained")
        for axis, ((task, delay), of_length) in zip(axes[0], cells.items(), strict=True):
            lengths = list(of_length)
            if delay:
                fine = np.geomspace(lengths[0], lengths[-1], 200)
                expected = [zeroed_score(delay, length) for length in fine]
                axis.plot(fine, expected, ":", color="#444444", label="max(0, 1 − delay/N)")
            for carry, colour, label in ((True, COLOURS["lstm"], "carried"), (False, COLOURS["lstm zeroed"], "zeroed")):
                points = [(length, score) for length in lengths for score in of_length[length][carry]]
                means = [np.mean(of_length[length][carry]) for length in lengths]
                axis.plot(lengths, means, color=colour, linewidth=2, label=label)
                axis.plot(*zip(*points, strict=True), "o", color=colour, markersize=4, alpha=0.5, markeredgewidth=0)
            axis.set_xscale("log", base=2)
            axis.set_xticks(lengths, [str(length) for length in lengths])
            axis.minorticks_off()
            axis.set_title(f"{task}, delay {delay}" if delay else task, fontsize=9, fontweight="bold")
            axis.set_xlabel("segment length N")
            axis.grid(axis="y", color="#E5E5E5", linewidth=0.8)
        axes[0][0].set_ylabel("return at the end of training")
        handles, labels = axes[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
        write_figure(figure, file)


def main() -> None:
    """Parse the command line, train what is missing, tabulate and draw."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        command = parse(Command, __doc__)
        study = command.study()
        rows = study.complete()
        with pdf_too(command.pdf):
            carry_figure(rows, study.out / "carry_ablation.png")
        publish(study.out, "carry_ablation", tables(rows))

    experiment(run)


if __name__ == "__main__":
    main()
