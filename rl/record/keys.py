"""The names of what is logged. Nothing else knows them."""

from typing import NamedTuple

from rl.shared.rows import Row

STEP = "global_step"
_OTHERWISE = {  # what is logged of updates and is no loss, or is called otherwise by others
    "clip_fraction": "losses/clipfrac",
    "learning_rate": "charts/learning_rate",
    "staleness": "worker/staleness",
    "state_age": "replay/state_age",
}


class Evaluation(NamedTuple):
    """Mean returns of the parameters of one moment."""

    env_steps: int  # of that moment
    cpu_seconds: float
    greedy: float
    sampled: float


def row_as_keys(
    row: Row, evaluation: Evaluation | None = None, worker_restarts: int | None = None
) -> dict[str, float | None]:
    """A row under the keys of CleanRL, so that runs of both overlay in one W&B project.

    Means are over the interval, and their counts are `charts/episodes` and `losses/updates`. Means of an interval
    without an episode, or without an update, are left out; None stands for a measure that was undefined in all updates.
    """
    keys = {
        STEP: row.env_steps,
        "time/seconds": row.seconds,
        "time/cpu_seconds": row.cpu_seconds,
        "charts/SPS": row.interval_env_steps / max(row.interval_seconds, 1e-9),
        "charts/episodes": row.episodes,
        **{_OTHERWISE.get(name, f"losses/{name}"): value for name, value in row.losses.items()},
        "losses/updates": row.updates,
    }
    if row.episodes:
        keys |= {"charts/episodic_return": row.episode_return, "charts/episodic_length": row.episode_length}
        keys |= {f"info/{name}": value for name, value in row.infos.items()}
    if evaluation:
        keys |= {
            "eval/global_step": evaluation.env_steps,
            "eval/cpu_seconds": evaluation.cpu_seconds,
            "eval/episodic_return": evaluation.greedy,
            "eval/episodic_return_sampled": evaluation.sampled,
        }
    if worker_restarts is not None:
        keys["worker/restarts"] = worker_restarts
    return keys
