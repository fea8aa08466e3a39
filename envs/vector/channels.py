"""Which axis of an image has its channels: rl's torsos (`rl.agent.torsos.images`) read images by the same rule."""


def channels_last(shape: tuple[int, ...]) -> bool:
    """Whether the channels of an image with three axes are its last axis, and not its first.

    Where two neighbouring axes are equal and the third is not, that one has the channels; else the shorter of the first
    and the last one; the last one where nothing tells.
    """
    first, middle, last = shape
    if middle == last != first:
        return False
    return first == middle != last or first >= last
