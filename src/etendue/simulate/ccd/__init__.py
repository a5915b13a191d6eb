"""The CCD and its electronics: one file for each effect, run in the order of physics by `Ccd`."""
