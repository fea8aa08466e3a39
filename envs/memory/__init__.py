"""Tasks that test memory and nothing else."""
