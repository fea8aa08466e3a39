"""Learning from a replay buffer: the buffer, unrolls of what is drawn from it, and the losses."""
