"""Torsos: what stands between an observation and the core."""
