"""What the processes of test_toolbox.py run. It imports next to nothing, so that they are up at once."""

import multiprocessing


def square(number: int) -> int:
    return number * number


def square_and_who(number: int) -> tuple[int, str]:
    """The square, and the process that found it."""
    return square(number), multiprocessing.current_process().name


def square_share(rank, shares, queue, channel) -> None:
    """The life of a process: say that it is ready, wait for the start, put (index, square) for each of its share."""
    channel.send("ready")
    channel.recv()
    for index in shares[rank]:
        queue.put((index, square(index)))
    channel.send("done")


def fail(rank, shares, queue, channel) -> None:
    """As above, but the last process fails before it has done anything."""
    if rank == len(shares) - 1:
        raise SystemExit(3)
    square_share(rank, shares, queue, channel)
