"""What a CCD and its electronics do to light: one file per effect."""
