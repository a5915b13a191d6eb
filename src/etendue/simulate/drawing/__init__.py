"""Expected electrons of a detector: sources drawn through its PSF."""
