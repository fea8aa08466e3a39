"""What is measured: which N, and which numbers of each."""

LENGTHS = {"1": 1, "2": 2, "5": 5, "10": 10, "20": 20, "50": 50, "MC": 0}  # N by its name; 0: Monte Carlo
MEASURED = ("bias", "squared_bias", "variance")
