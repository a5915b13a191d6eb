"""Calibrations that a team keeps as files under version control, in and out of repositories."""
