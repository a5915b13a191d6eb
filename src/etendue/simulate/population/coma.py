"""Comae and tails as sums of Gaussians."""

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.population.shapes import Shapes

Vector = NDArray[np.float64]

_RINGS = 9
_TAIL = 6
_GAUSSIAN = 0.5
_NUCLEUS_ARCSEC = 0.02
_SMALLEST_ARCSEC = 0.2


def comae(radius_arcsec: Vector, nucleus_share: Vector, tail_share: Vector, anti_sun_deg: Vector) -> Shapes:
    """Return comet shapes: a nucleus, a round coma and a tail.

    The coma's surface brightness falls as the reciprocal of the distance, as that of dust in steady outflow: Gaussians
    in a geometric series of sizes, whose fluxes grow as their sizes, give that between the smallest and the largest.
    The tail is a row of ellipses away from the Sun, ever longer and broader, whose brightness falls exponentially.

    Parameters
    ----------
    radius_arcsec : ndarray, float64, shape (n,)
        Half-light radius of the coma's outermost part [arcsec].
    nucleus_share : ndarray, float64, shape (n,)
        Share of the light that comes from the nucleus.
    tail_share : ndarray, float64, shape (n,)
        Share of the dust's light that is in the tail.
    anti_sun_deg : ndarray, float64, shape (n,)
        Direction of the tail, from north through east [deg].

    Returns
    -------
    Shapes
        ``n`` shapes of 16 parts each.
    """
    n = radius_arcsec.size
    sizes = _coma_sizes(radius_arcsec)
    tail_step, tail_sizes, tail_flux = _tail(radius_arcsec)
    dust = 1.0 - nucleus_share
    coma_flux = sizes / sizes.sum(axis=1, keepdims=True) * (dust * (1.0 - tail_share))[:, None]
    flux = np.hstack([nucleus_share[:, None], coma_flux, tail_flux * (dust * tail_share)[:, None]])
    half_light = np.hstack([np.full((n, 1), _NUCLEUS_ARCSEC), sizes, tail_sizes])
    along = np.hstack([np.zeros((n, 1 + _RINGS)), tail_step])
    ellipticity = np.where(along > 0.0, 0.9, 0.0)
    angle = np.radians(anti_sun_deg)[:, None]
    parts = flux.shape[1]
    return Shapes(
        first=np.arange(n + 1, dtype=np.int64) * parts,
        flux=flux.ravel(),
        east=(along * np.sin(angle)).ravel(),
        north=(along * np.cos(angle)).ravel(),
        half_light=half_light.ravel(),
        sersic=np.full(n * parts, _GAUSSIAN),
        e1=(ellipticity * np.cos(2.0 * angle)).ravel(),
        e2=(ellipticity * np.sin(2.0 * angle)).ravel(),
    )


def _coma_sizes(radius_arcsec: Vector) -> NDArray[np.float64]:
    top = np.maximum(radius_arcsec, 1.01 * _SMALLEST_ARCSEC)
    steps = np.linspace(0.0, 1.0, _RINGS)
    return _SMALLEST_ARCSEC * (top / _SMALLEST_ARCSEC)[:, None] ** steps


def _tail(radius_arcsec: Vector) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return distances, sizes and shares of flux of the tail's parts; the tail is four comae long."""
    step = (np.arange(_TAIL) + 0.5) / _TAIL
    share = np.exp(-2.0 * step)
    scale = np.maximum(radius_arcsec, 1.01 * _SMALLEST_ARCSEC)[:, None]
    return 4.0 * step * scale, (0.2 + 0.35 * step) * scale, np.broadcast_to(share / share.sum(), (scale.size, _TAIL))
