"""A network with memory: observation and state in, heads and state out."""
