"""Tests of the chapter's experiments."""
