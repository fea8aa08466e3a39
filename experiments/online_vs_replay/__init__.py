"""Compares online learning with learning from replay, for recurrent agents."""
