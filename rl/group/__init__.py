"""A run over several machines."""
