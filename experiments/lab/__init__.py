"""What all experiments use."""
