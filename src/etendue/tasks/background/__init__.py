"""The sky background."""
