"""From pixels to a measured source list: sky, PSF, cosmic rays, detection, measurement."""
