"""Bias and variance of the N-step return, measured at frozen policies and critics.

Question: how wrong is an N-step return, by the critic that it trusts (bias) and by the dice of its N steps (variance)?
Command:  python -m experiments.chapter5.n_step_error
Time:     2 minutes on 2 cores, 5 on busy ones, for 3 training stages x 3 seeds.
Output:   n_step_error.md and .png (tables, figure) and n_step_error.csv in --out; run folders.

The chapter's agent, one process with one environment and N = 10, is trained for 7,000, 35,000 and 70,000 env steps; its
learning rate is constant and serial runs repeat bit for bit, so the shorter runs are the beginning of the longer.

States: in each of --states episodes that the trained policy plays, one, each of its steps being equally likely. All
--rollouts copies of the environment are reset with that episode's seed and are given its actions (and the agent its
observations, for the core state) up to there, so that they are in one state without anything having been copied. From
there each copy samples its own actions, until it falls, or for 200 steps: 0.95^200 = 3.5e-5 of what comes later is
left, which is what Monte Carlo is here. There is no time limit, but for the 500 steps an episode has to take a state
from. The environment must draw nothing after its reset, since its copies would draw alike.

Many states and few rollouts, since states differ more: of the squared bias at N = 1, a tenth of the states, those
closer to a fall, hold a third after 7,000 env steps and two thirds after 70,000. The variance is unbiased with few.

A finished (seed, env steps) has its rows in n_step_error.csv and is neither trained nor measured again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from experiments.lab.learning_study import Row, append_csv, digest, folder_of, publish, read_csv, write_csv
from experiments.lab.study import train_missing
from rl.config import Config
from rl.loop import NO_OVERRIDES
from rl.presets import PRESETS

if TYPE_CHECKING:
    import gymnasium
    import numpy as np
    from torch import Tensor

    from rl.acting.randomness import ActionNoise
    from rl.agent.agent import Agent

CHAPTER = Config(**{**PRESETS["chapter5"], "mode": "serial", "workers": 1})
STAGES = (7_000, 35_000, 70_000)  # env steps
LENGTHS = {"1": 1, "2": 2, "5": 5, "10": 10, "20": 20, "50": 50, "MC": 0}  # N by its name; 0: Monte Carlo
HORIZON = 200
MOST_STEPS = 500  # of an episode that a state is taken from
FIRST = 30_000  # number of the first stream of random numbers: those below are of evaluations
MEASURED = ("bias", "squared_bias", "variance")


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    seeds: int = 3
    """Runs of each training stage, from --first-seed on."""
    first_seed: int = 1
    """Seed of each stage's first run."""
    states: int = 128
    """States that returns are measured from, each of an episode of its own."""
    rollouts: int = 32
    """Copies that go on from each state."""
    processes: int = 2
    """Runs at a time."""
    runs_dir: Path = Path("runs/chapter5/n_step_error")
    """Folder of the run folders."""
    out: Path | None = None
    """Folder of rows, tables and figure; what has its rows there is not measured again. None: --runs-dir."""
    wandb: Literal["auto", "online", "offline", "disabled"] = "offline"
    """W&B mirror of each run, in the group chapter5-n-step-error."""

    def configs(self) -> dict[tuple[int, int], Config]:
        """The config of every run by (seed, env steps).

        Raises:
            ValueError: an option cannot work.
        """
        for name, least in (("seeds", 1), ("first_seed", 0), ("states", 1), ("rollouts", 2), ("processes", 1)):
            if (value := getattr(self, name)) < least:
                raise ValueError(f"--{name.replace('_', '-')} {value}: a whole number of at least {least} is needed")
        return {
            (seed, steps): replace(
                CHAPTER,
                seed=seed,
                total_env_steps=steps,
                run_dir=str(self.runs_dir / f"{steps}-s{seed}"),
                wandb=self.wandb,
                wandb_group="chapter5-n-step-error",
            )
            for seed in range(self.first_seed, self.first_seed + self.seeds)
            for steps in STAGES
        }


def complete(command: Command, out: Path) -> list[Row]:
    """Train and measure what has no rows yet, rows being written as each run ends.

    Returns:
        The rows of the command's own seeds and stages as numbers, in their order.

    Raises:
        ValueError: n_step_error.csv has rows of other options, or a folder another run; nothing was trained.
        RunFailed: a run ended by a fault or a signal.
    """
    import envs
    from rl.record.saved_agent import load_agent

    configs, file = command.configs(), out / "n_step_error.csv"
    how = {
        key: {"states": command.states, "rollouts": command.rollouts, "digest": digest(config, NO_OVERRIDES)}
        for key, config in configs.items()
    }
    out.mkdir(parents=True, exist_ok=True)
    found = rows_by_run(file)
    for key in configs:
        if any(row[name] != str(value) for row in found.get(key, ()) for name, value in how[key].items()):
            raise ValueError(
                f"{file}: its rows of seed {key[0]}, {key[1]} env steps, are of other options; "
                "name another --out, or remove the rows"
            )
    write_csv(file, [row for rows in found.values() for row in rows])  # without what was cut off by a kill

    def finished(config: Config) -> None:
        agent, _, _ = load_agent(config.run_dir, envs.make_vector)
        run = config.seed, config.total_env_steps
        measured = measure(agent, config, envs.make_vector, command.states, command.rollouts)
        append_csv(file, [dict(zip(("seed", "env_steps"), run, strict=True)) | row | how[run] for row in measured])

    if missing := [config for key, config in configs.items() if key not in found]:
        train_missing(missing, command.processes, finished=finished)
    found = rows_by_run(file)
    return [
        {"seed": seed, "env_steps": steps, "N": row["N"]} | {name: float(row[name]) for name in MEASURED}
        for seed, steps in configs
        for row in found[seed, steps]
    ]


def rows_by_run(file: Path) -> dict[tuple[int, int], list[Row]]:
    """The file's rows by (seed, env steps), of those that have every N."""
    runs: dict[tuple[int, int], list[Row]] = {}
    for row in read_csv(file):
        runs.setdefault((int(row["seed"]), int(row["env_steps"])), []).append(row)
    return {run: rows for run, rows in runs.items() if len(rows) == len(LENGTHS)}


# --- measurement


class Rollouts(NamedTuple):
    """What copies in one state went through from there on, in the environment's own rewards."""

    rewards: "Tensor"  # [time, copy]
    discounts: "Tensor"  # [time, copy] γ, 0 where the copy's episode ended; what comes after that means nothing
    values: "Tensor"  # [time + 1, copy] V of the observation before each step, and after the last


def measure(
    agent: "Agent",
    config: Config,
    make_environments: "Callable[..., gymnasium.vector.VectorEnv]",
    states: int,
    copies: int,
) -> list[Row]:
    """Bias and variance of each N, means over states: rows of N and MEASURED.

    Args:
        agent: not modified.
        config: names environment, discount, reward_scale and seed.
        make_environments: builds vector environments.
        states: how many, each of its own episode.
        copies: rollouts from each of them, at least 2.
    """
    import numpy as np
    import torch

    from rl.acting.player import Player
    from rl.acting.randomness import ActionNoise, environment_seeds, evaluation_key

    torch.set_num_threads(1)  # a second thread makes networks of this size slower
    options = config.environment_options
    options["env_args"] = options["env_args"] | {"max_episode_steps": -1}
    single, many = (make_environments(config.env, number, **options) for number in (1, copies))
    seeds = environment_seeds(config.seed, evaluation_key(), range(FIRST, FIRST + states))
    errors = []
    for state, seed in enumerate(seeds):
        player = Player(agent, 1, greedy=False, seed=config.seed, offset=FIRST + state)
        actions = episode_actions(player, single, seed)
        prefix = actions[: np.random.default_rng([config.seed, state]).integers(len(actions))]
        first = FIRST + states + state * copies
        noise = ActionNoise(config.seed, evaluation_key(), range(first, first + copies))
        errors.append(return_errors(roll_out(agent, config, many, seed, prefix, noise), list(LENGTHS.values())))
    single.close()
    many.close()
    means = torch.stack(errors).mean(0).tolist()
    return [
        {"N": name} | {key: float(f"{number:.6g}") for key, number in zip(MEASURED, row, strict=True)}
        for name, row in zip(LENGTHS, means, strict=True)
    ]


def episode_actions(player: Any, environments: "gymnasium.vector.VectorEnv", seed: int) -> "np.ndarray":
    """The actions [time] of the episode that a fresh Player of one row plays from this seed, its first 500 at most."""
    import numpy as np

    observation, _ = environments.reset(seed=[seed])
    ended, actions = True, []  # before its first observation
    while not (ended and actions) and len(actions) < MOST_STEPS:
        actions.append(player.act(observation, ended))
        observation, _, terminated, truncated, _ = environments.step(actions[-1])
        ended = bool(terminated[0] or truncated[0])
    return np.concatenate(actions)


def roll_out(
    agent: "Agent",
    config: Config,
    environments: "gymnasium.vector.VectorEnv",
    seed: int,
    prefix: "Sequence[int]",
    noise: "ActionNoise",
) -> Rollouts:
    """Lead every copy to the state after `prefix`, then let each sample its own actions for HORIZON steps.

    Args:
        agent: not modified; its core state consumes the prefix too.
        config: names discount, reward_scale and dtype.
        environments: the copies, without a time limit.
        seed: of the reset of all of them.
        prefix: actions that leave the episode running.
        noise: for the actions after it, a stream a copy.

    Returns:
        Float64 tensors in units of the environment's rewards; values are divided by reward_scale.

    Raises:
        ValueError: the copies are not in one state after the prefix, or a time limit cuts an episode.
    """
    import numpy as np
    import torch

    from rl.agent.actions import sample_actions

    copies, dtype = environments.num_envs, getattr(torch, config.dtype)
    rewards, discounts = torch.zeros(2, HORIZON, copies, dtype=torch.float64)
    values = torch.zeros(HORIZON + 1, copies, dtype=torch.float64)
    gumbel = torch.from_numpy(noise.draw(HORIZON, int(environments.single_action_space.n))).to(dtype)
    observation, _ = environments.reset(seed=[seed] * copies)
    ended, fallen = np.ones(copies, dtype=bool), np.zeros(copies, dtype=bool)
    core_state = agent.initial_state(copies)
    for t in range(-len(prefix), HORIZON + 1):  # before 0, prefix[t] counts from its end
        with torch.no_grad():
            inputs = torch.tensor(observation, dtype=dtype)
            output, core_state = agent.step(inputs, core_state, torch.from_numpy(ended))
        if t >= 0:
            values[t] = output.values.double() / config.reward_scale
        if t == HORIZON or fallen.all():
            break
        actions = sample_actions(output.logits, gumbel[t]).numpy() if t >= 0 else np.full(copies, prefix[t])
        observation, reward, terminated, truncated, _ = environments.step(actions)
        ended = terminated | truncated
        if t < 0 and (ended.any() or (observation != observation[0]).any()):
            raise ValueError(f"{config.env}: the same seed and actions do not lead all copies to the same state")
        if (truncated & ~terminated & ~fallen).any():
            raise ValueError(f"{config.env}: a time limit cut an episode, whose true return is unknown then")
        if t >= 0:
            rewards[t] = torch.as_tensor(reward)
            discounts[t] = torch.from_numpy(np.where(ended, 0.0, config.discount))
            fallen |= ended
    return Rollouts(rewards, discounts, values)


def return_errors(rollouts: Rollouts, lengths: Sequence[int]) -> "Tensor":
    """Bias, squared bias and variance of each N at one state: [N, 3] (MEASURED).

    G^N = r₀ + γ r₁ + … + γᴺ⁻¹ r_N₋₁ + γᴺ V(o_N),  G^MC = r₀ + γ r₁ + …   (Sutton & Barto 2018, eq. 7.1)
    E[(G^N − v)²] = (E[G^N] − v)² + Var[G^N],  v = E[G^MC]   (Kearns & Singh 2000, whose bounds of the two are over N)

    With d = G^N − G^MC of the same rollouts, B of them, whose mean is less noisy than the difference of two means:
    bias = mean d; squared bias = bias² − var d / B, since noise alone makes bias² positive, so the estimate may be
    negative where there is (almost) none; variance = var G^N. Both variances are unbiased, over B − 1.

    Args:
        rollouts: B copies from one state.
        lengths: of N; 0 is Monte Carlo.
    """
    import torch

    from rl.learning.returns import n_step_returns

    rewards, discounts, values = rollouts

    def returns(steps: int) -> "Tensor":  # [copy]
        bootstrap = values[steps] if steps else torch.zeros_like(values[0])
        return n_step_returns(rewards[: steps or None], discounts[: steps or None], bootstrap)[0]

    true, errors = returns(0), []
    for steps in lengths:
        found = returns(steps)
        difference = found - true
        bias = difference.mean()
        errors.append(torch.stack([bias, bias.square() - difference.var() / len(found), found.var()]))
    return torch.stack(errors)


# --- tables


def root_errors(rows: list[Row], steps: int, name: str) -> list[tuple[float, float, float]]:
    """Roots of squared bias, variance and total error of one stage and N, a triple each seed; those below 0 are 0."""
    found = [row for row in rows if (row["env_steps"], row["N"]) == (steps, name)]
    squares = [(row["squared_bias"], row["variance"], row["squared_bias"] + row["variance"]) for row in found]
    return [tuple(max(0.0, square) ** 0.5 for square in seed) for seed in squares]


def error_table(rows: list[Row]) -> str:
    """A Markdown table: a row each N, three columns each stage."""
    import numpy as np

    from experiments.lab.statistics import stratified_bootstrap

    def cell(values: Sequence[float]) -> str:
        low, high = stratified_bootstrap([values], lambda drawn: drawn.mean(-1))
        return f"{np.mean(values):.2f}" + (f" [{low:.2f}, {high:.2f}]" if len(values) > 1 else "")

    stages = sorted({row["env_steps"] for row in rows})
    titles = [f"{steps:,}: {title}" for steps in stages for title in ("bias", "deviation", "total")]
    lines = ["| N | " + " | ".join(titles) + " |", "|---:|" + "---:|" * len(titles)]
    for name in LENGTHS:
        columns = [column for steps in stages for column in zip(*root_errors(rows, steps, name), strict=True)]
        lines.append(f"| {name} | " + " | ".join(map(cell, columns)) + " |")
    return "\n".join(lines)


def least_errors(rows: list[Row]) -> str:
    """Which N has the least total error at each stage, in words."""
    import numpy as np

    said = []
    for steps in sorted({row["env_steps"] for row in rows}):
        totals = np.array([[seed[2] for seed in root_errors(rows, steps, name)] for name in LENGTHS])  # [N, seed]
        names, means = list(LENGTHS), dict(zip(LENGTHS, totals.mean(1), strict=True))
        best = min(means, key=means.get)
        agreeing = (totals.argmin(0) == names.index(best)).sum()
        others = ", ".join(f"{name}: {means[name]:.2f}" for name in ("1", "MC") if name != best)
        said.append(
            f"after {steps:,} env steps {best}, with {means[best]:.2f} ({others}; least in {agreeing} of "
            f"{totals.shape[1]} seeds)"
        )
    return f"The N of the least total error: {'; '.join(said)}."


def worked_example() -> list[tuple[list[float], float, list[float]]]:
    """The chapter's example of what a bootstrap does: (rewards, bootstrap, the return from each step on), γ = 0.99."""
    import torch

    from rl.learning.returns import n_step_returns

    found = []
    for bootstrap in (0.0, 1.0):
        for rewards in ([1.0, 1.0, -1.0], [1.0, 1.0, 1.0]):
            column = torch.tensor(rewards, dtype=torch.float64)[:, None]  # [time, batch]
            returns = n_step_returns(column, torch.full_like(column, 0.99), column.new_tensor([bootstrap]))
            found.append((rewards, bootstrap, returns[:, 0].tolist()))
    return found


def worked_table() -> str:
    """The example as a Markdown table, from the end of the series down to index 1, as far as the chapter goes."""
    lines = ["| rewards | bootstrap | return at index 2 | at index 1 |", "|---|---:|---:|---:|"]
    for rewards, bootstrap, returns in worked_example():
        series = ", ".join(f"{reward:g}" for reward in rewards)
        lines.append(f"| {series} | {bootstrap:g} | {returns[2]:.6g} | {returns[1]:.6g} |")
    plain_low, plain_high, low, high = (returns[1] for _, _, returns in worked_example())
    return "\n".join(lines) + (
        f"\n\nAt index 1 the better series is worth {plain_high / plain_low:.3g} times the other without bootstrap and "
        f"{high / low:.3g} times with it; the difference is {plain_high - plain_low:.3g} and {high - low:.3g}."
    )


def page(rows: list[Row], command: Command) -> str:
    """The tables and what they mean."""
    return f"""{error_table(rows)}

{least_errors(rows)}

Titles name the env steps of training. Bias: root of the mean squared bias over {command.states} states, corrected for
the noise of {command.rollouts} rollouts, 0 where the corrected mean is negative. Deviation: root of the mean variance.
Total: root of the sum of both squares. In units of the environment's reward, 1 a step and -10 for a fall. Mean over
seeds ({command.seeds}) and its 95 % bootstrap interval. MC: the whole episode, which has no bias by definition.

The chapter's example, from the end of the series down to index 1, discount 0.99:

{worked_table()}"""


def main() -> None:
    """Parse the command line, train and measure what is missing, tabulate and draw."""
    from experiments.lab.command_line import experiment, parse

    def run() -> None:
        command = parse(Command, __doc__)
        out = folder_of(command.out, command.runs_dir)
        rows = complete(command, out)
        from experiments.lab.curve_figures import error_figure

        error_figure(rows, out / "n_step_error.png")
        publish(out, "n_step_error", page(rows, command))

    experiment(run)


if __name__ == "__main__":
    main()
