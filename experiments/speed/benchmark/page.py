"""The benchmark's page: tables of medians, with the smallest and the largest in brackets."""

from typing import Any

from experiments.speed.benchmark.configurations import BASE_NAME
from experiments.speed.benchmark.worker_parts import PARTS
from rl.config_rules import option


def page(results: dict[str, Any]) -> str:
    """Write benchmark.md: the machine, and a table for each thing that was measured."""
    machine = results["machine"]
    memory = "" if machine["memory_bytes"] is None else f", {machine['memory_bytes'] / 2**30:.1f} GiB"
    commit = machine["git_commit"] or "unknown"
    commit = commit[:7] + ("+" if commit.endswith("+") else "")  # with changes on top
    words = (
        f"Measured on {machine['date'][:10]}: {machine['processor']}, {machine['cpus']} CPUs{memory}, "
        f"{machine['system']}, Python {machine['versions']['python']}, torch {machine['versions']['torch']}, "
        f"commit {commit}. Median (smallest–largest) of the repetitions."
    )
    makers = (
        throughput_table,
        solved_table,
        scaling_tables,
        contention_table,
        parts_table,
        rates_table,
        startup_table,
        memory_table,
        growth_table,
    )
    return "\n\n".join([words, *filter(None, (make(results) for make in makers))]) + "\n"


def table(title: str, header: str, rows: list[list[str]], note: str = "") -> str:
    """Write a Markdown table under its title; without rows there is no text."""
    columns = header.split("|")
    lines = [f"| {' | '.join(row)} |" for row in (columns, ["---", *["---:"] * (len(columns) - 1)], *rows)]
    return "\n".join([f"**{title}**", "", *lines, *(["", note] if note else [])]) if rows else ""


def speed(run: dict[str, Any]) -> list[str]:
    """Write the cells of a run's throughput: env steps a second, fraction of the roofline."""
    return [cell(run["sps"], "{:.1f}k", 1e3), cell(run.get("roofline", {}).get("fraction"), "{:.1%}")]


def throughput_table(results: dict[str, Any]) -> str:
    """Tabulate env steps a second of the base and each preset."""
    named = {name: run for name, run in results.get("run", {}).items() if not name.startswith("--")}
    rows = [
        [name, *speed(run), cell(run["summary_sps"], "{:.1f}k", 1e3), in_words(run["options"])]
        for name, run in named.items()
    ]
    note = (
        f"Real runs with record, checkpoints and W&B offline, stopped after {results['options']['run_seconds']:g} "
        "seconds of training. Roofline: the FLOP an env step costs at least, over the best measured rate of float32 "
        "matrix products at the run's shapes on each CPU in use."
    )
    return table("Throughput", "configuration|env steps a second|of the roofline|summary's sps|options", rows, note)


def solved_table(results: dict[str, Any]) -> str:
    """Tabulate training seconds and env steps to solved."""
    options = results["options"]
    seeds, last_seed = options["seeds"], options["first_seed"] + options["seeds"] - 1
    rows = [
        [
            name,
            f"{len(one['seconds']['values']) if one['seconds'] else 0} of {seeds}",
            cell(one["seconds"], "{:.1f}"),
            cell(one["env_steps"], "{:.0f}k", 1e3),
        ]
        for name, one in results.get("solved", {}).items()
    ]
    note = (
        f"Seeds {options['first_seed']} to {last_seed}; medians and ranges are of those that solved the task. The "
        f"others ended, or were stopped after {options['solve_seconds']:g} seconds of training."
    )
    return table("To solved", "configuration|seeds that solved|training seconds|env steps", rows, note)


def scaling_tables(results: dict[str, Any]) -> str:
    """Tabulate env steps a second along each axis."""
    tables = []
    for axis, points in results.get("scaling", {}).items():
        rows = [[str(value), *speed(results["run"][name])] for value, name in points]
        tables.append(table(f"Scaling over {axis}", f"`{option(axis)}`|env steps a second|of the roofline", rows))
    return "\n\n".join(tables)


def contention_table(results: dict[str, Any]) -> str:
    """Tabulate how long workers wait for the lock, and hold it."""
    times = ("pull_wait", "pull_hold", "push_wait", "push_hold")
    rows = [
        [workers, cell(one["waiting"], "{:.2%}"), *(cell(one[name], "{:.1f}", 1e-6) for name in times)]
        for workers, one in results.get("contention", {}).items()
    ]
    header = "`--workers`|of their time|pull waits, µs|pull holds, µs|push waits, µs|push holds, µs"
    note = (
        "Real runs of --preset masked-cartpole, the lock being timed: the share of the workers' time that they "
        "wait for it, and means over its uses. With more workers than CPUs, whoever holds it may be off its CPU."
    )
    return table("Waiting for the learner's lock", header, rows, note)


def parts_table(results: dict[str, Any]) -> str:
    """Tabulate where a worker's time goes."""
    found = results.get("parts", {})
    rows = [[name, *(cell(one[part], "{:.2f}", 1e-6) for part in PARTS)] for name, one in found.items()]
    note = (
        "One worker alone, nobody else at the lock. Acting is without the environment's own step; learning is loss "
        "and backward pass."
    )
    return table("Microseconds an env step", f"configuration|{'|'.join(PARTS)}", rows, note)


def rates_table(results: dict[str, Any]) -> str:
    """Tabulate the rates of the machine's matrix products."""
    found = [run["roofline"]["rates"] for run in results.get("run", {}).values() if "roofline" in run]
    best = {shape: max(rates.get(shape, 0.0) for rates in found) for rates in found for shape in rates}
    rows = [[shape, f"{rate / 1e9:.1f}"] for shape, rate in best.items()]
    return table("Matrix products on one thread", "shape|GFLOP/s", rows)


def startup_table(results: dict[str, Any]) -> str:
    """Tabulate the seconds from the command."""
    until = {
        "help": "`--help` has been shown",
        "first_update": "first update is on disk",
        "startup": "of that, start-up after the parent's imports",
    }
    found = results.get("startup", {}).get(BASE_NAME, {})
    rows = [[until[name], cell(one, "{:.2f}")] for name, one in found.items()]
    return table("Seconds from the command", "until|seconds", rows)


def memory_table(results: dict[str, Any]) -> str:
    """Tabulate what the largest worker of a run holds beyond torch itself."""
    if "torch" not in results:
        return ""
    alone = results["torch"][BASE_NAME]["bytes"]
    rows = [["`import torch`", cell(alone, "{:.0f}", 2**20), "–"]]
    for name, run in results["run"].items():
        if name.startswith("--"):  # a point of a scaling axis
            continue
        held = run["worker_bytes"]
        beyond = f"{(held['median'] - alone['median']) / 2**20:.0f}" if held and alone else "–"
        rows.append([f"largest worker, {name}", cell(held, "{:.0f}", 2**20), beyond])
    return table("Resident memory, MiB", "process|all|beyond torch's import", rows)


def growth_table(results: dict[str, Any]) -> str:
    """Tabulate whether the processes of a long run grow."""
    if "growth" not in results:
        return ""
    held = results["growth"]["throughput"]
    first, last = (f"after {held['env_steps'][place] / 1e6:.2f}M env steps" for place in (0, -1))
    rows = []
    for name, sizes in (("largest worker, throughput", held["worker"]), ("its parent", held["parent"])):
        known = [] if None in sizes else [sizes[0], sizes[-1], sizes[-1] - sizes[0]]
        rows.append([name, *([f"{size / 2**20:.1f}" for size in known] or "–––")])
    return table("Resident memory of a long run, MiB", f"process|{first}|{last}|growth", rows)


def cell(found: dict[str, Any] | None, form: str, unit: float = 1.0) -> str:
    """Write median (smallest–largest) in a unit."""
    if found is None:
        return "–"
    middle, low, high = (form.format(found[name] / unit) for name in ("median", "min", "max"))
    return f"{middle} ({low}–{high})"


def in_words(options: dict[str, Any]) -> str:
    """Write options as on the command line."""
    return "`" + " ".join(f"{option(name)} {value}" for name, value in options.items()) + "`" if options else "–"
