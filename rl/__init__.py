"""Recurrent actor-critic agents whose hidden state is carried across segments inside distributed workers."""
