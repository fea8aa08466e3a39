"""Modes, workers, segments, and the length of the run."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ProcessOptions:
    """Modes, workers, segments, and the length of the run."""

    mode: Literal["async", "sync", "serial"] = "async"
    """async: workers push under one lock (A3C). sync: one update with the gradients of all, bit-reproducible. serial:
    no processes, for debugging (needs --workers 1)."""
    reduce: Literal["auto", "ordered", "all_reduce"] = "auto"
    """How a group that torchrun started adds up gradients. ordered: worker 0 does, in order (equal bit for bit to one
    machine); all_reduce: all together (equal to rounding); auto: ordered up to 8 workers."""
    workers: int = 2
    """Worker processes, one thread each."""
    envs_per_worker: int = 16
    """Environments that each worker steps together."""
    segment_length: int = 64
    """N: steps of every environment between two updates; 0: until the episode ends (Monte Carlo). ppo has 256 by
    default where actions are numbers."""
    stop_at_episode_end: bool = False
    """End a segment where its episode ends, if that comes before N steps; needs --envs-per-worker 1."""
    total_env_steps: int = 1_500_000
    """Environment transitions to train on, over all workers. The last segment is finished, so a few more are made."""
    max_seconds: float = 0.0
    """Most seconds of training, if they pass before --total-env-steps; 0: no limit. The learning rate is annealed over
    env steps."""
    max_cpu_seconds: float = 0.0
    """Most CPU seconds of all workers together, if they pass before --total-env-steps; 0: no limit."""
    stop_when_solved: bool = False
    """End the run once the environment's reward threshold is reached and fresh episodes (--eval-episodes) confirm it;
    the run keeps the parameters of that moment."""
    reward_threshold: float | None = None
    """Mean episode return that counts as solved, in the place of the one that the environment registers."""
    seed: int = 1
    """Seeds parameters, environments and action noise; every environment has its own random numbers."""
    worker_timeout: float = 300.0
    """Seconds without a step of its environments after which a worker counts as hung and is ended. In a group that
    torchrun started, a worker must complete a whole segment in that time."""
    restart_workers: int = 0
    """How many workers that died, failed or hung are replaced before such a worker ends the run; needs --mode async."""
