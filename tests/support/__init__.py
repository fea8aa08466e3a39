"""Helpers that tests and their spawned workers import."""
