"""Exposures and their parts, and their file formats."""
