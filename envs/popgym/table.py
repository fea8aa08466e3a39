"""The rewritten environments of POPGym: one row an id.

`NAME` stands for the id `popgym-fast/NAME-v0` here and for `popgym-NAME-v0` in the package popgym 1.0.7.
"""

from typing import Any

POPGYM: tuple[tuple[str, str, dict[str, Any]], ...] = (
    # name, module and family, arguments; `FamilyEnv` is the single form and `FamilyVectorEnv` the vector form
    ("RepeatFirstEasy", "repeat_first:RepeatFirst", {"num_decks": 1}),
    ("RepeatFirstMedium", "repeat_first:RepeatFirst", {"num_decks": 8}),
    ("RepeatFirstHard", "repeat_first:RepeatFirst", {"num_decks": 16}),
)


def fast_id(name: str) -> str:
    """Return the id of a row here."""
    return f"popgym-fast/{name}-v0"


def official_id(name: str) -> str:
    """Return the id of a row in the package popgym, with the module that registers it."""
    return f"popgym:popgym-{name}-v0"
