"""One HTML page about the calibrations of a run."""
