"""Measures the parts of a worker's life, with one worker in this process."""

import time
from dataclasses import replace

from experiments.speed.benchmark.configurations import ENDLESS
from rl.acting.denormals import denormals_as_zeros
from rl.config import Config

PARTS = ("pull", "environment", "acting", "learning", "push")
SECONDS, WARM_UP = 1.0, 5  # seconds of the timed loop, and segments before it


@denormals_as_zeros()  # as in `run_segments`
def measure_parts(config: Config) -> dict[str, float]:
    """Measure the seconds an env step takes in each part of a worker's life, with no other worker at the lock."""
    import envs
    from experiments.speed.benchmark.timers import TimedEnvironments
    from rl.loop import build_worker
    from rl.running.setup import set_up

    config = replace(config, **ENDLESS, mode="async", workers=1)
    setup = set_up(config, envs.make_vector)
    learner, collector, experience = build_worker(0, config, envs.make_vector, setup.memory, setup.training_key)
    timed = collector.environments = TimedEnvironments(collector.environments)
    setup.ledger.start_clock()

    def once() -> list[float]:
        """Do what `run_segments` does for a segment; return the seconds of each of PARTS."""
        timed.seconds = 0.0
        start = time.perf_counter()
        learner.pull(experience.flat)
        pulled = time.perf_counter()
        segment = collector.collect()
        acted = time.perf_counter()
        experience.add(segment)
        losses = experience.differentiate()
        learnt = time.perf_counter()
        learner.push(experience.flat.gradient, segment.env_steps, losses, collector.take_finished_episodes())
        pushed = time.perf_counter()
        return [pulled - start, timed.seconds, acted - pulled - timed.seconds, learnt - acted, pushed - learnt]

    for _ in range(WARM_UP):
        once()
    laps, end = [], time.perf_counter() + SECONDS
    while time.perf_counter() < end or not laps:
        laps.append(once())
    timed.environments.close()
    env_steps = len(laps) * config.segment_length * config.envs_per_worker
    return {part: sum(lap) / env_steps for part, lap in zip(PARTS, zip(*laps, strict=True), strict=True)}
