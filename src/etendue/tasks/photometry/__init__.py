"""Photometric calibration: zero points of exposures, absolute and relative."""
