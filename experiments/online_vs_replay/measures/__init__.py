"""Measures of the agents while they learn."""
