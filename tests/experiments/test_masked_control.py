"""Continuous control from positions: who sees what, and a page and a figure from rows alone."""

from experiments.lab.learning_curves import RETURN
from experiments.masked_control import BETWEEN, SEES_ALL, arms, figure, page
from rl.algorithms import ALGORITHMS
from rl.config import Config


def test_arms_differ_in_what_they_see_and_in_their_memory_alone():
    found, default = arms(), vars(Config(**ALGORITHMS["ppo"].box_defaults))
    assert len(found) == 15
    own = {"env", "core", "frame_stack", "total_env_steps", "log_interval", "checkpoint_interval", "eval_episodes"}
    for name, (config, _) in found.items():
        assert {option for option, value in vars(config).items() if value != default[option]} <= own, name
        assert config.algorithm == "ppo"
        assert config.env.startswith("MaskedVelocity") is not name.endswith(SEES_ALL)


def test_page_and_figure_are_made_from_rows_and_points_alone(tmp_path):
    names = [f"Pendulum{BETWEEN}gru", f"Pendulum{BETWEEN}mlp"]
    returned = {names[0]: -200, names[1]: -1200}
    rows = [
        {"arm": arm, "seed": seed, "sampled": str(returned[arm] + int(seed)), "greedy": "-100", "cpu_minutes": "1.5"}
        for arm in names
        for seed in ("1", "2", "3")
    ]
    text = page(rows)
    assert "| Pendulum | gru | 3 | -198 (-199 to -197) | -100 (-100 to -100) | 1.5 |" in text
    points = [
        {"arm": arm, "seed": seed, "global_step": str(step), RETURN: str(returned[arm] + step / 100)}
        for arm in names
        for seed in ("1", "2", "3")
        for step in range(1000, 11_000, 1000)
    ]
    figure(rows, points, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000
