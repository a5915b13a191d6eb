"""Whole surveys: what is in them, their raw frames, their truth."""
