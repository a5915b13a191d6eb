"""HEALPix in the nested scheme, through cdshealpix."""

import astropy.units as u
import numpy as np
from astropy.coordinates import Latitude, Longitude
from cdshealpix import nested
from numpy.typing import ArrayLike, NDArray

from etendue.errors import InputError
from etendue.geom.sphere import separation_deg

MAX_ORDER = 29


def pixel_of(order: int, ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.int64]:
    """Return the nested pixel of each position.

    Parameters
    ----------
    order : int
        0 to 29; the pixel side is about ``58.6 deg / 2**order``.
    ra_deg, dec_deg : array_like, shape (n,)
        Positions [deg], finite.

    Returns
    -------
    ndarray, int64, shape (n,)

    Raises
    ------
    InputError
        If the order or a position is out of range.
    """
    _check_order(order)
    ra, dec = np.broadcast_arrays(np.asarray(ra_deg, float), np.asarray(dec_deg, float))
    bad = ~(np.isfinite(ra) & (np.abs(dec) <= 90.0))
    if bad.any():
        raise InputError(f"{int(bad.sum())} positions are not on the sky", value=(ra[bad][0], dec[bad][0]))
    if ra.size == 0:
        return np.zeros(ra.shape, dtype=np.int64)
    pixels = nested.lonlat_to_healpix(Longitude(ra.ravel(), u.deg), Latitude(dec.ravel(), u.deg), order, num_threads=1)
    return pixels.astype(np.int64).reshape(ra.shape)


def center_of(order: int, pixel: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the centres of nested pixels.

    Parameters
    ----------
    order : int
        0 to 29.
    pixel : array_like, int64, shape (n,)
        Pixels.

    Returns
    -------
    ra_deg, dec_deg : ndarray, float64, shape (n,)
        Centres [deg].
    """
    _check_order(order)
    lon, lat = nested.healpix_to_lonlat(np.atleast_1d(np.asarray(pixel)).astype(np.uint64), order, num_threads=1)
    return lon.deg, lat.deg


def circle_around(order: int, pixel: int) -> tuple[float, float, float]:
    """Return a circle that holds a nested pixel.

    Parameters
    ----------
    order : int
        0 to 29.
    pixel : int
        Pixel.

    Returns
    -------
    ra_deg, dec_deg, radius_deg : float
        Centre of the pixel and a radius a hundredth larger than the distance of its farthest corner [deg].
    """
    ra, dec = (float(value[0]) for value in center_of(order, [pixel]))
    lon, lat = nested.vertices(np.array([pixel], np.uint64), order, num_threads=1)
    return ra, dec, 1.01 * float(separation_deg(ra, dec, lon.deg, lat.deg).max())


def cone(order: int, ra_deg: float, dec_deg: float, radius_deg: float) -> NDArray[np.int64]:
    """Return all pixels that a cone may overlap.

    Parameters
    ----------
    order : int
        0 to 29.
    ra_deg, dec_deg : float
        Centre [deg].
    radius_deg : float
        Radius, at most 180 [deg].

    Returns
    -------
    ndarray, int64, shape (n,)
        Ascending; may hold a few pixels just outside, never misses one.
    """
    _check_order(order)
    if not 0.0 <= radius_deg <= 180.0:
        raise InputError("cone radius is not 0 to 180 deg", value=radius_deg)
    pixels, _, _ = nested.cone_search(
        Longitude(ra_deg, u.deg), Latitude(dec_deg, u.deg), radius_deg * u.deg, order, flat=True
    )
    return np.sort(pixels.astype(np.int64))


def polygon(order: int, ra_deg: ArrayLike, dec_deg: ArrayLike, margin_deg: float = 0.0) -> NDArray[np.int64]:
    """Return all pixels that a convex polygon with a margin may overlap.

    Parameters
    ----------
    order : int
        0 to 29.
    ra_deg, dec_deg : array_like, shape (n,)
        Corners in order, joined by great circles [deg].
    margin_deg : float
        Width added around the polygon [deg].

    Returns
    -------
    ndarray, int64, shape (n,)
        Ascending; may hold pixels just outside, never misses one.
    """
    _check_order(order)
    ra, dec = np.asarray(ra_deg, float), np.asarray(dec_deg, float)
    pixels, _, _ = nested.polygon_search(Longitude(ra, u.deg), Latitude(dec, u.deg), order, flat=True)
    found = pixels.astype(np.int64)
    return np.unique(found) if margin_deg <= 0.0 else _with_margin(order, found, margin_deg)


def _with_margin(order: int, pixels: NDArray[np.int64], margin_deg: float) -> NDArray[np.int64]:
    """Add the neighbours of pixels until the margin is covered."""
    narrowest_deg = 30.0 / 2**order  # pixels are never thinner than half their mean side
    for _ in range(int(np.ceil(margin_deg / narrowest_deg))):
        around = nested.neighbours(pixels.astype(np.uint64), order, num_threads=1)
        pixels = np.unique(around[around >= 0]).astype(np.int64)
    return pixels


def _check_order(order: int) -> None:
    if not 0 <= order <= MAX_ORDER:
        raise InputError(f"HEALPix order is not 0 to {MAX_ORDER}", value=order)
