"""The entries of a Dict or a Tuple: their names, which are observed, and how one finds them in an observation."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from gymnasium import Space
from gymnasium.spaces import Dict, Tuple

from envs.vector.messages import WrongArgument
from envs.vector.packing import MASK


class Leaf(NamedTuple):
    """A space within a Dict or a Tuple that is neither."""

    name: str  # those of the spaces around it and its own, joined by dots; a Tuple's are numbers
    path: tuple[Any, ...]  # keys that lead to it
    space: Space

    def of(self, observation: Any) -> Any:
        """Return the entry of an observation.

        Raises:
            ValueError: it has no such entry.
        """
        for key in self.path:
            try:
                observation = observation[key]
            except (LookupError, TypeError):
                raise ValueError(f"it has no entry {self.name}") from None
        return observation


def leaves(space: Space, name: str = "", path: tuple[Any, ...] = ()) -> list[Leaf]:
    """Return all entries of a space, in its order; of one without entries, itself. An action mask stays as it is."""
    if isinstance(space, Dict) and name != MASK:
        inner = space.spaces.items()
    elif isinstance(space, Tuple) and name != MASK:
        inner = enumerate(space.spaces)
    else:
        return [Leaf(name, path, space)]
    found = []
    for key, one in inner:
        found += leaves(one, f"{name}.{key}" if name else str(key), (*path, key))
    return found


def observed_leaves(space: Space, observe: Sequence[str], env: str) -> list[Leaf]:
    """Return the entries that are observed: all, or those of these names; the action mask is always among them.

    Args:
        space: the environment's own.
        observe: names of entries, or of a Dict or Tuple within, which stands for all of its entries; () for all.
        env: the name of the environment.

    Raises:
        WrongArgument: there is no entry of a name.
        ValueError: two entries have one name.
    """
    found = leaves(space)
    names = [leaf.name for leaf in found]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(
            f"{env} has two entries of the name {twice[0]}; a dot leads into an entry, so none may have one"
        )
    if not observe:
        return found
    named = [leaf for leaf in found if leaf.name and leaf.name != MASK]
    for name in (one for one in observe if one != MASK or set(observe) == {MASK}):
        if not any(_is_within(leaf, name) for leaf in named):
            known = ", ".join(leaf.name for leaf in named) or "no entries, but one array"
            raise WrongArgument(f"observe {name!r}: one of the entries of {env} is needed; it has {known}")
    return [leaf for leaf in found if leaf.name == MASK or any(_is_within(leaf, name) for name in observe)]


def _is_within(leaf: Leaf, name: str) -> bool:
    return f"{leaf.name}.".startswith(f"{name}.")
