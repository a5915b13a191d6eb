"""Matching of catalogs on the sky and of star patterns on a plane."""
