"""Compiled kernels on plain arrays; they import numpy, numba and scipy only."""
