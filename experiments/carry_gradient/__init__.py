"""What the gradient that is carried across segments buys, against the state alone."""
