"""What the README.md of every room names is there, and what it shows runs."""

import importlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import typing
from pathlib import Path

import pytest
import tyro
from torch.distributed.run import get_args_parser as torchrun_parser

from rl.config import Config
from rl.config_rules import option
from rl.loop import Overrides
from rl.parameters.learner import Learner
from tests.support.configs import cartpole_config
from tests.support.readme import Page, lines, pages
from tests.support.runs import ROOT, train

PAGES = {page.name: page for page in pages()}
FRONT, WALKED, TESTS = PAGES["README.md"], PAGES["rl/README.md"], PAGES["tests/README.md"]
COMMANDS = sorted({command for page in PAGES.values() for command in page.commands})
MAKEFILE = (ROOT / "Makefile").read_text()
STEPS = re.findall(r"^\| \d+ \| \[[^]]+\]\((\S+)\) \|.*\| (.+) \|$", WALKED.section("The walk"), re.MULTILINE)
WALK = {(f"rl/{file}", name) for file, cell in STEPS for name in re.findall(r"`([\w.]+)`", cell)}
SMALL = "--mode serial --workers 1 --total-env-steps 1000 --eval-episodes 4"


def each(what: str, but: str = ""):
    """A test of every page that has any of this, but for one."""
    chosen = [page for page in PAGES.values() if getattr(page, what) and page.name != but]
    return pytest.mark.parametrize("page", chosen, ids=lambda page: page.name)


def test_the_front_page_has_at_most_200_lines():
    assert 100 < len(FRONT.text.splitlines()) <= 200


def test_every_room_and_file_on_the_first_floor_of_rl_is_in_its_tables():
    floor = [path for path in (ROOT / "rl").iterdir() if not path.name.startswith("_") and path.suffix in ("", ".py")]
    assert len(floor) > 10
    for path in floor:
        assert f"`{path.name}`" in WALKED.text or f"]({path.name}" in WALKED.text, f"rl/README.md misses {path.name}"
        assert path.is_file() or f"rl/{path.name}" in FRONT.text, f"README.md misses rl/{path.name}"


@each("links")
def test_every_link_leads_to_a_file_and_to_a_heading_of_it(page: Page):
    for link in page.links:
        path, _, anchor = link.partition("#")
        target = (page.folder / path).resolve() if path else page.path
        assert target.exists(), link
        assert not anchor or anchor in Page(target).anchors, link


@each("files")
def test_every_file_that_it_names_is_there(page: Page):
    written = {f"{name}.py" for one in PAGES.values() for name in re.findall(r"^# (\w+)\.py", one.text, re.MULTILINE)}
    for name in page.files:
        assert name in written or any((folder / name).exists() for folder in (ROOT, page.folder)), name


@each("targets")
def test_every_make_target_is_in_the_makefile(page: Page):
    assert [name for name in page.targets if not re.search(rf"^{name}:", MAKEFILE, re.MULTILINE)] == []


@each("options")
def test_every_option_exists_and_takes_the_value(page: Page):
    fields = typing.get_type_hints(Config)
    sources = "".join(path.read_text() for path in (ROOT / "experiments").rglob("*.py"))
    known = set(map(option, [*fields, *re.findall(r"^ +(\w+): ", sources, re.MULTILINE)])) | {"--help"}
    known |= {name.replace("--", "--no-") for name in known} | set(torchrun_parser()._option_string_actions)
    for name, value in page.options:
        assert name in known, name
        kind = fields.get(name[2:].replace("-", "_"))
        choices = typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()
        assert not choices or not value.islower() or value in choices, f"{name} {value}"


LESS = {  # options that make an experiment quick; one without an entry takes seconds as it stands
    "train": "--total-env-steps 2000 --eval-episodes 4",
    "evaluate": "--episodes 4",
    "compare_cores": "--seeds 1 --total-env-steps 2000 --mlp-env-steps 2000 --eval-episodes 4",
    "carry_ablation": "--seeds 1 --delays 2 --segment-lengths 2 --cartpole-segment-lengths 2 --recall-env-steps 2000 "
    "--cartpole-env-steps 2000",
    "carry_gradient": "--seeds 1 --cores rtu --lengths 32",
    "carry_gradient.staleness": "--seeds 1 --arms 'rtu lr=0.005 N=16' --env-steps 50000",
    "online_vs_replay": "--seeds 1 --env-steps 25000",
    "online_vs_replay.tune": "--seeds 1 --arms 'a2c lstm' --env-steps 50000",
    "chapter5.policy_gradients": "--seeds 1 --env-steps 5000",
    "chapter5.n_steps": "--seeds 1 --env-steps 5000",
    "chapter5.n_step_error": "--seeds 1 --states 4 --rollouts 2",
    "chapter5.repairs": "--seeds 1 --env-steps 5000",
    "chapter5.ways_to_distribute": "--env-steps 5000 --seconds 0.5 --compute-ms 0 --no-learn-expensive",
    "chapter5.first_45_seconds": "--seeds 1 --seconds 1 --arms 'N-step repaired'",
    "sweep": "--trials 2 --seeds 1 --fresh-seeds 1 --total-env-steps 2000 --eval-episodes 4",
    "speed.cores": "--rounds 1 --segments 6",
    "popgym": "--ids RepeatFirstEasy --cores rtu --seeds 1 --env-steps 330000",
    "pong": "--env-steps 125000",
    "speed.popgym": "--names RepeatFirstEasy --rounds 1 --seconds 0.1",
    "speed.profile": "--seconds 0.5",
    "speed.images": "--tasks Catch --seconds 1",
    "speed.group_scaling": "--workers 1,2 --parameters 30000 --repetitions 1",
}
NEEDS = {"popgym": "popgym", "speed.popgym": "popgym", "carry_gradient.staleness": "popgym", "pong": "ale_py"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """A folder with the committed results, and with the runs that commands name."""
    folder = tmp_path_factory.mktemp("workspace")
    shutil.copytree(ROOT / "experiments" / "results", folder / "experiments" / "results")
    run(folder, f"python -m experiments.train --run-dir runs/NAME {LESS['train']}")
    run(folder, f"python -m experiments.compare_cores {LESS['compare_cores']} --wandb offline")
    return folder


def run(folder: Path, command: str) -> None:
    """Run a command in a folder, with its patterns of files filled in."""
    words = [shlex.quote(sys.executable), *command.split()[1:]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "WANDB_MODE": "offline"}
    done = subprocess.run(" ".join(words), shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("python -m experiments.")])
def test_every_experiment_runs(command: str, workspace: Path):
    """As it stands where committed rows are drawn again, which leaves every page as it was; else with less to do."""
    name, results = command.split()[2].removeprefix("experiments."), workspace / "experiments" / "results"
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    again = "experiments/results" in command and not name.startswith(("compare", "speed.benchmark"))
    if again or "--redraw" in command:
        before = {path: path.read_text() for path in results.rglob("*.md")}
        run(workspace, command)
        assert before == {path: path.read_text() for path in results.rglob("*.md")}
    elif name.startswith("speed.") and name not in LESS:
        assert f"-m experiments.{name}" in MAKEFILE, "neither a test nor make runs it"
    elif not re.search("--resume|blink:", command):  # tests/running resumes runs; the snippets' test has blink.py
        run(workspace, f"{command.removesuffix(' --gif episode.gif')} {LESS.get(name, '')}")


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if one.startswith("torchrun") and "--node-rank 1" not in one]
)
def test_every_line_of_torchrun_trains(command: str, tmp_path: Path):
    """Both hosts are this one, and the run is short; else the lines are those of the page."""
    hosts = range(2 if "--nnodes 2" in command else 1)
    of_hosts = [command.replace("--node-rank 0", f"--node-rank {host}") for host in hosts]
    assert set(of_hosts) <= set(COMMANDS)
    here = {"host-a": "127.0.0.1", "29500": str(free_port()), "max-restarts K": "max-restarts 1"}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo", "WANDB_MODE": "disabled"}
    running = []
    for line in of_hosts:
        for theirs, ours in here.items():
            line = line.replace(theirs, ours)
        words = [sys.executable, "-m", "torch.distributed.run", *line.split()[1:], *LESS["train"].split()]
        running.append(subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=-1, stderr=-2, text=True))
    said = [one.communicate(timeout=600)[0] for one in running]
    assert [one.returncode for one in running] == [0] * len(running), "\n".join(said)
    [summary] = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/summary.json")]
    assert summary["exit_code"] == 0 and summary["env_steps"] >= 2000


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Parsed(BaseException):
    """The command line was right."""


def parse(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run an experiment until it has parsed its command line; a wrong option ends it with SystemExit."""
    cli = tyro.cli

    def cli_alone(*arguments, **options):
        cli(*arguments, **options)
        raise Parsed

    is_package = (ROOT / words[0].replace(".", "/")).is_dir()
    program = importlib.import_module(f"{words[0]}.__main__" if is_package else words[0])
    monkeypatch.setattr(tyro, "cli", cli_alone)
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(
        "experiments.train.resumed_config", lambda _folder: cartpole_config()
    )  # of a run that is not there
    with pytest.raises(Parsed):
        program.main()


def made() -> set[str]:
    """The commands that make runs, as one types them."""
    typed = {"$(PYTHON)": "python3", "$(BIN)/python -m pip": "$(BIN)/pip", "$(BIN)": "$(VENV)/bin", "$(VENV)": ".venv"}
    text = MAKEFILE.replace(" --quiet --disable-pip-version-check", "")
    for theirs, ours in typed.items():
        text = text.replace(theirs, ours)
    return set(re.findall(r"^\t(.+)$", text, re.MULTILINE))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_program_that_takes_its_options(command: str, monkeypatch: pytest.MonkeyPatch):
    match shlex.split(re.sub(r" K\b", " 1", command)):
        case _ if command in made() or command == "source .venv/bin/activate":
            pass
        case ["python", "-m", *words]:
            parse(words, monkeypatch)
        case ["torchrun", *words]:
            chosen = torchrun_parser().parse_args(words)
            assert chosen.module
            parse([chosen.training_script, *chosen.training_script_args], monkeypatch)
        case ["wandb", name, *_]:
            from wandb.cli.cli import cli

            assert name in cli.commands
        case ["export", name]:
            assert name.startswith("GLOO_SOCKET_IFNAME=")
        case _:
            pytest.fail(f"no test says how to look at {command}")


@pytest.mark.parametrize(
    "options", [SMALL, pytest.param("", marks=pytest.mark.slow)], ids=["in a few steps", "as they stand"]
)
@each("snippets", but="experiments/export/README.md")  # tests/experiments/test_export.py runs it
def test_snippets_run_with_the_commands_that_use_them(page: Page, options: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    files, programs, script = [], 0, {"__name__": "__main__"}
    for language, text in page.blocks:
        if language == "bash":
            for command in lines(text):
                if any(f" {file}:" in command for file in files):
                    words = shlex.split(f"{command} {options}")[1:]
                    subprocess.run([sys.executable, *words], check=True, capture_output=True, timeout=240)
                    programs += 1
        elif name := re.match(r"# (\w+)\.py", text):
            Path(f"{name[1]}.py").write_text(text)
            files.append(name[1])
        else:
            exec(compile(text, page.name, "exec"), script)
    runs = [json.loads(path.read_text()) for path in Path("runs").glob("*/summary.json")]
    assert len(runs) == programs > 0 or not files
    assert options or all(run["solved"] for run in runs)
    if page is FRONT:  # which plays an episode of the run, and says what it earns
        assert script["reward"] in ((0.0, 1.0) if options or runs[0]["eval_greedy"] < 1 else (1.0,))


def test_the_front_page_shows_an_environment_a_core_and_a_script():
    """Lines beside imports, comments and blank ones."""
    beside = ("#", "import ", "from ")
    lengths = [sum(bool(line) and not line.startswith(beside) for line in text.splitlines()) for text in FRONT.snippets]
    environment, core, script = lengths
    assert environment <= 15 and core <= 10 and script <= 5


def test_every_bug_of_the_table_has_its_test():
    rows = re.findall(r"^\| .+ \|$", TESTS.section("Bugs that tests keep out"), re.MULTILINE)[1:]
    bugs = [re.fullmatch(r"\| .+ \| \[\S+#\d+\]\(https://\S+\) \| \[(\w+)\]\((\S+)\) \|", row) for row in rows]
    assert len(bugs) >= 33 and all(bugs)
    for bug in bugs:
        assert f"\ndef {bug[1]}(" in (TESTS.folder / bug[2]).read_text(), f"{bug[2]} has no {bug[1]}"


def test_the_walk_opens_10_files_and_25_functions_at_most():
    files = {f"rl/{file}" for file, _ in STEPS}
    assert 5 < len(files) <= 10 and 10 < len(WALK) <= 25
    assert sum(len((ROOT / file).read_text().splitlines()) for file in files) <= 1400


def test_an_update_runs_every_function_of_the_walk_and_passes_only_files_that_the_page_names(tmp_path: Path):
    ran = functions_of_an_update(tmp_path / "run")
    assert WALK - ran == set()
    named = [(WALKED.folder / link).resolve() for link in re.findall(r"\]\((\S+)\)", WALKED.section("The walk"))]
    places = [place.parent if place.name == "README.md" else place for place in named]
    for file in {file for file, _ in ran if file.startswith(("rl/", "envs/"))}:
        assert any((ROOT / file).is_relative_to(place) for place in places), file


def functions_of_an_update(folder: Path) -> set[tuple[str, str]]:
    """File and name of all that a worker runs from `run_segments` on, but for what the parent does between segments."""
    ran, inside = set(), [False]

    def look(frame, event: str, _argument) -> None:
        code = frame.f_code
        if event not in ("call", "return") or not code.co_filename.startswith(str(ROOT)):
            return
        file = code.co_filename.removeprefix(f"{ROOT}/")
        starts, parent = code.co_qualname == "run_segments", file.startswith("rl/running/")
        if event == "return":
            if starts or parent:
                inside.pop()
            return
        if starts or parent:
            inside.append(starts)
        if inside[-1]:
            ran.add((file, code.co_qualname))

    options = {"core_layers": 2, "env": "tests.support.rl_small:Dice-v0", "total_env_steps": 100}
    sys.setprofile(look)
    try:
        train(folder, Overrides(make_learner=Learner), **options)
    finally:
        sys.setprofile(None)
    return ran
