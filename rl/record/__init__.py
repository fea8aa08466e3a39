"""What a run says to its user and leaves on disk: record, mirror in Weights & Biases, checkpoints."""
