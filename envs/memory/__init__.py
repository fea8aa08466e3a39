"""Tasks where memory is all there is."""
