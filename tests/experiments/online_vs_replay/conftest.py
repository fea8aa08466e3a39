"""Figures with few points, and figures as numbers."""

import pytest

from experiments.online_vs_replay.report import curves, panels
from experiments.online_vs_replay.report.sections import aggregates


@pytest.fixture(autouse=True)
def few_points(monkeypatch):
    monkeypatch.setattr(curves, "POINTS", 5)
    monkeypatch.setattr(curves, "RESAMPLES", 20)
    monkeypatch.setattr(aggregates, "RESAMPLES", 20)


@pytest.fixture
def drawn(monkeypatch):
    """Collect x and y of each line by file, panel title and label, and the labels of each legend; write no file."""
    found = {}

    def keep(figure, file):
        found[file.name] = {
            panel.get_title(loc="left"): {line.get_label(): line.get_xydata().T for line in panel.lines}
            for panel in figure.axes
        }
        found[file.name, "legend"] = [text.get_text() for legend in figure.legends for text in legend.get_texts()]

    monkeypatch.setattr(panels, "write_figure", keep)
    return found
