"""Other codebases and plain yardsticks on our task; experiments.speed.benchmark_peers runs these scripts."""
