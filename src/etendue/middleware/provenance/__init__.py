"""Where products come from, and how to make them once more."""
