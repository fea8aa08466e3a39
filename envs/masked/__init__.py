"""Gymnasium's environments with a part of their observations hidden."""
