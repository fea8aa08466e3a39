"""Tables of what was measured in the agents, of tuning, and of the parts of the study that ask why."""

from statistics import mean, median

from experiments.lab.learning_study import Row
from experiments.lab.statistics import iqm
from experiments.online_vs_replay.arms import ARMS, TASKS, config_of, normalised, settings_of, tuned, tuning_tasks
from experiments.online_vs_replay.report.claims import against
from experiments.online_vs_replay.report.rows import Part
from experiments.online_vs_replay.report.tables import (
    Table,
    count,
    digits_of,
    in_words,
    seconds,
    seeds_in_words,
    spread,
)
from rl.config import Config

STALENESS = {  # column of measures.csv: title, digits that count
    "age_mean": "data's age, mean",
    "age_p95": "data's age, 95 %",
    "stored_first": "from stored, first",
    "stored_last": "from stored, last",
    "true_first": "from true, first",
    "true_last": "from true, last",
    "disagree_first": "other action, first",
    "disagree_last": "other action, last",
    "kl_first": "KL, first",
    "kl_last": "KL, last",
}


def at_moments(runs: Part, key: str) -> list[float | None]:
    """A measure at each moment of training: the median over the runs that have it; None where none has."""
    moments = max((len(run.moments) for run in runs), default=0)
    found = [
        [run.moments[at][key] for run in runs if len(run.moments) > at and key in run.moments[at]]
        for at in range(moments)
    ]
    return [median(values) if values else None for values in found]


def measure(value: float | None) -> str:
    """Two digits that count."""
    return "–" if value is None else f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"


def staleness_table(grid: Part, task: str) -> Table:
    """How old and how wrong the core states are that learning starts from: at each moment, medians over seeds."""
    cells = {}
    for arm in grid.arms():
        found = {key: at_moments(grid.of(task, arm), key) for key in STALENESS}
        if any(value is not None for values in found.values() for value in values):
            cells[arm] = found
    keys = [key for key in STALENESS if any(value is not None for of in cells.values() for value in of[key])]
    table = [["arm", *(STALENESS[key] for key in keys)]]
    for arm, found in cells.items():
        said = [" / ".join(map(measure, found[key])) if any(v is not None for v in found[key]) else "–" for key in keys]
        table.append([arm, *said])
    return table


def bytes_table(grid: Part) -> Table:
    """What the buffers of each arm hold at the end, on the tasks' median."""
    table = [["arm", "MB"]]
    for arm in grid.arms():
        held = [
            values[-1]
            for run in grid
            if run.arm == arm and (values := [at["bytes"] for at in run.moments if "bytes" in at])
        ]
        if held:
            table.append([arm, spread(held, lambda value: f"{value / 1e6:.1f}")])
    return table


def learning_rate_table(part: Part) -> Table:
    """How much of the grid of learning rates solves, and the final return at each."""
    factors = part.variants()
    table = [["arm", "task", "seeds", *(f"x {factor}" for factor in factors), "solve"]]
    for arm in part.arms():
        for task in part.tasks():
            cells = [part.of(task, arm, factor) for factor in factors]
            there = [cell for cell in cells if cell]
            if there:
                said = [finals(cell, task) for cell in cells]
                share = mean(len(cell.numbers("solved_env_steps")) / len(cell) for cell in there)
                seeds = seeds_in_words([len(cell) for cell in there])
                table.append([arm, task, seeds, *said, f"{share:.0%}"])
    return table


def finals(cell: Part, task: str) -> str:
    """Final return, and how many solved: 480, 3 of 3."""
    if not cell:
        return "–"
    solved = len(cell.numbers("solved_env_steps"))
    return f"{iqm(cell.numbers('final_greedy')):.{digits_of(task)}f}, {solved} of {len(cell)}"


def carry_table(grid: Part, carry: Part) -> Table:
    """The state carried over segments, from the grid, against the state zeroed at each."""
    table = [["task", "arm", "seeds", "carried", "zeroed", "P(carried > zeroed)", "carrying is better"]]
    for task in carry.tasks():
        for arm in carry.arms():
            x, y = grid.of(task, arm), carry.of(task, arm, "zeroed")
            if x and y:
                finding = against("", [[run.normalised() for run in x]], [[run.normalised() for run in y]], ("x", "y"))
                said = [in_words(side.numbers("final_greedy"), digits_of(task)) for side in (x, y)]
                table.append([task, arm, seeds_in_words([len(x), len(y)]), *said, finding.chance, finding.verdict])
    return table


def workers_table(part: Part) -> Table:
    """Asynchronous workers: what they need and where they end."""
    table = [
        [
            "arm",
            "workers",
            "seeds",
            "solved",
            "env steps to solved",
            "CPU seconds to solved",
            "CPU seconds in all",
            "parameter lag",
            "final return",
        ]
    ]
    for task in part.tasks():
        for arm in part.arms():
            for workers in part.variants():
                mine = part.of(task, arm, workers)
                if mine:
                    table.append(
                        [
                            arm,
                            workers,
                            str(len(mine)),
                            f"{len(mine.numbers('solved_env_steps'))} of {len(mine)}",
                            spread([run.until_solved("env_steps") for run in mine], count),
                            spread([run.until_solved("cpu_seconds") for run in mine], seconds),
                            spread(mine.numbers("cpu_seconds"), seconds),
                            spread(mine.numbers("lag"), lambda value: f"{value:.2f}"),
                            in_words(mine.numbers("final_greedy"), digits_of(task)),
                        ]
                    )
    return table


def tuning_table(rows: list[Row]) -> Table:
    """Score of each trial of each arm; a star marks the one that was chosen, a bracket how many runs are missing."""
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
    """Options in words: learning rate 0.003, replay ratio 4."""
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in options.items())


def trials_table(arms: list[str]) -> Table:
    """The settings of each trial, a column for all arms that share them."""
    families: dict[tuple, list[str]] = {}
    for arm in arms:
        families.setdefault(tuple(map(settings, ARMS[arm].trials)), []).append(arm)
    header = ["trial", *(", ".join(names) for names in families.values())]
    return [header, *([str(trial), *cells] for trial, cells in enumerate(zip(*families, strict=True)))]


def arms_table(arms: list[str]) -> Table:
    """What each arm is, and what tuning chose for it."""
    table = [["arm", "network", "learns", "from", "tuned"]]
    for name in arms:
        config = config_of(TASKS["masked"], ARMS[name], settings_of(name))
        sight = ", nothing hidden" if ARMS[name].sees_all else ", two frames" if config.frame_stack > 1 else ""
        learns = "values of actions" if config.has_q_values else "actor and critic"
        table.append([name, f"{config.core}{sight}", learns, source_of(config), settings(settings_of(name))])
    return table


def source_of(config: Config) -> str:
    """Where a learner's data comes from, in words."""
    if not config.replays:
        return f"segments of {config.segment_length} steps as they come"
    if config.replay_way == "transitions":
        return "a buffer, single steps" + (", each from a fresh state" if config.core != "mlp" else "")
    if config.replay_way == "episodes":
        return f"a buffer, whole episodes {config.sequence_length} steps at a time, the state carried"
    start = "zeros" if config.replay_way.startswith("zero") else "the state that the actor stored"
    before = f" {config.burn_in_rows} steps before them" if config.burn_in_rows else ""
    return f"a buffer, {config.sequence_length} steps from {start}{before}"


def shared_settings() -> str:
    """What all runs have in common, and what only a part of them, in sentences."""
    replay, online = (config_of(TASKS["masked"], ARMS[arm], {}) for arm in ("q lstm stored burn in", "a2c lstm"))
    recall = config_of(TASKS["recall 4"], ARMS["a2c lstm"], {})
    return (
        f"Runs have {count(online.total_env_steps)} env steps, on recall {count(recall.total_env_steps)}. All have "
        f"one layer of {replay.torso_size} and a core of {replay.hidden_size} units, γ = {replay.discount:g}, Adam "
        f"(β₂ = {replay.adam_beta2:g}) with a learning rate that falls to 0, {replay.envs_per_worker} environments "
        f"in one process, 25 evaluations of {replay.interval_episodes} episodes and {replay.eval_episodes} fresh "
        f"ones at the end, and at most {replay.max_cpu_seconds:g} CPU seconds. From a buffer: "
        f"{count(replay.replay_capacity)} steps, {replay.segment_length} steps of every environment at a time, "
        f"each learnt from {replay.replay_ratio:g} times, {replay.replay_batch} sequences an update (8 times as "
        f"many single steps), {replay.target_steps}-step targets, ε from {replay.epsilon_first:g} to "
        f"{replay.epsilon_last:g} over the environments, a target network copied every {replay.target_interval} "
        f"updates; all unless tuned. Actor-critics see {online.reward_scale:g} of CartPole's rewards and clip "
        f"gradients at {online.max_gradient_norm:g}, Q-learning sees {replay.reward_scale:g} and from a buffer "
        f"clips at {replay.max_gradient_norm:g}: no trial varied these. Every option is in "
        "experiments/online_vs_replay/arms.py."
    )
