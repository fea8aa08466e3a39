"""Tests of group."""
