"""Algorithms: one frozen config and one pure run each."""
