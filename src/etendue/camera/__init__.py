"""Cameras described in YAML: geometry, header translation, raw frames."""
