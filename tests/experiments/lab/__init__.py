"""Tests of what all experiments use."""
