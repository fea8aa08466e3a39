"""Other codebases and plain yardsticks on our task, each a script of its own interpreter; see benchmark_peers."""
