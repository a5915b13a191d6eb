"""Second moments of extended sources on the sky, and what a fit of the PSF misses of them."""

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.population.lights import Lights
from etendue.simulate.population.shapes import Shapes

Vector = NDArray[np.float64]

_HALF_LIGHT_SIGMA = float(np.sqrt(2.0 * np.log(2.0)))  # half-light radius of a Gaussian over its standard deviation


def extents(lights: Lights) -> Vector:
    """Return the second moments of Gaussians with the half-light radii and ellipticities of the sources.

    Parameters
    ----------
    lights : Lights
        Sources.

    Returns
    -------
    ndarray, float64, shape (3, n)
        Along east, along north, and mixed; 0 for points [arcsec**2].
    """
    result = np.zeros((3, len(lights)))
    extended = lights.shape >= 0
    if extended.any():
        result[:, extended] = _of_shapes(lights.shapes)[:, lights.shape[extended]]
    return result


def _of_shapes(shapes: Shapes) -> Vector:
    owner = np.repeat(np.arange(len(shapes)), np.diff(shapes.first))
    half = (shapes.half_light / _HALF_LIGHT_SIGMA) ** 2 / np.sqrt(1.0 - np.minimum(shapes.e1**2 + shapes.e2**2, 0.99))
    parts = (
        half * (1.0 - shapes.e1) + shapes.east**2,
        half * (1.0 + shapes.e1) + shapes.north**2,
        half * shapes.e2 + shapes.east * shapes.north,
    )
    flux = np.bincount(owner, shapes.flux, minlength=len(shapes))
    means = [np.bincount(owner, shapes.flux * part, minlength=len(shapes)) / flux for part in parts]
    return np.maximum(np.array(means), np.array([[0.0], [0.0], [-np.inf]]))


def point_fraction(moments: Vector, sigma_arcsec: float) -> Vector:
    """Return the share of a source's flux that a fit of the PSF gives.

    Parameters
    ----------
    moments : ndarray, float64, shape (3, n)
        From `extents`.
    sigma_arcsec : float
        Standard deviation of the PSF [arcsec].

    Returns
    -------
    ndarray, float64, shape (n,)
        1 for a point.
    """
    twice = 2.0 * sigma_arcsec**2
    east, north, mixed = moments
    return np.asarray(twice / np.sqrt((twice + east) * (twice + north) - mixed**2))
