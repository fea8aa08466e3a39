"""A README.md as what it promises: links, files, commands, options and snippets."""

import re
import shlex
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from tests.support.runs import ROOT


class Page:
    """One README.md."""

    def __init__(self, path: Path) -> None:
        self.path, self.folder, self.text = path, path.parent, path.read_text()
        self.name = str(path.relative_to(ROOT))
        self.prose = re.sub(r"^```.*?^```$", "", self.text, flags=re.MULTILINE | re.DOTALL)
        self.spans = re.findall(r"`([^`\n]+)`", self.prose)
        self.blocks = re.findall(r"^```(python|bash)\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)

    @cached_property
    def links(self) -> list[str]:
        """Links to places of this repository."""
        return re.findall(r"\]\((?!https?:)([^)\s]+)\)", self.prose)

    @cached_property
    def anchors(self) -> list[str]:
        """The headings as links name them."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]

    @cached_property
    def files(self) -> list[str]:
        """Files and folders that the text names as code."""
        return [span for span in self.spans if re.fullmatch(r"[\w./-]+(\.(py|md|txt|cfg|toml)|\w/)", span)]

    @cached_property
    def commands(self) -> list[str]:
        """Commands of the blocks and of the text, each in one line; make is not among them."""
        inline = [span for span in self.spans if re.match(r"(python|torchrun|wandb) ", span)]
        blocks = [command for language, text in self.blocks if language == "bash" for command in lines(text)]
        return [command for command in blocks + inline if not command.startswith("make ")]

    @cached_property
    def targets(self) -> list[str]:
        """What the page asks make for."""
        return re.findall(r"^(?:.*`)?make ([a-z-]+)", self.text, re.MULTILINE)

    @cached_property
    def options(self) -> list[tuple[str, str]]:
        """Options that the text names, each with its value or nothing."""
        named = [re.fullmatch(r"(--[a-z][\w-]*)(?:[ =](.*))?", span) for span in self.spans]
        return [(match[1], match[2] or "") for match in named if match]

    @cached_property
    def snippets(self) -> list[str]:
        """The Python blocks."""
        return [text for language, text in self.blocks if language == "python"]

    def section(self, heading: str) -> str:
        """The text below a heading, up to the next one."""
        return self.text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def lines(block: str) -> list[str]:
    """The commands of a bash block, without comments, each in one line; patterns of files stay patterns."""
    split = [shlex.split(line, comments=True) for line in block.replace("\\\n", " ").splitlines()]
    return [" ".join(quoted(word) for word in words) for words in split if words]


def quoted(word: str) -> str:
    """A word of a command that a shell reads as one; a pattern of files stays a pattern."""
    return shlex.quote(word) if re.search(r"[( ]", word) else word


def pages() -> Iterator[Page]:
    """The front page, then those of the rooms."""
    yield Page(ROOT / "README.md")
    for room in ("rl", "envs", "experiments", "tests"):
        yield from map(Page, sorted((ROOT / room).rglob("README.md")))
