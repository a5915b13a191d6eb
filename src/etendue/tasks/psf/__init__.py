"""Estimation of the point-spread function from the stars of an exposure."""
