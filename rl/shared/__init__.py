"""What the processes of a run share: memory that changes whole or not at all, and locks that no kill leaves taken."""
