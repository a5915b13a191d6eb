"""Combining warped exposures into one deep image."""
