"""Where the time of an env step goes."""

import json

import pytest

from experiments.speed.profile import PARTS, Command, page, run


@pytest.mark.parametrize("preset", ["", "masked-cartpole"])
def test_every_part_takes_some_time_and_all_of_them_together_the_time_of_a_trained_env_step(tmp_path, preset):
    run(Command(preset=preset, seconds=0.05, out=tmp_path))
    found = json.loads((tmp_path / "profile.json").read_text())
    assert set(found["microseconds"]) == set(PARTS) and min(found["microseconds"].values()) > 0
    assert sum(found["microseconds"].values()) == pytest.approx(1e6 / found["trained"])
    assert 0 < found["trained"] < found["own"]


def test_the_page_has_shares_and_the_ratio_to_the_environments_own_speed():
    spent = {"environment": 60.0, "acting": 10.0, "learning": 25.0, "update": 5.0}
    text = page({"env": "Catch-v0", "own": 20_000.0, "trained": 10_000.0, "microseconds": spent})
    assert "| environment | 60.0 | 60% |" in text and "| learning | 25.0 | 25% |" in text
    assert "Catch-v0: 10,000 trained env steps a CPU second, 0.50 of the environment's own 20,000" in text


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"preset": "slow"}, "--preset 'slow': one of masked-cartpole, fast,"),
        ({"seconds": 0.0}, "--seconds 0.0: a number above 0 is needed"),
    ],
)
def test_what_cannot_work_is_one_line(options, line):
    with pytest.raises(ValueError) as error:
        run(Command(**options))
    assert str(error.value).startswith(line)
