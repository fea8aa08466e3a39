"""What W&B is told of a run: option, then variable, then default; cut where too long, left out where malformed."""

import os

import pytest
import wandb

from rl.record.wandb_names import LENGTHS, cut, in_words, names_of
from rl.record.wandb_session import key_problem, malformed_variables, mode_of, refused_variables, start
from tests.support.configs import cartpole_config

VARIABLES = {
    "project": "WANDB_PROJECT",
    "entity": "WANDB_ENTITY",
    "group": "WANDB_RUN_GROUP",
    "name": "WANDB_NAME",
    "notes": "WANDB_NOTES",
    "job_type": "WANDB_JOB_TYPE",
    "id": "WANDB_RUN_ID",
    "dir": "WANDB_DIR",
}
LONG = "tests.support.long_names:" + "a-task-with-a-very-long-name-" * 5 + "v0"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("WANDB")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def refused():
    return malformed_variables(wandb, refused_variables(wandb))


def told(tmp_path, **options):
    return names_of(cartpole_config(**options), tmp_path / "run", refused())


def test_without_options_and_variables_the_defaults_hold(tmp_path):
    arguments = told(tmp_path, seed=7).arguments
    assert arguments == {
        "project": "carryover",
        "group": "lstm-MaskedVelocityCartPole-v1",
        "name": "lstm-MaskedVelocityCartPole-v1-s7",
        "tags": ["lstm", "MaskedVelocityCartPole-v1", "async"],
        "job_type": "train",
        "dir": str(tmp_path / "run"),
        "entity": None,
        "notes": None,
        "id": None,
    }


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_comes_before_our_default(tmp_path, monkeypatch, name):
    """huggingface/transformers#24847: some of W&B's variables are obeyed and others overridden in silence."""
    monkeypatch.setenv(VARIABLES[name], "mine")
    names = told(tmp_path)
    assert names.arguments[name] == "mine" and names.sources == {name: f"{VARIABLES[name]} 'mine'"}


def test_tags_of_the_variable_are_a_list_and_empty_variables_count_as_not_set(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_TAGS", "one, two,,two")
    for name in ("WANDB_PROJECT", "WANDB_RUN_ID", "WANDB_BASE_URL", "WANDB_API_KEY"):
        monkeypatch.setenv(name, "")
    arguments = told(tmp_path).arguments
    assert arguments["tags"] == ["one", "two"] and (arguments["project"], arguments["id"]) == ("carryover", None)


def test_an_option_comes_before_a_variable(tmp_path, monkeypatch):
    for name in ("WANDB_PROJECT", "WANDB_RUN_GROUP", "WANDB_DIR"):
        monkeypatch.setenv(name, "of the variable")
    config = cartpole_config(wandb_project="p", wandb_group="g")
    arguments = names_of(config, tmp_path, {}, tmp_path / "out").arguments
    assert (arguments["project"], arguments["group"], arguments["dir"]) == ("p", "g", str(tmp_path / "out"))


def test_names_longer_than_wandb_takes_are_cut_and_stay_different(tmp_path, monkeypatch):
    """huggingface/lerobot#544: an environment's name makes a tag that W&B refuses, and the run is lost there."""
    monkeypatch.setenv("WANDB_PROJECT", "p" * 200)
    given = [told(tmp_path, env=env, wandb_group=group) for env, group in ((LONG, "g" * 300), (LONG[:-1] + "1", ""))]
    for name in ("project", "group", "name"):
        assert all(len(names.arguments[name]) == LENGTHS[name] for names in given), name
    assert all(len(tag) <= LENGTHS["tags"] for names in given for tag in names.arguments["tags"])
    assert given[0].arguments["name"] != given[1].arguments["name"] and given[0].arguments["name"].endswith("-s1")
    assert given[0].arguments["tags"] != given[1].arguments["tags"]
    wandb.Settings(run_tags=given[0].arguments["tags"], project=given[0].arguments["project"])  # W&B takes them
    assert cut("x" * 64, 64) == "x" * 64 and len(cut("x" * 65, 64)) == 64


@pytest.mark.parametrize(
    ("variable", "value", "name", "part"),
    [
        ("WANDB_PROJECT", "a/b", "project", "cannot contain"),
        ("WANDB_RUN_ID", "a/b", "id", "cannot contain"),
        ("WANDB_RUN_ID", " x", "id", "whitespace"),
    ],
)
def test_a_malformed_variable_is_left_out_and_said(tmp_path, monkeypatch, variable, value, name, part):
    monkeypatch.setenv(variable, value)
    assert part in refused()[variable]
    assert told(tmp_path).arguments[name] in (None, "carryover")


@pytest.mark.parametrize("value", ["nonsense", "ftp://host", "https://wandb.ai", " "])
def test_a_bad_address_is_called_malformed_and_an_offline_run_does_not_care(monkeypatch, value):
    """huggingface/transformers#24847: W&B does not even start offline with it."""
    monkeypatch.setenv("WANDB_BASE_URL", value)
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    for option, lines in (("offline", 0), ("auto", 1), ("online", 1)):
        said = []
        assert mode_of(option, wandb, refused(), said.append) == "offline"
        assert len(said) == lines and all(line.startswith(f"W&B: WANDB_BASE_URL {value!r} is malf") for line in said)


@pytest.mark.parametrize("key", ["short", "a" * 39, " " + "a" * 40, "a!" * 30])
def test_a_bad_key_is_called_malformed_and_is_not_shown(monkeypatch, key):
    """huggingface/transformers#24847: `no API key found` of a key that is there."""
    monkeypatch.setenv("WANDB_API_KEY", key)
    for option in ("auto", "online"):
        said = []
        assert mode_of(option, wandb, refused(), said.append) == "offline"
        [line] = said
        assert line.startswith("W&B: the API key is malformed (WANDB_API_KEY") and key.strip() not in line
    assert mode_of("offline", wandb, refused(), said.append) == "offline" and len(said) == 1


def test_a_key_of_the_netrc_file_is_found_and_a_malformed_one_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    assert key_problem(wandb, {}) == ""
    for key, problem in (("a" * 40, None), ("abc", "40+ characters")):
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1:9 login user password {key}\n")
        (tmp_path / "netrc").chmod(0o600)
        found = key_problem(wandb, {})
        assert found is problem if problem is None else problem in found


def test_every_variable_is_what_it_was_after_wandb_was_started(monkeypatch):
    for name, value in (("WANDB_BASE_URL", "nonsense"), ("WANDB_TAGS", "x" * 65), ("WANDB_MODE", "never")):
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    put_back = start(wandb, refused_variables(wandb))
    assert dict(os.environ) == before
    put_back()


@pytest.mark.parametrize(
    ("error", "options", "variables", "ending"),
    [
        (RuntimeError("gone"), {}, {}, "RuntimeError: gone"),
        (ValueError("Tag 'x' is 85 characters"), {}, {"WANDB_TAGS": "a"}, "; see WANDB_TAGS 'a'"),
        (ValueError("entity me not found"), {}, {"WANDB_ENTITY": "me"}, "; see WANDB_ENTITY 'me'"),
        (ValueError("project\nnot found"), {"wandb_project": "p"}, {}, "project not found; see --wandb-project 'p'"),
        (ValueError("bad group"), {}, {}, "; see --wandb-group"),
        (OSError("connection refused"), {}, {}, "; see WANDB_BASE_URL"),
        (ValueError("WANDB_API_KEY invalid"), {}, {"WANDB_API_KEY": "secret"}, "ValueError: WANDB_API_KEY invalid"),
        (ValueError("permission denied"), {}, {"WANDB_API_KEY": "secret"}, "; see WANDB_API_KEY"),
    ],
)
def test_a_failure_names_the_setting_that_it_speaks_of(tmp_path, monkeypatch, error, options, variables, ending):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    line = in_words(error, told(tmp_path, **options))
    assert line.endswith(ending) and "\n" not in line and "secret" not in line


def test_what_pydantic_refuses_is_said_without_the_value(tmp_path):
    with pytest.raises(ValueError, match="64 characters") as caught:
        wandb.Settings(run_tags=["x" * 65])
    line = in_words(caught.value, told(tmp_path))
    assert line.startswith("ValidationError: run_tags: Tag") and "64 characters" in line and line.endswith("WANDB_TAGS")


@pytest.mark.parametrize("letter", "/\\#?%:")
def test_a_project_that_wandb_does_not_take_is_one_line(letter):
    with pytest.raises(ValueError, match=r"^--wandb-project 'a.+b': a name without"):
        cartpole_config(wandb_project=f"a{letter}b")
