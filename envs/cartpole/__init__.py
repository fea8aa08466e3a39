"""CartPole, and environments that hide parts of it or change its reward."""
