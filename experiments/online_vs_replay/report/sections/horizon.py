"""What carrying the gradient buys: on all tasks, and where the cue lies beyond what is unrolled together."""

from pathlib import Path

from experiments.online_vs_replay.arms import ARMS, PAST_THE_HORIZON
from experiments.online_vs_replay.report.cells import Blocks, Table, digits_of, in_words, markdown, picture, words
from experiments.online_vs_replay.report.claims import networks, online_against_replay
from experiments.online_vs_replay.report.curves import X_LABELS, curves_figure, draw_curves
from experiments.online_vs_replay.report.duels import BEST, ONLINE, RTU, RTU_GRADIENT, WITH_RTU, duels
from experiments.online_vs_replay.report.panels import panels
from experiments.online_vs_replay.report.rows import RTU_ARMS, Part, figures
from experiments.online_vs_replay.report.sections.claims import findings_table
from experiments.online_vs_replay.report.verdicts import Finding, against
from experiments.online_vs_replay.tasks import TASKS

TASK = PAST_THE_HORIZON[0]
LENGTHS = {"": 32, " 8": 8}  # end of an arm's name: steps of a segment
AGENTS = (ONLINE, RTU, RTU_GRADIENT)


def horizon_section(grid: Part, out: Path) -> Blocks:
    """Write and draw what carrying the gradient buys; nothing if no arm does what LSTMs with 32 steps do not."""
    if "_rtu" not in figures(grid.arms()):
        return []
    blocks = [
        "An RTU can carry its gradient exactly from segment to segment, and then learns from all of an episode, "
        "whatever the length of a segment. LSTMs, and RTUs that carry their state alone, learn from the steps of a "
        "segment or sequence."
    ]
    found = [*networks(grid), *online_against_replay(grid, WITH_RTU)]
    if found:
        blocks.append(words(findings_table(found)))
    on_all = [arm for arm in grid.arms(RTU_ARMS) if not ARMS[arm].only]
    curves_figure(grid, grid.tasks(TASKS) or grid.tasks(), on_all, out / "curves_rtu.png")
    blocks.append(picture("curves_rtu.png", "RTUs and LSTMs: greedy return of the frozen policy against env steps."))
    if grid.of(TASK, RTU_GRADIENT) or grid.of(TASK, f"{RTU_GRADIENT} 8"):
        horizon_figure(grid, out / "horizon.png")
        blocks += [
            f"**{TASK}, with segments of 32 and of 8.** An update has as many steps in both. Final greedy return, and "
            "runs that solved the task; beside them the best from replay, with sequences of 32 steps.",
            markdown(horizon_table(grid)),
            words(findings_table(horizon_findings(grid))),
            picture(
                "horizon.png",
                f"{TASK}, with segments of 32 and of 8; replay is the same in both. Solid and dash-dotted: online.",
            ),
        ]
    return blocks


def horizon_table(grid: Part) -> Table:
    """Tabulate the online agents' final returns with segments of 32 and of 8, and replay's where it is best."""
    table = [["arm", *(f"segments of {length}" for length in LENGTHS.values())]]
    for arm in AGENTS:
        cells = [grid.of(TASK, f"{arm}{end}") for end in LENGTHS]
        if any(cells):
            table.append([arm, *map(final_and_solved, cells)])
    for arm in grid.arms(BEST.replay_agents):
        if cell := grid.of(TASK, arm):
            table.append([arm, final_and_solved(cell), "–"])
    return table


def final_and_solved(cell: Part) -> str:
    """Write the final return with its interval, and how many runs solved the task: 0.81 [0.52, 0.99], 9 of 10."""
    if not cell:
        return "–"
    solved = len(cell.numbers("solved_env_steps"))
    return f"{in_words(cell.numbers('final_greedy'), digits_of(TASK))}, {solved} of {len(cell)}"


def horizon_findings(grid: Part) -> list[Finding]:
    """Judge at both lengths the gradient against the state alone and the LSTM, and each against the best of replay."""
    found = []
    for end, length in LENGTHS.items():
        mine, on = f"{RTU_GRADIENT}{end}", f"on {TASK}, segments of {length}"
        for other in (RTU, ONLINE):
            found += ends_higher(grid, mine, f"{other}{end}", f"{mine} ends higher than {other}{end} {on}")
        for arm in AGENTS:
            found += against_replay(grid, f"{arm}{end}", length)
    for arm in AGENTS:
        found += ends_higher(grid, arm, f"{arm} 8", f"{arm} ends higher with segments of 32 than of 8 on {TASK}")
    return found


def gradient_against_replay(grid: Part) -> list[Finding]:
    """Judge at both lengths whether the agent that carries its gradient ends higher than the best from replay."""
    return [one for end, length in LENGTHS.items() for one in against_replay(grid, f"{RTU_GRADIENT}{end}", length)]


def ends_higher(grid: Part, better: str, worse: str, claim: str) -> list[Finding]:
    """Judge on the one task that an arm ends higher than another; [] without runs of both."""
    x, y = ([run.normalised() for run in grid.of(TASK, arm)] for arm in (better, worse))
    return [against(claim, [x], [y], (better, worse))] if x and y else []


def against_replay(grid: Part, arm: str, length: int) -> list[Finding]:
    """Judge on the one task that an arm ends higher than the best from replay; [] without runs of both."""
    there = Part(run for run in grid if run.task == TASK)
    return [
        against(
            f"{arm} ends higher than the best from replay ({duel.way}) on {TASK}, segments of {length}",
            [duel.online],
            [duel.replay],
            ("online", "replay"),
        )
        for duel in duels(there, sides=BEST._replace(online_agents=(arm,)))
        if duel.metric == "at the end"
    ]


def horizon_figure(grid: Part, file: Path) -> None:
    """Draw the curves of the one task: a panel for segments of each length, replay in both."""
    replay = [arm for arm in RTU_ARMS if ARMS[arm].replays]
    with panels(file, [f"{TASK}: segments of {length}" for length in LENGTHS.values()], size=(4.8, 3.2)) as axes:
        for panel, end in zip(axes, LENGTHS, strict=True):
            draw_curves(panel, grid, TASK, [*(f"{arm}{end}" for arm in AGENTS), *replay])
            panel.set_xlabel(X_LABELS["env_steps"])
        axes[0].set_ylabel("greedy return")
