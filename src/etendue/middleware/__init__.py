"""Rubin's Butler and pipe_base, made ready for any camera."""
