"""What figures share: their style, the labels of their ticks, and how they are written."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

STYLE = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#888888"}
_PDF = ContextVar("pdf", default=False)


@contextmanager
def pdf_too(wanted: bool) -> Iterator[None]:
    """Within this block `write_figure` also writes PDF files, where they are wanted."""
    token = _PDF.set(wanted)
    try:
        yield
    finally:
        _PDF.reset(token)


def write_figure(figure, file: Path) -> None:
    """Write a figure as a PNG, as a PDF beside it within `pdf_too`, and close it.

    The PNG has 256 colours instead of 16 million: a third of the bytes, and no difference to the eye.
    """
    from matplotlib import pyplot as plt
    from PIL import Image

    picture = io.BytesIO()
    figure.savefig(picture, dpi=150)
    Image.open(picture).convert("RGB").quantize(256).save(file, format="PNG", optimize=True)
    if _PDF.get():
        figure.savefig(file.with_suffix(".pdf"))
    plt.close(figure)


def thousands(value: float, _position: int) -> str:
    """A tick's label: 250k, 1.5M."""
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"
