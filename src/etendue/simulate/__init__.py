"""Simulated raw frames with complete truth."""
