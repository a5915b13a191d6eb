"""Image differencing: matching, subtraction, decorrelation, detection on the difference."""
