"""Draws and writes the report from the rows: report.md, report.html with all in it, and the figures."""

import base64
import re
from pathlib import Path

from experiments.lab.learning_study import read_csv
from experiments.online_vs_replay.arms import ARMS, RESULTS, TASKS
from experiments.online_vs_replay.report import memory as memory
from experiments.online_vs_replay.report import pages as pages
from experiments.online_vs_replay.report import why as why
from experiments.online_vs_replay.report.differences import headline
from experiments.online_vs_replay.report.rows import Part, read_part
from experiments.online_vs_replay.report.tables import final_table, markdown

PARTS = ("grid", "learning-rates", "sequence-lengths", "buffer-age", "carry", "workers")
TITLE = "Online against replay, with recurrent networks"
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}"
    "img{max-width:100%}table{border-collapse:collapse;display:block;overflow-x:auto;font-size:13px;margin:1em 0}"
    "td,th{border-bottom:1px solid #ddd;padding:3px 9px;text-align:left}"
    "[style*=right]{white-space:nowrap}"
    "code{background:#f3f3f3}h2{margin-top:2em;border-bottom:1px solid #ddd}"
)
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
    "machines. Distribution: all runs of the grid have one worker in one process. Gradients reach 32 steps back in "
    "all arms but transitions, and what tuning chose is no shorter: recall 48 compares learning past that horizon, "
    "not online with replay as such. Settings were tuned by eight trials of one seed each, by env steps, on one or "
    "two of the tasks (arms with memory not on CartPole, flickering, recall 4 and 48): a2c lstm replay and a2c gru "
    "did better when tuned than on fresh seeds. Online is one arm of eight trials, replay the best of six: that "
    "favours replay. The four of {a2c, q} x {online, replay} are whole learners: q online has no target network and "
    "λ-returns, a2c from a buffer V-trace and a smaller buffer. Frozen policies act greedily: what actor-critics "
    "learn is stochastic, and on flickering much better sampled. On recall the argmax of an untrained policy can pass "
    "an evaluation, so the training window is the safer rule there. CPU seconds are of this code and leave out the "
    "optimiser's step; at equal CPU seconds the slower arms are looked at before their learning rate has come down. "
    "As in R2D2, n-step targets are not corrected for what the actor did after the first step, so a sequence from "
    "zeros may be credited with an answer whose cue lies before it. Env steps to solved are to within one evaluation. "
    "Verdicts are of these seeds, and not corrected for their number."
)


def write_report(out: Path) -> None:
    """Write report.md, report.html and figures from the rows of all parts in a folder, and print the headline.

    Raises:
        ValueError: there are no rows, or they name what there is not, or are of different options.
    """
    parts = {part: read_part(out / part) for part in PARTS}
    if not any(parts.values()):
        raise ValueError(f"--out {out}: it holds no rows of any part, see --help for how to train them")
    tuning = out / "tuning" if (out / "tuning").is_dir() else RESULTS / "tuning"
    out.mkdir(parents=True, exist_ok=True)
    text = page(parts, read_csv(tuning / "runs.csv"), out)
    (out / "report.md").write_text(text)
    (out / "report.html").write_text(html(text, out))
    if parts["grid"]:
        print(markdown(final_table(parts["grid"])))
        print("\n".join(f"{number}. {finding.sentence()}" for number, finding in enumerate(headline(parts["grid"]), 1)))
    print(f"Written to {out}: " + ", ".join(sorted(file.name for file in out.iterdir() if file.is_file())))


def page(parts: dict[str, Part], tuning: list[dict], out: Path) -> str:
    """The whole text, in Markdown; figures are written into the folder."""
    grid = parts["grid"]
    sections = {
        "Headline": pages.headline_section(grid, out),
        "What is compared": pages.arms_section(grid, out),
        "The claims, one by one": pages.claims_section(grid, out),
        "Solved, and what came after": pages.solved_section(grid, out),
        "Against CPU seconds and gradient steps": pages.cost_section(grid, out),
        "Over all tasks": pages.aggregate_section(grid, out),
        "How stale the states are": memory.staleness_section(grid, out),
        "What the memory holds": memory.memory_section(grid, out),
        "The price of a step": pages.price_section(grid, out),
        "Robustness to the learning rate": why.learning_rate_section(grid, parts["learning-rates"]),
        "Why: length of sequences": why.lengths_section(parts["sequence-lengths"], out),
        "Why: age of the buffer": why.buffer_section(parts["buffer-age"], out),
        "Why: carrying the state": why.carry_section(grid, parts["carry"]),
        "Why: workers": why.workers_section(parts["workers"]),
        "Tuning": why.tuning_section(tuning),
    }
    blocks = [f"# {TITLE}", "Does online distributed training suit recurrent networks better than replay?"]
    for title, found in sections.items():
        if found:
            blocks += [f"## {title}", *filter(None, found)]
    blocks += ["## How to make all of it", COMMANDS, LIMITS, missing(parts, tuning)]
    return "\n\n".join(filter(None, blocks)) + "\n"


def missing(parts: dict[str, Part], tuning: list[dict]) -> str:
    """One line about what has no rows; nothing where all has some."""
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


def html(text: str, folder: Path) -> str:
    """A page of Markdown as one HTML file that needs no other: figures of the folder are embedded."""
    from markdown_it import MarkdownIt  # rich, which is required, brings it

    body = MarkdownIt("js-default").render(text)

    def embedded(found: re.Match) -> str:
        picture = base64.b64encode((folder / found[1]).read_bytes()).decode()
        return f'src="data:image/png;base64,{picture}"'

    body = re.sub(r'src="([\w.]+\.png)"', embedded, body)
    head = f'<meta charset="utf-8"><title>{TITLE}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}</body></html>\n'
