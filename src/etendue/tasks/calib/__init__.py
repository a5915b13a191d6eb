"""Building calibrations: bias, flat, gain, defects."""
