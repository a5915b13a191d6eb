"""Instrument signature removal: raw frame to calibrated exposure."""
