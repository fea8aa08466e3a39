"""What the chapter's studies keep of a finished run: episode lengths, while it learns and at the end."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from experiments.lab.digest import digest
from experiments.lab.records import Record, mean_staleness, read_record
from experiments.lab.rows import Row, read_csv
from experiments.lab.statistics import rank_correlation
from experiments.lab.study import Study
from experiments.lab.tables import scores
from rl.config import Config
from rl.loop import Overrides

LAST_SHARE = 0.2  # of the env steps of a run: its end
EVALUATION_EPISODES = 100
CURVE = {  # column of curves.csv: name in the rows of a record
    "env_steps": "global_step",
    "updates": "updates",
    "seconds": "time/seconds",
    "length": "charts/episodic_length",
    "loss": "loss",
}


def length_result(config: Config, overrides: Overrides) -> tuple[Row, dict[str, list[Row]]]:
    """One finished run: its row, and the points of its learning curve.

    A last interval of less than half the usual env steps gives no point, since it has too few episodes.
    `final_length` is the mean length of the episodes that ended in the last fifth of the env steps; greedy_length and
    sampled_length are those of 100 fresh episodes of CartPole-v1 with the final parameters.
    """
    import envs
    from rl.acting.evaluate import evaluate
    from rl.record.saved_agent import load_agent

    run = read_record(config.run_dir)
    points, updates = [], 0
    for before, row in pairwise([{"global_step": 0}, *run.rows]):
        updates += row["losses/updates"]
        whole = row["global_step"] - before["global_step"] >= config.log_interval / 2
        if whole and "charts/episodic_length" in row:
            points.append(
                {
                    "env_steps": row["global_step"],
                    "updates": updates,
                    "seconds": round(row["time/seconds"], 3),
                    "length": round(row["charts/episodic_length"], 2),
                    "loss": float(f"{loss_of(row, config):.4g}"),
                }
            )
    late = [row for row in run.rows if row["global_step"] > (1 - LAST_SHARE) * run.summary["env_steps"]]
    episodes = [(row["charts/episodes"], row["charts/episodic_length"]) for row in late if row["charts/episodes"]]
    agent, _, _ = load_agent(config.run_dir, envs.make_vector)
    plain = replace(config, env="CartPole-v1", env_arg=())
    greedy, sampled = (
        evaluate(agent, plain, envs.make_vector, EVALUATION_EPISODES, greedy, seed=config.seed, offset=offset).mean()
        for greedy, offset in ((True, 10_000), (False, 20_000))
    )
    losses, lengths = ([point[name] for point in points] for name in ("loss", "length"))
    row = {
        "digest": digest(config, overrides),
        "env_steps": run.summary["env_steps"],
        "updates": run.summary["updates"],
        "seconds": round(run.summary["seconds"], 3),
        "final_length": round(sum(n * length for n, length in episodes) / max(1, sum(n for n, _ in episodes)), 3),
        "greedy_length": round(float(greedy), 2),
        "sampled_length": round(float(sampled), 2),
        "staleness": round(mean_staleness(run.summary["staleness"]), 3),
        # A limit in seconds may leave fewer than two points.
        "loss_rank_correlation": round(rank_correlation(losses, lengths), 4) if len(points) > 1 else 0.0,
    }
    return row, {"curves": points}


def loss_of(row: Row, config: Config) -> float:
    """The loss of a row of the record, a mean over steps."""
    policy, value, entropy = (row[f"losses/{name}"] for name in ("policy_loss", "value_loss", "entropy"))
    return policy + config.value_coefficient * value - config.entropy_coefficient * entropy


def final_lengths(rows: list[Row], arm: str) -> list[float]:
    """The episode length at the end of each seed of an arm, in the order of seeds."""
    return scores(rows, arm, "final_length")


def curves_of(study: Study) -> dict[str, list[Record]]:
    """The learning curves of a study's arms and seeds, as records that figures can draw."""
    points: dict[tuple[str, int], list[Row]] = {key: [] for key in study.planned}
    for point in read_csv(study.out / "curves.csv"):
        key = point["arm"], int(point["seed"])
        if key in points:
            points[key].append({name: float(point[column]) for column, name in CURVE.items()})
    arms: dict[str, list[Record]] = {}
    for arm, seed in points:
        arms.setdefault(arm, []).append(Record(Path(f"{arm}-s{seed}"), {"seed": seed}, points[arm, seed], {}, None))
    return arms
