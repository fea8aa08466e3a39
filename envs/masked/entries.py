"""Where the observations of Gymnasium's environments hold positions and velocities, as its documentation lists them."""

from collections.abc import Sequence


def _span(start: int, stop: int) -> tuple[int, ...]:
    return tuple(range(start, stop))


def _split(positions: int, velocities: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Positions first, then as many velocities."""
    return _span(0, positions), _span(positions, positions + velocities)


_LANDER = (0, 1, 4), (2, 3, 5)  # the contacts of its legs are neither
_WALKER = (0, 4, 6, 9, 11), (1, 2, 3, 5, 7, 10, 12)  # nor are contacts and the lidar here
_HUMANOID_V4 = _span(0, 22), (*_span(22, 45), *_span(185, 269))  # velocities of joints, then of bodies
_HUMANOID_V5 = _span(0, 22), (*_span(22, 45), *_span(175, 253))

# id: (positions, velocities); what is in neither, as forces and contacts, is always shown
ENTRIES: dict[str, tuple[Sequence[int], Sequence[int]]] = {
    "CartPole-v0": ((0, 2), (1, 3)),
    "CartPole-v1": ((0, 2), (1, 3)),
    "Acrobot-v1": _split(4, 2),
    "Pendulum-v1": _split(2, 1),
    "MountainCar-v0": _split(1, 1),
    "MountainCarContinuous-v0": _split(1, 1),
    "LunarLander-v2": _LANDER,
    "LunarLander-v3": _LANDER,
    "LunarLanderContinuous-v2": _LANDER,
    "LunarLanderContinuous-v3": _LANDER,
    "BipedalWalker-v3": _WALKER,
    "BipedalWalkerHardcore-v3": _WALKER,
    "Humanoid-v4": _HUMANOID_V4,
    "Humanoid-v5": _HUMANOID_V5,
    "HumanoidStandup-v4": _HUMANOID_V4,
    "HumanoidStandup-v5": _HUMANOID_V5,
    "Pusher-v4": ((*_span(0, 7), *_span(14, 23)), _span(7, 14)),
    "Pusher-v5": ((*_span(0, 7), *_span(14, 23)), _span(7, 14)),
    "Reacher-v4": ((*_span(0, 6), 8, 9, 10), (6, 7)),
    "Reacher-v5": ((*_span(0, 6), 8, 9), (6, 7)),
    **{f"HalfCheetah-{version}": _split(8, 9) for version in ("v4", "v5")},
    **{f"Hopper-{version}": _split(5, 6) for version in ("v4", "v5")},
    **{f"Walker2d-{version}": _split(8, 9) for version in ("v4", "v5")},
    **{f"Ant-{version}": _split(13, 14) for version in ("v4", "v5")},
    **{f"Swimmer-{version}": _split(3, 5) for version in ("v4", "v5")},
    **{f"InvertedPendulum-{version}": _split(2, 2) for version in ("v4", "v5")},
    **{f"InvertedDoublePendulum-{version}": _split(5, 3) for version in ("v4", "v5")},
}
VELOCITY_INDICES = {name: tuple(velocities) for name, (_, velocities) in ENTRIES.items()}
HIDES = {"positions": 0, "velocities": 1}  # the place in a row of ENTRIES
