"""Vector environments and their contract."""
