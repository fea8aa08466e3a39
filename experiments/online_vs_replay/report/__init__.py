"""The report, drawn from the rows of the comparison."""
