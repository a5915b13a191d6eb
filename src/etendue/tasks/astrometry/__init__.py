"""Astrometric calibration of single exposures and of many visits together."""
