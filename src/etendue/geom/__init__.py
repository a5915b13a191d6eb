"""Boxes, the sphere, world coordinate systems, skymaps, HEALPix and identifiers."""
