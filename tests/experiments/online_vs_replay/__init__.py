"""Tests of experiments/online_vs_replay."""
