"""The page of claims: verdicts follow from the rows, in both directions."""

import sys

import pytest

from experiments.chapter5 import claims as chapter_claims
from experiments.chapter5.claims import SOURCES, asynchronous, batched, bias_and_variance, learning, loss
from experiments.lab.rows import append_csv
from experiments.lab.statistics import compared


def runs(arm, values, **more):
    """Rows of an arm, a seed for each value."""
    return [
        {
            "arm": arm,
            "seed": str(seed),
            "final_length": str(value),
            "seconds": "2.0",
            "staleness": "1.5",
            "loss_rank_correlation": "0.0",
            **more,
        }
        for seed, value in enumerate(values)
    ]


def errors(bias, variance):
    """Rows of one stage with N = 1, 10, MC: squared biases and variances."""
    return [
        {"seed": "1", "env_steps": "7000", "N": name, "squared_bias": str(b), "variance": str(v)}
        for name, b, v in zip(("1", "10", "MC"), bias, variance, strict=True)
    ]


def speeds(**by_cost):
    """Rows of one process and two workers: env steps a second at 0 and 10 ms."""
    return [
        {"arm": arm, "compute_ms": cost, "sps": str(sps)}
        for cost, pair in by_cost.items()
        for arm, sps in zip(("one process", "async 2 workers"), pair, strict=True)
    ]


LOW, HIGH = [10.0, 11, 12, 13, 14], [20.0, 21, 22, 23, 24]


def tables():
    """A chapter that is right in everything."""
    arms = runs("N = 10", HIGH) + runs("Monte Carlo", LOW) + runs("N = 1", LOW)
    figures = [f"{arm} {version}" for arm in ("N-step", "Monte Carlo") for version in ("as printed", "repaired")]
    modes = [f"{mode} {workers} workers" for mode in ("async", "sync") for workers in (2, 8)]
    return {
        "n_step_error": errors((9.0, 4.0, 0.0), (1.0, 4.0, 9.0)),
        "n_steps": arms,
        "first_45_seconds": [row for arm in figures for row in runs(arm, HIGH if "N-step" in arm else LOW)],
        "ways_to_distribute": [
            row for arm in [*modes, "one process", "one process 8 x learning rate"] for row in runs(arm, HIGH)
        ],
        "policy_gradients": runs("online", LOW),
        "repairs": runs("as printed", LOW),
        "speed": speeds(**{"0": (900, 300), "10": (100, 200)}),
    }


def test_n_step_between_the_two_in_bias_and_in_variance_holds_and_either_out_of_order_does_not():
    """Roots of 9, 4, 0 and of 1, 4, 9."""
    found = bias_and_variance(tables())
    assert found.verdict == "holds"
    assert found.evidence.endswith("after 7,000 env steps bias 3.00, 2.00, 0.00 and deviation 1.00, 2.00, 3.00")
    for bias, variance in (((4.0, 9.0, 0.0), (1.0, 4.0, 9.0)), ((9.0, 4.0, 0.0), (1.0, 9.0, 4.0))):
        assert bias_and_variance({"n_step_error": errors(bias, variance)}).verdict == "does not hold at every stage"


@pytest.mark.parametrize(
    ("ten", "verdict"), [(HIGH, "holds"), (LOW, "not decided by these seeds"), ([1.0] * 5, "the opposite holds")]
)
def test_learning_faster_is_decided_by_whether_the_interval_excludes_one_half(ten, verdict):
    given = tables()
    given["n_steps"] = runs("N = 10", ten) + runs("Monte Carlo", LOW) + runs("N = 1", LOW)
    found = learning(given)
    assert [one.verdict for one in found[:2]] == [verdict] * 2
    assert len(found) == 4 and {one.verdict for one in found[2:]} == {"holds"}
    assert "N-step 22 [" in found[2].evidence and "Monte Carlo 12 [" in found[2].evidence  # middle of 20 to 24


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        (HIGH, "not decided by these seeds"),
        (LOW, "does not hold: worse than sync"),
        ([30.0] * 5, "holds: better than sync"),
    ],
)
def test_async_works_well_unless_it_is_worse_than_sync(values, verdict):
    given = tables()
    given["ways_to_distribute"] = [row for row in given["ways_to_distribute"] if "async" not in row["arm"]]
    given["ways_to_distribute"] += runs("async 2 workers", values) + runs("async 8 workers", values)
    found = asynchronous(given)
    assert [one.verdict for one in found[:2]] == [verdict] * 2
    assert "gradients 1.5 updates old" in found[0].evidence


def test_one_process_is_the_alternative_where_it_is_faster_with_cheap_steps_and_slower_with_dear_ones():
    with_one = speeds(**{"0": (900, 300), "10": (100, 200)})  # one worker, too, is one process
    with_one += [{"arm": "async 1 worker", "compute_ms": "0", "sps": "950"}]
    found = batched({"speed": with_one})
    assert found.verdict == (
        "holds: 3.00 times the speed of the best workers where steps are cheap and 0.50 where they are dear, which is "
        "6.0 and 1.0 times that of one of these workers"
    )
    assert "at 10 ms a step 100 against 200 (async 2 workers)" in found.evidence
    for one_process, verdict in (
        (310, "holds for each CPU, not for the machine: 1.03"),
        (200, "holds for each CPU, not for the machine: 0.67"),
        (150, "does not hold here"),
    ):
        slow = tables() | {"speed": speeds(**{"0": (one_process, 300), "10": (100, 200)})}
        assert batched(slow).verdict.startswith(verdict)


@pytest.mark.parametrize(
    ("online", "n_step", "verdict"),
    [
        ("-0.9", "-0.6", "does not hold: the loss falls as the agent improves"),
        ("0.9", "0.6", "does not hold as said: the loss tells, but it rises as the agent improves"),
        ("0.9", "-0.9", "holds: what the loss does while the agent improves depends on the system"),
        ("0.1", "-0.2", "holds: what the loss does while the agent improves depends on the system"),
    ],
)
def test_the_loss_tells_nothing_unless_it_goes_one_way_in_every_system(online, n_step, verdict):
    found = loss(
        {
            "policy_gradients": runs("reinforce", LOW, loss_rank_correlation=online) + runs("online", LOW),
            "n_steps": runs("N = 10", LOW, loss_rank_correlation=n_step),
        }
    )
    assert found.verdict == verdict
    assert (
        "online" not in found.evidence
        and f"reinforce {float(online):+.2f}" in found.evidence
        and f"N = 10 {float(n_step):+.2f}" in found.evidence
    )


def run_main(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["chapter_claims", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        chapter_claims.main()
    return end.value.code


def test_the_page_has_a_row_for_each_finding_and_a_study_without_rows_is_named_in_one_line(
    monkeypatch, capsys, tmp_path
):
    given = tables()
    for study, rows in given.items():
        folder, file = ("ways_to_distribute", "speed.csv") if study == "speed" else (study, SOURCES[study])
        (tmp_path / folder).mkdir(exist_ok=True)
        append_csv(tmp_path / folder / file, rows)
    assert run_main(monkeypatch, "--results", tmp_path, "--out", tmp_path / "page") == 0
    lines = (tmp_path / "page" / "claims.md").read_text().splitlines()
    assert [line.split()[1] for line in lines if line.startswith("| ") and "claim of" not in line] == [
        "1a.",
        "1b.",
        "1b.",
        "1c.",
        "1c.",
        "2.",
        "2.",
        "2.",
        "4.",
        "5.",
    ]
    capsys.readouterr()
    (tmp_path / "repairs" / "runs.csv").unlink()
    assert run_main(monkeypatch, "--results", tmp_path / "nowhere") == 2
    assert capsys.readouterr().err == f"error: --results {tmp_path / 'nowhere'}: there is no such folder\n"
    assert run_main(monkeypatch, "--results", tmp_path) == 2
    assert capsys.readouterr().err == (
        f"error: --results {tmp_path}: no rows of repairs; "
        f"python -m experiments.chapter5.repairs --seeds 10 --out {tmp_path / 'repairs'} makes them\n"
    )


def test_rows_of_different_options_are_not_one_sample(tmp_path):
    for study, rows in tables().items():
        folder, file = ("ways_to_distribute", "speed.csv") if study == "speed" else (study, SOURCES[study])
        (tmp_path / folder).mkdir(exist_ok=True)
        append_csv(tmp_path / folder / file, [row | {"digest": "a"} for row in rows])
    assert chapter_claims.read(tmp_path)
    append_csv(tmp_path / "repairs" / "runs.csv", [runs("as printed", [50.0])[0] | {"digest": "b"}])
    with pytest.raises(ValueError, match=r"rows of repairs, as printed, are of different options; keep one kind$"):
        chapter_claims.read(tmp_path)


@pytest.mark.parametrize(("seeds", "sign"), [(1, 0), (3, 0), (4, 1), (10, 1)])
def test_fewer_than_4_seeds_decide_nothing_however_far_apart(seeds, sign):
    """Of 3 against 3 full separation happens once in ten by chance, and its bootstrap interval would be [1, 1]."""
    words, got = compared([100.0 + seed for seed in range(seeds)], [1.0 + seed for seed in range(seeds)])
    assert got == sign and words.endswith("(too few seeds to tell)") == (sign == 0)
