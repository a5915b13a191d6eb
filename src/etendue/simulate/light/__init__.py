"""Light: bandpasses, spectra, and what the Galaxy and the air take away."""
