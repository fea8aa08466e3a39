"""What the processes of a run share, whole or not at all."""
