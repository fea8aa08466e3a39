"""Measures how fast training is, and how fast this machine would let it be."""
