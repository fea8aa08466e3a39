"""A check of one's own environment: what will be made of it, and everything in which it breaks its contract."""
