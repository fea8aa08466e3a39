"""How fast it is, beside others, on several machines, and for how long."""
