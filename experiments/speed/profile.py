"""Where the time of an env step goes: environment, acting, learning, and the update.

Question: what bounds this run, and how far is it from the speed of its environment?
Command:  python -m experiments.speed.profile --preset masked-cartpole
Time:     20 seconds on a CPU that does nothing else.
Output:   profile.json and profile.md in --out.

One worker trains in this process, as it does in a run of --preset, and what it does is timed by its CPU time. The
environment's own speed is that of the same environments with random actions, right before.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.lab.tables import publish
from rl.config import Config
from rl.presets import PRESETS

PARTS = ("environment", "acting", "learning", "update")


@dataclass(frozen=True)
class Command:
    """The options of the command."""

    preset: str = ""
    """Options of the run: the name of a preset; empty: the defaults."""
    env: str = ""
    """Another environment than that of the preset."""
    seconds: float = 10.0
    """CPU seconds of training, and half as many of the environment alone."""
    out: Path = Path("runs/profile")
    """Folder of the numbers and the page."""

    def config(self) -> Config:
        """The config of the worker.

        Raises:
            ValueError: there is no such preset.
        """
        if self.preset and self.preset not in PRESETS:
            raise ValueError(f"--preset {self.preset!r}: one of {', '.join(PRESETS)} is needed")
        own = {"env": self.env} if self.env else {}
        alone = {"mode": "serial", "workers": 1, "wandb": "disabled", "total_env_steps": 2**40, "log_interval": 2**30}
        return Config(**{**PRESETS.get(self.preset, {}), **own, **alone})


def main() -> None:
    """Parse the command line, measure, write."""
    from experiments.lab.command_line import experiment, parse

    experiment(lambda: run(parse(Command, __doc__)))


def run(command: Command) -> None:
    """Measure, then write numbers and page.

    Raises:
        ValueError: an option cannot work.
    """
    from experiments.speed.machine import describe

    if command.seconds <= 0:
        raise ValueError(f"--seconds {command.seconds}: a number above 0 is needed")
    config = command.config()
    found = {"env": config.env, "own": own_speed(config, command.seconds / 2), **profiled(config, command.seconds)}
    command.out.mkdir(parents=True, exist_ok=True)
    numbers = {"machine": describe(), **found}
    (command.out / "profile.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    publish(command.out, "profile", page(found))


def own_speed(config: Config, seconds: float) -> float:
    """Measure the steps a CPU second of a worker's environments with random actions."""
    from envs.vector.make_vector import make_vector
    from rl.acting.threads import one_thread

    with one_thread():
        environments = make_vector(config.env, config.envs_per_worker, **config.environment_options)
        environments.reset(seed=list(range(config.envs_per_worker)))
        environments.action_space.seed(0)
        actions = [environments.action_space.sample() for _ in range(64)]
        began, steps = time.process_time(), 0
        while (passed := time.process_time() - began) < seconds:
            for action in actions:
                environments.step(action)
            steps += len(actions) * config.envs_per_worker
        environments.close()
    return steps / passed


def profiled(config: Config, seconds: float) -> dict[str, Any]:
    """Measure the CPU seconds of each part while one worker trains, and its env steps a CPU second."""
    from experiments.speed.in_process import built_worker
    from rl.acting.denormals import denormals_as_zeros
    from rl.acting.threads import one_thread

    spent = dict.fromkeys(PARTS, 0.0)

    def timed(part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def measure(*arguments: Any) -> Any:
            began = time.process_time()
            answer = call(*arguments)
            spent[part] += time.process_time() - began
            return answer

        return measure

    with one_thread(), denormals_as_zeros():
        learner, collector, experience = built_worker(config)
        collector.environments.step = timed("environment", collector.environments.step)
        pull, push = timed("update", learner.pull), timed("update", learner.push)
        collect, add = timed("acting", collector.collect), timed("learning", experience.add)
        differentiate = timed("learning", experience.differentiate)
        flat, left, warm, began, steps = experience.flat, 0, False, time.process_time(), 0
        while not warm or time.process_time() - began < seconds:
            pull(flat)
            env_steps = 0
            if not left:
                if steps and not warm:  # the first segment made buffers, and its numbers do not count
                    warm, began, steps = True, time.process_time(), 0
                    spent.update(dict.fromkeys(PARTS, 0.0))
                segment = collect()
                env_steps, left = segment.env_steps, add(segment)
                steps += env_steps
            if left:
                losses = differentiate()
                left = experience.still_due(left - 1)
                push(flat.gradient, env_steps, losses, [], None if left else collector.take_tally())
            else:
                push(None, env_steps, {}, [], collector.take_tally())
            collector.take_finished_episodes()
        collector.environments.close()
    spent["acting"] -= spent["environment"]
    total = sum(spent.values())
    return {"trained": steps / total, "microseconds": {part: 1e6 * spent[part] / steps for part in PARTS}}


def page(found: dict[str, Any]) -> str:
    """Tabulate the parts, and say how far the run is from the speed of its environment."""
    total = sum(found["microseconds"].values())
    lines = ["| part | µs an env step | share |", "|---|---:|---:|"]
    lines += [f"| {part} | {spent:,.1f} | {spent / total:.0%} |" for part, spent in found["microseconds"].items()]
    lines += [
        "",
        f"{found['env']}: {found['trained']:,.0f} trained env steps a CPU second, "
        f"{found['trained'] / found['own']:.2f} of the environment's own {found['own']:,.0f} with random actions.",
        "",
        "Environment: all of its step, pictures too. Acting: the network's forward pass, sampling and keeping the",
        "segment. Learning: returns and gradients. Update: pulling parameters, and Adam.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
