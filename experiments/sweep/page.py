"""What a sweep came to: table, sentences, CSV file."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from experiments.lab.defaults import defaults_of
from experiments.lab.rows import write_csv
from experiments.lab.statistics import FEWEST, contrast
from experiments.lab.tables import publish
from experiments.sweep.figure import sweep_figure
from experiments.sweep.plan import Plan, Trial
from experiments.sweep.space import shown
from rl.config import Config
from rl.config_rules import option

MEASURED = {
    "greedy": "mean return of greedy episodes at the end",
    "sampled": "mean return of sampled episodes at the end",
    "curve": "mean return of all training episodes",
}
Fresh = Mapping[int, list[float]]  # scores on fresh seeds, by trial


def publish_sweep(plan: Plan, trials: Sequence[Trial], fresh: Fresh, importances: Mapping[str, float]) -> None:
    """Write trials.csv, sweep.png and sweep.md, and print the page.

    Raises:
        ValueError: all trials have failed.
    """
    complete = sorted((one for one in trials if one.state == "complete"), key=lambda one: -one.value)
    write_csv(plan.out / "trials.csv", [row_of(plan, one, fresh.get(one.number, [])) for one in trials])
    if not complete:
        causes = "; ".join(sorted({one.why for one in trials if one.why})) or "pruned"
        raise ValueError(f"{plan.out}: none of {len(trials)} trials is complete ({causes})")
    sweep_figure(plan, trials, importances, plan.out / "sweep.png")
    lines = [table(plan, trials), "", *sentences(plan, trials, complete[0], fresh), "", "![Trials](sweep.png)"]
    publish(plan.out, "sweep", "\n".join(lines))


def row_of(plan: Plan, trial: Trial, fresh: Sequence[float]) -> dict[str, Any]:
    """A trial as a row of a CSV file."""
    value = trial.value if trial.state == "complete" else ""
    numbers = {"scores": " ".join(map(repr, trial.scores)), "fresh": " ".join(map(repr, fresh)), "value": value}
    return {"trial": trial.number, "state": trial.state, **trial.settings, **numbers, "why": trial.why}


def table(plan: Plan, trials: Sequence[Trial]) -> str:
    """The trials, best first, in Markdown."""
    names = [one.name for one in plan.space]
    lines = [f"| trial | {' | '.join(names)} | seeds | {plan.measure} | |", "|---:|" + "---|" * (len(names) + 3)]
    order = {"complete": 0, "pruned": 1, "repeated": 2, "failed": 3}
    for one in sorted(trials, key=lambda one: (order[one.state], -one.value if one.scores else 0.0)):
        values = [shown(one.settings[name]) for name in names]
        score = f"{one.value:.2f} ({min(one.scores):.2f} to {max(one.scores):.2f})" if one.scores else "-"
        state = "" if one.state == "complete" else one.state + (f": {one.why}" if one.why else "")
        lines.append(f"| {one.number} | {' | '.join(values)} | {len(one.scores)} | {score} | {state} |")
    return "\n".join(lines)


def sentences(plan: Plan, trials: Sequence[Trial], best: Trial, fresh: Fresh) -> list[str]:
    """How good the best trial is, and how much of its lead is selection."""
    count = sum(one.state != "failed" for one in trials)
    lines = [
        f"The measure is the {MEASURED[plan.measure]}, over {span(plan.seeds)}: mean (smallest to largest).",
        "",
        f"The best of {count} trials is number {best.number}, at {best.value:.2f}. The best of many is in part luck: "
        "the same seeds that chose it also measured it.",
    ]
    if best.number not in fresh:
        return [*lines, "How much of its lead is selection, --fresh-seeds would show."]
    again = sum(fresh[best.number]) / len(fresh[best.number])
    more = round(again - best.value, 2)
    how = f"{abs(more):.2f} {'more' if more > 0 else 'less'} than there" if more else "as there"
    lines[-1] += f" On {len(fresh[best.number])} fresh seeds its mean is {again:.2f}, {how}."
    if best.number == 0 or 0 not in fresh:
        return [*lines, "It is the first trial: no settings were found that beat those of the command line."]
    first = trials[0]
    lead, (low, high) = contrast([(1.0, fresh[best.number]), (-1.0, fresh[0])], partial(np.mean, axis=-1))
    before = f"{best.value - first.value:+.2f}" if first.scores else "not measured"
    few = min(len(fresh[best.number]), len(fresh[0])) < FEWEST
    verdict = "the lead holds" if low > 0 else "the lead is gone" if high <= 0 else "the lead may be luck"
    verdict = "too few seeds to tell" if few else verdict
    return [
        *lines,
        f"Its lead over the first trial, which has the options as they were given, was {before} in the sweep, and is "
        f"{lead:+.2f} [{float(low):.2f}, {float(high):.2f}] on fresh seeds: {verdict}.",
    ]


def span(seeds: Sequence[int]) -> str:
    """Seeds in words."""
    return f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"


def options_of(config: Config) -> list[str]:
    """The options with which experiments.train has this config, without what the sweep decides."""
    default = asdict(Config(**defaults_of(config.algorithm, config.env, config.env_arg)))
    words = []
    for name, value in asdict(config).items():
        if value == default[name] or name in ("seed", "run_dir", "wandb_name"):
            continue
        if isinstance(value, bool):
            words.append(option(name) if value else option(f"no_{name}"))
        elif isinstance(value, tuple):
            words += [word for one in value for word in (option(name), str(one))]
        else:
            words += [option(name), str(value)]
    return words


def command_of(config: Config, settings: Mapping[str, Any]) -> str:
    """The command that trains with a trial's settings."""
    return shlex.join(["python", "-m", "experiments.train", *options_of(Config(**{**vars(config), **settings}))])
