"""Synthetic sources added to images."""
