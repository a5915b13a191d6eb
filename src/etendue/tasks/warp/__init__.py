"""Resampling an exposure onto another pixel grid."""
