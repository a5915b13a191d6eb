"""Use cases in plain Python."""
