"""Tests of experiments/speed."""
