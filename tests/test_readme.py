"""The README says nothing that the repository does not have."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BUGS = (ROOT / "tests" / "README.md").read_text()
GUARDS = re.findall(r"^\|[^|]+\| \[[^]]+#\d+\]\(https:.+\) \| \[(test_\w+)\]\(([\w/]+\.py)\) \|$", BUGS, re.MULTILINE)


def test_every_bug_of_the_table_has_a_test_of_that_name():
    assert len(GUARDS) >= 33
    for test, file in GUARDS:
        assert f"\ndef {test}(" in (ROOT / "tests" / file).read_text(), f"tests/{file} has no {test}"


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)\)", README))))
def test_every_file_it_links_is_there(link):
    assert (ROOT / link).exists()


def test_every_experiment_and_make_target_it_names_is_there():
    experiments = set(re.findall(r"-m experiments\.([\w.]+\w)", README))
    assert experiments >= {"train", "compare_cores", "compare_runs", "carry_ablation", "evaluate", "online_vs_replay"}
    for name in experiments:
        path = ROOT / "experiments" / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
    targets = set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE))
    assert targets >= {"demo", "test"}
    makefile = (ROOT / "Makefile").read_text()
    assert [t for t in targets if not re.search(rf"^{t}:", makefile, re.MULTILINE)] == []
