"""Studies that have been trained, and studies that only say what they would train."""

from pathlib import Path

import pytest

from experiments.chapter5 import first_45_seconds, length_results, length_study
from experiments.chapter5.length_study import COLUMNS
from experiments.lab import study as studies
from experiments.lab.digest import digest
from tests.support import tiny_studies
from tests.support.tiny_studies import tiny_study


@pytest.fixture(scope="module")
def short_evaluations():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(length_results, "EVALUATION_EPISODES", 2)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory, short_evaluations):
    """Folder and rows of a study of 2 arms and 2 seeds, 200 env steps each; nobody writes to it."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, tiny_study(folder).complete()


@pytest.fixture
def no_training(monkeypatch):
    monkeypatch.setattr(studies, "train_missing", lambda *_, **__: pytest.fail("it trained"))


@pytest.fixture
def asked(monkeypatch):
    """Instead of training: the names of the runs that were asked for; each has 2 points and a row of its digest."""
    names = []

    def train_missing(configs, processes, overrides, finished, holds):
        for config in configs:
            names.append(Path(config.run_dir).name)
            finished(config)

    def hand_made(config, overrides):
        points = [
            {"env_steps": at, "updates": at, "seconds": 0.5, "length": config.seed + at, "loss": 2.0}
            for at in (1, 2, 3)
        ]
        row = {"digest": digest(config, overrides), **dict.fromkeys((column.key for column in COLUMNS), config.seed)}
        return row, {"curves": points}

    monkeypatch.setattr(studies, "train_missing", train_missing)
    for module in (length_study, first_45_seconds, tiny_studies):
        monkeypatch.setattr(module, "length_result", hand_made)
    return names
