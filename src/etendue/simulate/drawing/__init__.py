"""Drawing lights through a PSF onto a detector: expected electrons, no noise."""
