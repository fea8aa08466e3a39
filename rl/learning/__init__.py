"""From a segment to a gradient."""
