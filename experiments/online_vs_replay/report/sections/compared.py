"""What is compared: the arms, and the settings that all share."""

from pathlib import Path

from experiments.online_vs_replay.arms import ARMS, config_of
from experiments.online_vs_replay.report.cells import Blocks, Table, count, words
from experiments.online_vs_replay.report.rows import Part
from experiments.online_vs_replay.report.sections.tuning import settings
from experiments.online_vs_replay.settings import settings_of
from experiments.online_vs_replay.tasks import TASKS
from rl.config import Config


def arms_section(grid: Part, _out: Path) -> Blocks:
    """Write which arms are compared."""
    if not grid:
        return []
    return [words(arms_table(grid.arms())), shared_settings()]


def arms_table(arms: list[str]) -> Table:
    """Tabulate what each arm is, and what tuning chose for it."""
    table = [["arm", "network", "learns", "from", "tuned"]]
    for name in arms:
        config = config_of(TASKS["masked"], ARMS[name], settings_of(name))
        sight = ", nothing hidden" if ARMS[name].sees_all else ", two frames" if config.frame_stack > 1 else ""
        sight += ", its gradient carried" if config.carry_gradient else ""
        learns = "values of actions" if config.has_q_values else "actor and critic"
        table.append([name, f"{config.core}{sight}", learns, source_of(config), settings(settings_of(name))])
    return table


def source_of(config: Config) -> str:
    """Write where a learner's data comes from."""
    if not config.replays:
        return f"segments of {config.segment_length} steps as they come"
    if config.replay_way == "transitions":
        return "a buffer, single steps" + (", each from a fresh state" if config.core != "mlp" else "")
    if config.replay_way == "episodes":
        return f"a buffer, whole episodes {config.sequence_length} steps at a time, the state carried"
    start = "zeros" if config.replay_way.startswith("zero") else "the state that the actor stored"
    before = f" {config.burn_in_rows} steps before them" if config.burn_in_rows else ""
    return f"a buffer, {config.sequence_length} steps from {start}{before}"


def shared_settings() -> str:
    """Write what all runs have in common, and what those of a family have."""
    replay, online = (config_of(TASKS["masked"], ARMS[arm], {}) for arm in ("q lstm stored burn in", "a2c lstm"))
    recall, short = (config_of(TASKS["recall 48"], ARMS[arm], {}) for arm in ("a2c lstm", "a2c lstm 8"))
    return (
        f"Runs have {count(online.total_env_steps)} env steps, on recall {count(recall.total_env_steps)}. All have "
        f"one layer of {replay.torso_size} and a core of {replay.hidden_size} units (complex ones in an rtu), "
        f"γ = {replay.discount:g}, Adam (β₂ = {replay.adam_beta2:g}) with a learning rate that falls to 0, "
        f"{replay.envs_per_worker} environments in one process ({short.envs_per_worker} with segments of "
        f"{short.segment_length}), 25 evaluations of {replay.interval_episodes} episodes and {replay.eval_episodes} "
        f"fresh ones at the end, and at most {replay.max_cpu_seconds:g} CPU seconds. From a buffer: "
        f"{count(replay.replay_capacity)} steps, {replay.segment_length} steps of every environment at a time, "
        f"each learnt from {replay.replay_ratio:g} times, {replay.replay_batch} sequences an update (8 times as "
        f"many single steps), {replay.target_steps}-step targets, ε from {replay.epsilon_first:g} to "
        f"{replay.epsilon_last:g} over the environments, a target network copied every {replay.target_interval} "
        f"updates; all unless tuned. Actor-critics see {online.reward_scale:g} of CartPole's rewards and clip "
        f"gradients at {online.max_gradient_norm:g}, Q-learning sees {replay.reward_scale:g} and from a buffer "
        f"clips at {replay.max_gradient_norm:g}: no trial varied these. Every option is in "
        "experiments/online_vs_replay/arms.py."
    )
