"""Play fresh episodes with a trained agent, its state carried.

Question: how good is the policy of this run, greedy and sampled, and does it use its memory?
Command:  python -m experiments.evaluate runs/lstm-MaskedVelocityCartPole-v1-s1 --episodes 100
Time:     about 3 seconds.
Output:   mean, deviation and extremes of the episode returns; with --control, returns with the state meddled with; with
          --json, the return of each episode; with --gif, one greedy episode as a picture.
"""

import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from experiments.lab.options import at_least

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console

    from rl.agent.agent import Agent
    from rl.config import Config


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, with a checkpoint."""
    episodes: int = 100
    """Fresh episodes, with the greedy and with the sampled policy."""
    seed: int = 12345
    """Seed of episodes and sampling; evaluation shares no random numbers with training, whatever the seed is."""
    eval_max_steps: int | None = None
    """Most steps of an episode: a longer one counts with what it has earned until then; None: as the run has it."""
    log_info: str = ""
    """Entries of the infos at an episode's end to show the means of, as in success,crashes; empty: those of the run."""
    best: bool = False
    """Take the checkpoint of the best evaluation, which a run with --keep-best has."""
    env_arg: tuple[str, ...] = ()
    """Another value of an argument of the environment, as name=value; repeatable. Observations and actions must stay of
    the shape that the agent knows."""
    control: bool = False
    """Play the greedy episodes again with the state reset before every step, frozen, and swapped between environments:
    is the memory used?"""
    frozen_after: int = 8
    """Steps of an episode after which --control freezes the state."""
    json: str = ""
    """Write the return of each episode to this file; - writes it to standard output, and nothing else there."""
    gif: Path | None = None
    """Write one greedy episode to this file (needs pygame and pillow: pip install -e .[video])."""


def main() -> None:
    """Parse the command line, play, print."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: play(parse(Command, __doc__)))


def play(command: Command) -> None:
    """Load the run's agent and show the returns that it reaches.

    Raises:
        ValueError: there is no readable checkpoint, or an option cannot work.
    """
    check(command)
    from rich.console import Console
    from rich.table import Table

    import envs
    from experiments.lab.display import shown_progress
    from rl.acting.evaluate import play_episodes
    from rl.record.saved_agent import load_agent

    agent, trained, env_steps = load_agent(command.run, envs.make_vector, command.best)
    config = with_arguments(trained, command.env_arg)
    if command.eval_max_steps is not None:
        config = replace(config, eval_max_steps=command.eval_max_steps)
    if command.log_info:
        config = replace(config, log_info=command.log_info)
    console = Console(stderr=command.json == "-", markup=False)
    frames = write_gif(command.gif, agent, config, command.seed) if command.gif else 0  # first: it may be impossible
    changed = f", {' '.join(command.env_arg)}" if command.env_arg else ""
    columns = ("policy", "mean", "std", "min", "max", "episodes", *config.logged_infos)
    table = Table(*columns, title=f"{command.run}, {env_steps:,} env steps{changed}")
    found: dict[str, Any] = {}
    cut = 0
    for greedy, name in ((True, "greedy"), (False, "sampled")):
        with shown_progress(name) as progress:
            played = play_episodes(
                agent, config, envs.make_vector, command.episodes, greedy, command.seed, progress=progress
            )
        returns, cut = played.returns, cut + int(played.cut.sum())
        found[name] = returns.tolist()
        numbers = (returns.mean(), returns.std(), returns.min(), returns.max())
        infos = means_of(played.infos)
        shown = ["-" if mean is None else f"{mean:.2f}" for mean in infos]
        table.add_row(name, *(f"{n:.2f}" for n in numbers), str(len(returns)), *shown)
        if infos:
            found[f"{name}_infos"] = dict(zip(config.logged_infos, infos, strict=True))
    console.print(table)
    for name in [name for name, mean in zip(config.logged_infos, infos, strict=True) if mean is None]:
        console.print(f"--log-info {name}: no episode's last infos have it as a number", highlight=False)
    if cut:
        console.print(
            f"{cut} of {2 * command.episodes} episodes had not ended after {config.eval_max_steps} steps "
            "(--eval-max-steps)",
            highlight=False,
        )
    if command.control:
        found["control"] = play_control(command, agent, config, console)
    if command.json:
        write_json_of(command, config, env_steps, found)
    if command.gif:
        print(f"wrote {command.gif}, {frames} frames", file=console.file)


def play_control(command: Command, agent: "Agent", config: "Config", console: "Console") -> dict[str, Any]:
    """Play the greedy episodes with the state intact and meddled with; show a table and a sentence.

    Returns:
        The returns by what was done to the state, and the sentence as "verdict".
    """
    from rich.table import Table

    import envs
    from experiments.lab.display import shown_progress
    from experiments.lab.memory_control import Control, controls, lost, mean_with_interval, verdict
    from rl.acting.evaluate import evaluate

    controlled = {}
    for name, (how, player) in controls(command.frozen_after, played_together(config) > 1).items():
        with shown_progress(name) as progress:
            more = {"make_player": player, "progress": progress}
            returns = evaluate(agent, config, envs.make_vector, command.episodes, True, command.seed, **more)
        controlled[name] = Control(how, returns)
    table = Table("state", "mean return", "lost", title="the same greedy episodes [95 % intervals]")
    for name, (how, returns) in controlled.items():
        loss = lost(controlled["intact"].returns, returns)
        table.add_row(
            how, mean_with_interval(returns), "" if name == "intact" else "{:.2f} [{:.2f}, {:.2f}]".format(*loss)
        )
    console.print(table)
    sentence = verdict(controlled, has_state=bool(agent.initial_state(1)))
    console.print(sentence, soft_wrap=True, highlight=False)
    return {name: control.returns.tolist() for name, control in controlled.items()} | {"verdict": sentence}


def played_together(config: "Config") -> int:
    """How many environments an evaluation plays at a time, at most."""
    import envs

    probe = envs.make_vector(config.env, 1, **config.environment_options)
    probe.close()
    return 2 if probe.metadata.get("exact") else config.total_environments


def check(command: Command) -> None:
    """Refuse options that cannot work, before anything is loaded.

    Raises:
        ValueError: names the first one.
    """
    at_least(2 if command.control else 1, episodes=command.episodes)
    at_least(1, eval_max_steps=1 if command.eval_max_steps is None else command.eval_max_steps)
    at_least(0, seed=command.seed, frozen_after=command.frozen_after)
    if command.gif and command.gif.suffix != ".gif":
        raise ValueError(f"--gif {command.gif}: a file name that ends in .gif is needed")
    if command.json not in ("", "-") and (Path(command.json).is_dir() or not Path(command.json).parent.is_dir()):
        raise ValueError(f"--json {command.json}: a file in a folder that exists is needed, or - for standard output")


def means_of(infos: "np.ndarray") -> list[float | None]:
    """The mean of each entry over the episodes that have it; None where none has."""
    import numpy as np

    known = [column[np.isfinite(column)] for column in infos.T]
    return [float(values.mean()) if len(values) else None for values in known]


def with_arguments(config: "Config", given: tuple[str, ...]) -> "Config":
    """The config of a run with other arguments of its environment, for the same agent.

    Raises:
        ValueError: the environment cannot be made with them, or the agent could not see or act in it.
    """
    if not given:
        return config
    import envs
    from rl.running.preflight import probe_environment

    names = {entry.partition("=")[0] for entry in given}
    kept = (entry for entry in config.env_arg if entry.partition("=")[0] not in names)
    other = replace(config, env_arg=(*kept, *given))
    shapes = []
    for one in (config, other):
        probe = probe_environment(one, envs.make_vector)
        shapes.append((probe.single_observation_space.shape, " ".join(str(probe.single_action_space).split())))
        probe.close()
    (shape, actions), (other_shape, other_actions) = shapes
    if (shape, actions) != (other_shape, other_actions):
        raise ValueError(
            f"--env-arg {' '.join(given)}: the agent knows observations of shape {shape} and actions {actions}, "
            f"these are {other_shape} and {other_actions}"
        )
    return other


def write_json_of(command: Command, config: "Config", env_steps: int, found: dict[str, Any]) -> None:
    """Write the return of each episode, and of which run, environment and seed they are."""
    import json

    content = {
        "run": str(command.run),
        "env": config.env,
        "env_args": config.env_args,
        "env_steps": env_steps,
        "best": command.best,
        "episodes": command.episodes,
        "seed": command.seed,
        **found,
    }
    text = json.dumps(content, allow_nan=False) + "\n"
    if command.json == "-":
        print(text, end="")
    else:
        Path(command.json).write_text(text, encoding="utf-8")


def write_gif(path: Path, agent: "Agent", config: "Config", seed: int) -> int:
    """Film one greedy episode and return the number of frames.

    Raises:
        ValueError: pygame or pillow is missing, or the environment cannot be filmed.
    """
    import envs
    from rl.acting.player import AgentPlayer

    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pictures without a screen, and without its complaints
    try:
        import pygame  # noqa: F401  Gymnasium's classic-control environments draw with it
        from PIL import Image
    except ImportError as error:
        raise ValueError(f"--gif {path}: {error.name} is not installed; pip install -e .[video]") from None
    options = config.environment_options
    options["env_args"] = {**options["env_args"], "render_mode": "rgb_array"}
    none = f"--gif {path}: {config.env} draws no pictures (render_mode rgb_array)"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Gymnasium, which says the same in three lines
        try:
            environments = envs.make_vector(config.env, 1, **options)
        except ValueError:
            raise ValueError(none) from None
    player, frames, is_first = AgentPlayer(agent, seed=seed), [], True
    observation, _ = environments.reset(seed=[seed])
    for _ in range(config.eval_max_steps):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = environments.render()
        if not picture or picture[0] is None:
            raise ValueError(none)
        frames.append(Image.fromarray(picture[0]).resize((300, 200)))
        observation, _, terminated, truncated, _ = environments.step(player.act(observation, is_first))
        is_first = False
        if terminated[0] or truncated[0]:
            break
    environments.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=20, loop=0)
    return len(frames)


if __name__ == "__main__":
    main()
