"""CartPole, and what hides parts of it."""
