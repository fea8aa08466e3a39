"""Ways to distribute actor-critic learning: asynchronous workers, synchronous workers, one process."""
