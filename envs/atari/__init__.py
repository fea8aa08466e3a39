"""Atari games as grey pictures. The games come with ale-py, which is imported where one is made."""
