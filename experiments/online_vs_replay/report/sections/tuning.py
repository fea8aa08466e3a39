"""Which settings were tried, and which were chosen."""

from statistics import mean

from experiments.lab.rows import Row
from experiments.online_vs_replay.arms import ARMS
from experiments.online_vs_replay.report.cells import Blocks, Table, markdown
from experiments.online_vs_replay.settings import tuned, tuning_tasks
from experiments.online_vs_replay.tasks import TASKS, normalised


def tuning_section(rows: list[Row]) -> Blocks:
    """Write which settings were tried and chosen."""
    if not rows:
        return []
    table = tuning_table(rows)
    return [
        "Eight trials for each arm. Score: mean normalised return of the evaluations in the second half of "
        "training, over its tuning tasks, with a seed that is not used elsewhere; * is the chosen trial.",
        markdown(table),
        "The trials.",
        markdown(trials_table([row[0] for row in table[1:]])),
    ]


def tuning_table(rows: list[Row]) -> Table:
    """Tabulate the score of each trial: a star marks the chosen one, a bracket a trial with missing runs."""
    scores: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        task, arm, trial = row["arm"].split(" / ")
        scores.setdefault(arm, {}).setdefault(int(trial), []).append(normalised(TASKS[task], float(row["late_greedy"])))
    trials = sorted({trial for of in scores.values() for trial in of})
    table = [["arm", "tuned on", *(str(trial) for trial in trials), "chosen"]]
    for arm in (arm for arm in ARMS if arm in scores):
        best, most = tuned(arm, rows), max(map(len, scores[arm].values()))
        cells = []
        for trial in trials:
            found = scores[arm].get(trial, [])
            mark = ("*" if trial == best else "") + (f" ({len(found)} of {most} runs)" if len(found) < most else "")
            cells.append(f"{mean(found):.2f}{mark}" if found else "–")
        on = ", ".join(tuning_tasks(arm, ARMS[arm]))
        table.append([arm, on, *cells, settings(ARMS[arm].trials[best])])
    return table


def settings(options: dict) -> str:
    """Write options: learning rate 0.003, replay ratio 4."""
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in options.items())


def trials_table(arms: list[str]) -> Table:
    """Tabulate the settings of each trial, a column for all arms that share them."""
    families: dict[tuple, list[str]] = {}
    for arm in arms:
        families.setdefault(tuple(map(settings, ARMS[arm].trials)), []).append(arm)
    header = ["trial", *(", ".join(names) for names in families.values())]
    return [header, *([str(trial), *cells] for trial, cells in enumerate(zip(*families, strict=True)))]
