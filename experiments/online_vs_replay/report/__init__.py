"""The report, from the rows of the study."""
