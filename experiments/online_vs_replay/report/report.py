"""Writes the report from the rows: report.md, its figures and, on demand, report.html."""

from pathlib import Path

from experiments.lab.rows import read_csv
from experiments.online_vs_replay.arms import ARMS
from experiments.online_vs_replay.plan import PARTS
from experiments.online_vs_replay.report.cells import markdown
from experiments.online_vs_replay.report.html import html
from experiments.online_vs_replay.report.rows import Part, read_part
from experiments.online_vs_replay.report.sections.aggregates import aggregate_section
from experiments.online_vs_replay.report.sections.buffer_age import buffer_section
from experiments.online_vs_replay.report.sections.carry import carry_section
from experiments.online_vs_replay.report.sections.claims import claims_section
from experiments.online_vs_replay.report.sections.compared import arms_section
from experiments.online_vs_replay.report.sections.costs import cost_section
from experiments.online_vs_replay.report.sections.headline import final_table, headline, headline_section
from experiments.online_vs_replay.report.sections.horizon import horizon_section
from experiments.online_vs_replay.report.sections.learning_rates import learning_rate_section
from experiments.online_vs_replay.report.sections.memory import memory_section
from experiments.online_vs_replay.report.sections.prices import price_section
from experiments.online_vs_replay.report.sections.sequence_lengths import lengths_section
from experiments.online_vs_replay.report.sections.solved import solved_section
from experiments.online_vs_replay.report.sections.staleness import staleness_section
from experiments.online_vs_replay.report.sections.tuning import tuning_section
from experiments.online_vs_replay.report.sections.workers import workers_section
from experiments.online_vs_replay.settings import RESULTS
from experiments.online_vs_replay.tasks import TASKS

TITLE = "Online against replay, with recurrent networks"
COMMANDS = """```bash
python -m experiments.online_vs_replay.tune --out experiments/results/online_vs_replay/tuning
python -m experiments.online_vs_replay --seeds 10 --out experiments/results/online_vs_replay
for part in learning-rates carry workers; do
  python -m experiments.online_vs_replay --part $part --seeds 4 --out experiments/results/online_vs_replay
done
for part in sequence-lengths buffer-age; do
  python -m experiments.online_vs_replay --part $part --seeds 3 --out experiments/results/online_vs_replay
done
python -m experiments.online_vs_replay --part report --out experiments/results/online_vs_replay   # draws this again
```"""
LIMITS = (
    "What this does not show. Other tasks than small ones whose best return is known, larger networks, other "
    "machines. Distribution: all runs of the grid have one worker in one process. Gradients reach 32 steps back at "
    "most where they are not carried, and what tuning chose is no shorter: recall 48 compares learning past that "
    "horizon, not online with replay as such. RTUs remember for up to 64 steps before they learn anything, longer "
    "than the cue of recall 48 lies back, and have about half as many parameters as LSTMs. Segments of 8 have shorter "
    "returns, too. Settings were tuned by eight trials of one seed each, by env steps, on one or two of the tasks "
    "(arms with memory not on CartPole, flickering, recall 4 and 48): a2c lstm replay and a2c gru did better when "
    "tuned than on fresh seeds. With an lstm alone online is one arm of eight trials, replay the best of six; of the "
    "best agents more are from replay, too: both favour replay. The four of {a2c, q} x {online, replay} are whole "
    "learners: q online has no target network and λ-returns, a2c from a buffer V-trace and a smaller buffer. Frozen "
    "policies act greedily: what actor-critics learn is stochastic, and on flickering much better sampled. On recall "
    "the argmax of an untrained policy can pass an evaluation, so the training window is the safer rule there. CPU "
    "seconds are of this code and leave out the optimiser's step; at equal CPU seconds the slower arms are looked at "
    "before their learning rate has come down. As in R2D2, n-step targets are not corrected for what the actor did "
    "after the first step, so a sequence from zeros may be credited with an answer whose cue lies before it. Env "
    "steps to solved are to within one evaluation. Verdicts are of these seeds, and not corrected for their number."
)


def write_report(out: Path, with_html: bool = False) -> None:
    """Write report.md and figures from the rows of all parts in a folder, report.html if asked, and print the headline.

    Raises:
        ValueError: there are no rows, or they name unknown tasks or arms, or one arm has rows of different options.
    """
    parts = {part: read_part(out / part) for part in PARTS}
    if not any(parts.values()):
        raise ValueError(f"--out {out}: it holds no rows of any part, see --help for how to train them")
    tuning = out / "tuning" if (out / "tuning").is_dir() else RESULTS / "tuning"
    out.mkdir(parents=True, exist_ok=True)
    text = page(parts, read_csv(tuning / "runs.csv"), out)
    (out / "report.md").write_text(text, encoding="utf-8")
    if with_html:
        (out / "report.html").write_text(html(TITLE, text, out), encoding="utf-8")
    if parts["grid"]:
        print(markdown(final_table(parts["grid"])))
        print("\n".join(f"{number}. {finding.sentence()}" for number, finding in enumerate(headline(parts["grid"]), 1)))
    print(f"Written to {out}: " + ", ".join(sorted(file.name for file in out.iterdir() if file.is_file())))


def page(parts: dict[str, Part], tuning: list[dict], out: Path) -> str:
    """Write the figures into the folder, and return the report in Markdown."""
    grid = parts["grid"]
    sections = {
        "Headline": headline_section(grid, out),
        "What is compared": arms_section(grid, out),
        "The claims, one by one": claims_section(grid, out),
        "Carrying the gradient": horizon_section(grid, out),
        "Solved, and what came after": solved_section(grid, out),
        "Against CPU seconds and gradient steps": cost_section(grid, out),
        "Over all tasks": aggregate_section(grid, out),
        "How stale the states are": staleness_section(grid, out),
        "What the memory holds": memory_section(grid, out),
        "The price of a step": price_section(grid, out),
        "Robustness to the learning rate": learning_rate_section(grid, parts["learning-rates"]),
        "Why: length of sequences": lengths_section(parts["sequence-lengths"], out),
        "Why: age of the buffer": buffer_section(parts["buffer-age"], out),
        "Why: carrying the state": carry_section(grid, parts["carry"]),
        "Why: workers": workers_section(parts["workers"]),
        "Tuning": tuning_section(tuning),
    }
    blocks = [f"# {TITLE}", "Does online distributed training suit recurrent networks better than replay?"]
    for title, found in sections.items():
        if found:
            blocks += [f"## {title}", *filter(None, found)]
    blocks += ["## How to make all of it", COMMANDS, LIMITS, missing(parts, tuning)]
    return "\n\n".join(filter(None, blocks)) + "\n"


def missing(parts: dict[str, Part], tuning: list[dict]) -> str:
    """Write one line about what has no rows; no line if everything has rows."""
    grid = parts["grid"]
    absent = [] if tuning else ["tuning"]
    absent += [part for part, runs in parts.items() if not runs]
    if grid:
        names = [
            *(task for task in TASKS if task not in grid.tasks()),
            *(arm for arm in ARMS if arm not in grid.arms()),
        ]
        absent += [f"{name} (grid)" for name in names]
    return f"Not trained yet: {', '.join(absent)}." if absent else ""
