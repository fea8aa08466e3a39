"""Trains for an hour, and looks whether anything grows."""
