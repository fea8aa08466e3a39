"""Distributions over actions: what the numbers of the policy head stand for."""
