"""Stars told from galaxies."""
