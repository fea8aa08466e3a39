"""Compares our agent with other codebases on the same task and machine."""
