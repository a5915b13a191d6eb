"""Cosmic rays."""
