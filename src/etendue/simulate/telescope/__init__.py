"""What air and optics do to light: PSF, turbulence, distortion, stray light."""
