"""From a gradient to parameters."""
