"""Compare what the pipelines found in a simulated survey with what is true of it."""
