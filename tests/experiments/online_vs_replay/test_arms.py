"""The arms with an RTU and with segments of 8 differ from the others in what they are named by; tuning comes first."""

from dataclasses import asdict

import pytest

from experiments.lab.digest import digest
from experiments.lab.rows import read_csv, write_csv
from experiments.lab.study import Study
from experiments.online_vs_replay.__main__ import Command, run
from experiments.online_vs_replay.arms import ARMS, config_of
from experiments.online_vs_replay.plan import PARTS, chosen
from experiments.online_vs_replay.settings import RESULTS, is_tuned
from experiments.online_vs_replay.tasks import TASKS
from experiments.online_vs_replay.tune import trials


def test_segments_of_8_have_as_many_steps_an_update_and_the_other_settings_of_the_same_trial():
    """8 · 128 = 32 · 32, 8 · 64 = 32 · 16 and 8 · 32 = 32 · 8."""
    for name in ("a2c lstm", "a2c rtu", "a2c rtu gradient"):
        for long, short in zip(ARMS[name].trials, ARMS[f"{name} 8"].trials, strict=True):
            pair = [
                config_of(TASKS["recall 48"], ARMS[arm], trial) for arm, trial in ((name, long), (f"{name} 8", short))
            ]
            assert [config.segment_length for config in pair] == [32, 8]
            steps = [config.segment_length * config.envs_per_worker for config in pair]
            assert steps[0] == steps[1] in (1024, 512, 256)
            first, second = (asdict(config) for config in pair)
            assert {key for key in first if first[key] != second[key]} == {"segment_length", "envs_per_worker"}


def test_arms_of_a_core_differ_in_what_is_carried_and_in_nothing_else():
    def options(name):
        return asdict(config_of(TASKS["recall 48"], ARMS[name], {}))

    def differing(one, other):
        one, other = options(one), options(other)
        return {key: (one[key], other[key]) for key in one if one[key] != other[key]}

    assert differing("a2c rtu", "a2c rtu gradient") == {"carry_gradient": (False, True)}
    assert differing("a2c rtu 8", "a2c rtu gradient 8") == {"carry_gradient": (False, True)}
    for end in ("", " 8"):
        assert differing(f"a2c lstm{end}", f"a2c rtu{end}") == {"core": ("lstm", "rtu")}
    for way in ("stored burn in", "episodes"):
        assert differing(f"q lstm {way}", f"q rtu {way}") == {"core": ("lstm", "rtu")}
        assert ARMS[f"q rtu {way}"].trials == ARMS[f"q lstm {way}"].trials
    assert ARMS["a2c rtu"].trials == ARMS["a2c rtu gradient"].trials == ARMS["a2c lstm"].trials


def test_every_committed_row_has_the_options_that_its_run_would_have_now():
    """800 runs of the grid, 511 of the other parts and 192 of tuning: none is trained again."""
    counts = {}
    for part in (*PARTS, "tuning"):
        planned = trials(list(ARMS)) if part == "tuning" else chosen(part)
        digests = {name: digest(*arm) for name, arm in planned.items()}
        rows = read_csv(RESULTS / part / "runs.csv")
        assert [row["arm"] for row in rows if row["digest"] != digests[row["arm"]]] == []
        counts[part] = len(rows)
    assert counts.pop("grid") >= 800 and counts.pop("tuning") >= 192 and sum(counts.values()) >= 511


@pytest.mark.parametrize("left_out", [0, 7, 15])
def test_an_arm_is_tuned_when_each_of_its_16_runs_has_its_row(left_out, tmp_path):
    planned = list(trials(["a2c rtu"]))
    assert len(planned) == 16 and not is_tuned("a2c rtu", tmp_path)
    (tmp_path / "tuning").mkdir()
    rows = [{"arm": name, "seed": 901} for name in planned]
    write_csv(tmp_path / "tuning" / "runs.csv", [row for row in rows if row["arm"] != planned[left_out]])
    assert not is_tuned("a2c rtu", tmp_path)
    write_csv(tmp_path / "tuning" / "runs.csv", rows)
    assert is_tuned("a2c rtu", tmp_path) and not is_tuned("a2c rtu gradient", tmp_path)


def test_arms_that_are_not_tuned_are_refused_in_one_line_before_anything_is_trained(monkeypatch, tmp_path):
    monkeypatch.setattr(Study, "complete", lambda _study: pytest.fail("trained"))
    monkeypatch.setattr("experiments.online_vs_replay.plan.is_tuned", lambda name: name not in ("a2c rtu", "q mlp"))
    with pytest.raises(
        ValueError, match=r"^--arms 'q mlp,a2c rtu': not tuned yet; python -m \S+\.tune --arms 'q"
    ) as raised:
        run(Command(tasks="masked,recall 4", out=tmp_path / "out"))
    assert "\n" not in str(raised.value) and not (tmp_path / "out").exists()


def test_the_gradient_reaches_32_steps_back_at_most_where_it_is_not_carried():
    assert [name for name in ARMS if config_of(TASKS["masked"], ARMS[name], {}).carry_gradient] == [
        "a2c rtu gradient",
        "a2c rtu gradient 8",
    ]
    for name, arm in ARMS.items():
        for settings in arm.trials:
            config = config_of(TASKS["masked"], arm, settings)
            if config.replays:
                assert config.trained_rows == (1 if "transitions" in name or name == "q mlp" else 32)
            else:
                assert config.segment_length <= 32
