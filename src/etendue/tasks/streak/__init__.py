"""Satellite trails."""
