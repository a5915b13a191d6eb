"""One frame without a repository: its calibrations, its reference stars, its pictures and its files."""
