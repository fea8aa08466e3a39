"""What images cost: the environments that are measured, the page, and a bad option."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from experiments.speed.images import TASKS, Command, own_speeds, page, run
from experiments.speed.pixels import Catch


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_catch_is_an_environment_of_bytes_in_which_the_paddle_under_the_ball_earns_1():
    check_env(Catch(), skip_render_check=True)
    env = Catch(side=6, channels=2)
    image, _ = env.reset(seed=0)
    assert image.shape == (6, 6, 2) and image.dtype == np.uint8 and image.sum() == 255 * 2 * 4
    earned, over = [], False
    while not over:
        action = 1 + np.sign(env.column - env.paddle)
        _, reward, over, _, _ = env.step(action)
        earned.append(reward)
    assert earned == [0, 0, 0, 0, 1]


def test_the_page_has_a_line_for_each_run():
    row = {"task": "Catch", "algorithm": "ppo", "own": 2000.4, "trained": 1500.0, "ratio": 0.75, "cpu_ratio": 1.1}
    machine = {"date": "2026-11-28T16:00", "processor": "a processor", "cpus": 2}
    lines = page({"machine": machine, "rows": [{**row, "beyond_torch": 98_000_000}]}).splitlines()
    assert lines[2].startswith("Measured on 2026-11-28: a processor, 2 CPUs.")
    assert lines[-1] == "| Catch | ppo | 2,000 | 1,500 | 0.75 | 1.10 | 98 |"


def test_the_speed_of_an_environment_alone_is_measured():
    wall, cpu = own_speeds(TASKS["Catch, 42 x 42 x 1"], 0.1)
    assert wall > 500 and cpu > 500


def test_a_task_that_there_is_not_is_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"^--tasks Pong: some of Catch, MemoryS7, MemoryS7 drawn are needed$"):
        run(Command(tasks="Pong", out=tmp_path))
    assert list(tmp_path.iterdir()) == []
