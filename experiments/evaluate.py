"""Play fresh episodes with a trained agent, its state carried.

Question: how good is the policy of this run, greedy and sampled?
Command:  python -m experiments.evaluate runs/lstm-MaskedVelocityCartPole-v1-s1 --episodes 100
Time:     about 3 seconds.
Output:   mean, deviation and extremes of the episode returns; with --gif, one greedy episode as a picture.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from experiments.lab.options import at_least


@dataclass(frozen=True)
class Command:
    """What the command line says."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run folder, with a checkpoint."""
    episodes: int = 100
    """Fresh episodes, with the greedy and with the sampled policy."""
    seed: int = 12345
    """Seed of episodes and sampling; evaluation shares no random numbers with training, whatever the seed is."""
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
    at_least(1, episodes=command.episodes)
    at_least(0, seed=command.seed)
    if command.gif and command.gif.suffix != ".gif":
        raise ValueError(f"--gif {command.gif}: a file name that ends in .gif is needed")
    from rich.console import Console
    from rich.table import Table

    import envs
    from rl.acting.evaluate import evaluate
    from rl.record.saved_agent import load_agent

    agent, config, env_steps = load_agent(command.run, envs.make_vector)
    table = Table("policy", "mean", "std", "min", "max", "episodes", title=f"{command.run}, {env_steps:,} env steps")
    for greedy in (True, False):
        returns = evaluate(agent, config, envs.make_vector, command.episodes, greedy, command.seed)
        numbers = (returns.mean(), returns.std(), returns.min(), returns.max())
        table.add_row("greedy" if greedy else "sampled", *(f"{n:.2f}" for n in numbers), str(len(returns)))
    Console().print(table)
    if command.gif:
        print(f"wrote {command.gif}, {write_gif(command.gif, agent, config, command.seed)} frames")


def write_gif(path: Path, agent: Any, config: Any, seed: int) -> int:
    """Film one greedy episode and return the number of frames.

    Raises:
        ValueError: pygame or pillow is missing, or the environment cannot be filmed.
    """
    import envs
    from rl.acting.player import Player

    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pictures without a screen, and without its complaints
    try:
        import pygame  # noqa: F401  Gymnasium's classic-control environments draw with it
        from PIL import Image
    except ImportError as error:
        raise ValueError(f"--gif {path}: {error.name} is not installed; pip install -e .[video]") from None
    options = config.environment_options
    options["env_args"] = {**options["env_args"], "render_mode": "rgb_array"}
    try:
        environments = envs.make_vector(config.env, 1, **options)
    except ValueError:
        raise ValueError(f"--gif {path}: {config.env} draws no pictures (render_mode rgb_array)") from None
    player, frames, is_first = Player(agent, seed=seed), [], True
    observation, _ = environments.reset(seed=[seed])
    ended = False
    while not ended:
        picture = environments.render()
        if not picture or picture[0] is None:
            raise ValueError(f"--gif {path}: {config.env} draws no pictures (render_mode rgb_array)")
        frames.append(Image.fromarray(picture[0]).resize((300, 200)))
        observation, _, terminated, truncated, _ = environments.step(player.act(observation, is_first))
        is_first, ended = False, bool(terminated[0] or truncated[0])
    environments.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=20, loop=0)
    return len(frames)


if __name__ == "__main__":
    main()
