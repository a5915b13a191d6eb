"""Alert packets in LSST's schema and the local alert log."""
