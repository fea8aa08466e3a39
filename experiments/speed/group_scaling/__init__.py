"""Measures what an update costs a group of workers."""
