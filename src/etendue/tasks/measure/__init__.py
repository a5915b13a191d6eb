"""Measurement of sources on an exposure."""
