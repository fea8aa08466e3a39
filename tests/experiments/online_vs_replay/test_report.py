"""The report is made from any rows."""

import base64
import re

import numpy as np
import pytest

from experiments.lab.rows import read_csv
from experiments.online_vs_replay.__main__ import Command, run
from experiments.online_vs_replay.measures import probe
from experiments.online_vs_replay.plan import PARTS
from experiments.online_vs_replay.report import curves, panels
from experiments.online_vs_replay.report.cells import markdown, words
from experiments.online_vs_replay.report.claims import ways
from experiments.online_vs_replay.report.differences import source_and_algorithm
from experiments.online_vs_replay.report.duels import BEST, duels
from experiments.online_vs_replay.report.html import html
from experiments.online_vs_replay.report.report import write_report
from experiments.online_vs_replay.report.rows import Part, read_part
from experiments.online_vs_replay.report.sections.aggregates import aggregate_table
from experiments.online_vs_replay.report.sections.carry import carry_table
from experiments.online_vs_replay.report.sections.claims import duel_table
from experiments.online_vs_replay.report.sections.compared import arms_table, shared_settings
from experiments.online_vs_replay.report.sections.headline import final_table, headline, what
from experiments.online_vs_replay.report.sections.learning_rates import learning_rate_table, with_tuned
from experiments.online_vs_replay.report.sections.prices import bytes_table, overtaking_table
from experiments.online_vs_replay.report.sections.solved import solved_table
from experiments.online_vs_replay.report.sections.staleness import staleness_table
from experiments.online_vs_replay.report.sections.tuning import tuning_table
from experiments.online_vs_replay.report.sections.workers import workers_table
from experiments.online_vs_replay.settings import RESULTS
from tests.support.finished_runs import REPLAY, cell, write

SIX = ("q lstm zero", "q lstm stored burn in", "q lstm online", "a2c lstm replay", "a2c mlp", "a2c lstm")


def a_study(seeds=4, tasks=("CartPole", "masked", "recall 4", "recall 24"), arms=SIX):
    """Rows of all parts."""
    moments = [
        {
            "true_first": 0.5,
            "age_mean": 3.0,
            "r2_cart": 0.25,
            "r2_pole": 0.75,
            "bytes": 1e6,
            **{f"memory_{k}": 0.1 for k in (1, 2, 4, 8, 16)},
        }
    ]
    some = {"solved": (100, 2, 0.5), "after": 0.5, "moments": moments}
    values = np.linspace(0.2, 0.4, seeds)
    return {
        "grid": [run for task in tasks for arm in arms for run in cell(arm, values, task, **some)],
        "learning-rates": cell("a2c lstm", values, "masked", "0.25", **some),
        "sequence-lengths": cell("a2c lstm", values, "recall 24", "8", **some),
        "buffer-age": cell(REPLAY, values, "masked", "4000", **some),
        "carry": cell("a2c lstm", values, "recall 4", "zeroed", **some),
        "workers": cell("a2c lstm", values, "masked", "2", **some),
    }


def write_study(out, study):
    for part, runs in study.items():
        (out / part).mkdir(parents=True)
        write(out / part, runs)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with rows of all parts and their report; nobody writes to it."""
    out = tmp_path_factory.mktemp("study")
    write_study(out, a_study())
    (out / "tuning").mkdir()
    write(out / "tuning", cell("a2c lstm", [0.5], "masked", "0"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curves, "POINTS", 5)
        patch.setattr(curves, "RESAMPLES", 20)
        patch.setattr(probe, "controls", lambda: {"observation": (0.01, -0.5), "two observations": (0.6, 0.4)})
        write_report(out, with_html=True)
    return out


@pytest.mark.slow
def test_the_report_has_all_parts_and_names_what_is_missing(written):
    text = (written / "report.md").read_text()
    assert re.findall(r"^## (.*)$", text, re.M) == [
        "Headline",
        "What is compared",
        "The claims, one by one",
        "Solved, and what came after",
        "Against CPU seconds and gradient steps",
        "Over all tasks",
        "How stale the states are",
        "What the memory holds",
        "The price of a step",
        "Robustness to the learning rate",
        "Why: length of sequences",
        "Why: age of the buffer",
        "Why: carrying the state",
        "Why: workers",
        "Tuning",
        "How to make all of it",
    ]
    missing = text.splitlines()[-1]
    assert missing.startswith("Not trained yet: flickering (grid), recall 48 (grid), a2c mlp 2 frames (grid)")
    pictures = set(re.findall(r"!\[\S+\]\((\S+)\)", text)) | {"headline.png"}
    assert pictures == {file.name for file in written.glob("*.png")} and len(pictures) == 10


@pytest.mark.slow
def test_the_tables_of_the_report_are_those_of_the_rows(written):
    text, grid = (written / "report.md").read_text(), read_part(written / "grid")
    for table in (
        final_table(grid),
        aggregate_table(grid),
        duel_table(duels(grid)),
        overtaking_table(grid),
        *(solved_table(grid, task) for task in grid.tasks()),
        *(staleness_table(grid, task) for task in grid.tasks()),
        learning_rate_table(with_tuned(grid, read_part(written / "learning-rates"))),
        bytes_table(grid),
        carry_table(grid, read_part(written / "carry")),
        workers_table(read_part(written / "workers")),
        tuning_table(read_csv(written / "tuning" / "runs.csv")),
    ):
        assert len(table) > 1 and markdown(table) in text
    for finding in (*headline(grid), *source_and_algorithm(grid), *ways(grid)):
        assert finding.sentence() in text or f"| {finding.claim} | {finding.numbers} | {finding.verdict} |" in text
    assert "\n1. The best online agent ends higher" in text and "\n3. Online (a2c lstm) ends higher" in text
    assert markdown(duel_table(duels(grid, sides=BEST), with_agents=True)) in text
    assert "| two observations | 0.60 | 0.40 |" in text and "| observation | 0.01 | -0.50 |" in text
    assert f"| {REPLAY} | 0.25 | 0.75 |" in text


@pytest.mark.slow
def test_the_html_page_needs_nothing_else_and_says_the_same(written):
    page, text = (written / "report.html").read_text(), (written / "report.md").read_text()
    sources = re.findall(r'src="([^"]*)"', page)
    names = re.findall(r"!\[\S+\]\((\S+)\)", text)
    assert len(sources) == len(names) == 9
    for source, name in zip(sources, names, strict=True):
        kind, _, data = source.partition(",")
        assert kind == "data:image/png;base64" and base64.b64decode(data) == (written / name).read_bytes()
    outside = re.sub(r'src="[^"]*"', "", page)
    assert not re.search(r"https?:|<link|<script|@import|url\(", outside) and page.count("<style>") == 1
    cells = [
        part.strip()
        for row in text.splitlines()
        if row.startswith("| ") and "---" not in row
        for part in row.strip("| ").split(" | ")
    ]
    shown = [
        re.sub("<[^>]*>", "", found).replace("&gt;", ">").replace("&lt;", "<")
        for found in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", page)
    ]
    assert shown == cells and page.count("<h2>") == 16


def test_arms_are_described_by_network_and_source_of_data():
    table = arms_table(
        [
            "a2c mlp oracle",
            "a2c mlp 2 frames",
            "q mlp",
            "q lstm transitions",
            "q lstm zero",
            "q lstm stored burn in",
            "q lstm episodes",
            "a2c lstm replay",
            "a2c rtu gradient",
            "a2c lstm 8",
        ]
    )
    assert [row[1:4] for row in table[1:]] == [
        ["mlp, nothing hidden", "actor and critic", "segments of 32 steps as they come"],
        ["mlp, two frames", "actor and critic", "segments of 32 steps as they come"],
        ["mlp", "values of actions", "a buffer, single steps"],
        ["lstm", "values of actions", "a buffer, single steps, each from a fresh state"],
        ["lstm", "values of actions", "a buffer, 32 steps from zeros"],
        ["lstm", "values of actions", "a buffer, 32 steps from the state that the actor stored 8 steps before them"],
        ["lstm", "values of actions", "a buffer, whole episodes 32 steps at a time, the state carried"],
        ["lstm", "actor and critic", "a buffer, 32 steps from the state that the actor stored 8 steps before them"],
        ["rtu, its gradient carried", "actor and critic", "segments of 32 steps as they come"],
        ["lstm", "actor and critic", "segments of 8 steps as they come"],
    ]
    assert [row[4] for row in table[1:3]] == ["learning rate 0.003"] * 2
    shared = shared_settings()
    assert shared.startswith("Runs have 500k env steps, on recall 300k. All have one layer of 64 and a core of 64")
    assert "32 environments in one process (128 with segments of 8), 25 evaluations" in shared
    assert "Actor-critics see 0.05 of CartPole's rewards and clip gradients at 1, Q-learning sees 0.1 and" in shared


def test_a_table_of_sentences_is_aligned_left_and_one_of_numbers_right():
    table = [["a", "b"], ["x", "1"]]
    assert markdown(table) == "| a | b |\n| --- | ---: |\n| x | 1 |" and "---:" not in words(table)


def test_a_picture_that_is_not_there_is_an_error_and_not_a_gap(tmp_path):
    with pytest.raises(FileNotFoundError):
        html("x", "![x.png](x.png)", tmp_path)


@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=[] if part == "grid" else pytest.mark.slow) for part in PARTS]
)
def test_a_part_alone_makes_a_report_and_one_without_it_does_too(part, monkeypatch, tmp_path):
    monkeypatch.setattr(probe, "controls", lambda: {})
    monkeypatch.setattr(panels, "write_figure", lambda _figure, file: file.write_bytes(b"picture"))
    study = a_study(seeds=1, tasks=("recall 4",))
    write_study(tmp_path / "alone", {part: study[part]})
    write_study(tmp_path / "without", {name: runs for name, runs in study.items() if name != part})
    for folder in ("alone", "without"):
        (tmp_path / folder / "tuning").mkdir()
        write_report(tmp_path / folder)
        said = (tmp_path / folder / "report.md").read_text().splitlines()[-1]
        assert said.startswith("Not trained yet: tuning, ")
        assert (part in re.split("[:,.] ?", said.replace(": ", ", ").replace(", ", ","))) == (folder == "without")


def test_a_report_with_rtus_has_their_section_and_all_pictures_that_it_shows(monkeypatch, tmp_path):
    monkeypatch.setattr(probe, "controls", lambda: {})
    monkeypatch.setattr(panels, "write_figure", lambda _figure, file: file.write_bytes(b"picture"))
    arms = ("a2c lstm", REPLAY, "a2c rtu", "a2c rtu gradient", "a2c rtu gradient 8")
    write_study(tmp_path, {"grid": a_study(seeds=1, tasks=("recall 48",), arms=arms)["grid"]})
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "\n## Carrying the gradient\n" in text and "| a2c rtu gradient | 0.20, 1 of 1 | 0.20, 1 of 1 |" in text
    shown = set(re.findall(r"!\[\S+\]\((\S+)\)", text))
    assert shown | {"headline.png"} == {file.name for file in tmp_path.glob("*.png")} and "horizon.png" in shown
    missing = text.splitlines()[-1]
    assert "q rtu episodes (grid)" in missing and "a2c rtu gradient (grid)" not in missing


def test_no_rows_at_all_are_refused_in_one_line_and_nothing_is_written(tmp_path):
    with pytest.raises(
        ValueError, match=r"^--out \S+: it holds no rows of any part, see --help for how to train them$"
    ):
        write_report(tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command_prints_the_headline_table_and_writes_html_on_demand(tmp_path, capsys):
    write_study(tmp_path, {"grid": [*cell("a2c lstm", [0.5]), *cell(REPLAY, [0.25])]})
    run(Command(part="report", out=tmp_path))
    said = capsys.readouterr().out
    assert said.startswith(markdown(final_table(read_part(tmp_path / "grid"))))
    assert "not decided: too few seeds" in (tmp_path / "report.md").read_text()
    assert not (tmp_path / "report.html").exists()
    run(Command(part="report", out=tmp_path, html=True))
    assert (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_the_committed_report_is_drawn_again_from_the_committed_rows(tmp_path):
    for part in (*PARTS, "tuning"):
        (tmp_path / part).mkdir()
        for file in (RESULTS / part).glob("*.csv"):
            (tmp_path / part / file.name).write_bytes(file.read_bytes())
    run(Command(part="report", out=tmp_path))
    assert (tmp_path / "report.md").read_bytes() == (RESULTS / "report.md").read_bytes()


def test_runs_that_their_limit_stopped_are_counted():
    runs = cell("a2c lstm", [0.5] * 3)
    assert what(Part(runs)) == "3 runs: 1 arms on 1 tasks, 3 seeds each."
    assert "1 of them were stopped" in what(Part([runs[0]._replace(ended="max_cpu_seconds"), *runs[1:]]))
