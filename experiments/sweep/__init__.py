"""Tries settings of a run, by Optuna, and says how much of the best one's lead is selection."""
