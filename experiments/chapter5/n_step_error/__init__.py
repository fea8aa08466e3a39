"""Bias and variance of the N-step return."""
