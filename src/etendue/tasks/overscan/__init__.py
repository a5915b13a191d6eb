"""Overscan subtraction and trimming, shared by signature removal and calibration building."""
