"""From environments to segments."""
