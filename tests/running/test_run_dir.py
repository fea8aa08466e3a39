"""The folder of a run that has no name."""

from rl.config import Config
from rl.running.folder import choose_run_dir


def test_a_run_without_a_name_gets_that_of_its_learner_environment_and_seed_and_a_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = []
    for options in ({}, {}, {"algorithm": "q_replay", "env": "module:Env-v0", "seed": 3}):
        names.append(choose_run_dir(Config(core="gru", **options)))
        names[-1].mkdir(parents=True)
    env = Config().env
    assert list(map(str, names)) == [f"runs/gru-{env}-s1", f"runs/gru-{env}-s1-2", "runs/q_replay-gru-Env-v0-s3"]
