"""Cones on the sky as ranges of order-29 HEALPix pixels."""

import numpy as np

from etendue.archive.partition import ROW_ORDER
from etendue.geom.healpix import cone

_MOST_RANGES = 8  # more make the SQL slower than the rows they save


def cone_ranges(ra_deg: float, dec_deg: float, radius_deg: float) -> list[tuple[int, int]]:
    """Return ranges of order-29 pixels that contain a cone.

    Parameters
    ----------
    ra_deg, dec_deg : float
        Centre [deg].
    radius_deg : float
        Radius, at most 180 [deg].

    Returns
    -------
    list of (int, int)
        At most 8 ranges, ends included, ascending; they may cover more than the cone.
    """
    order = int(np.clip(np.floor(np.log2(58.6 / max(radius_deg, 1e-9))) + 1, 0, 24))
    pixels = np.sort(cone(order, ra_deg, dec_deg, radius_deg))
    shift = 2 * (ROW_ORDER - order)
    gaps = np.diff(pixels)
    widest = np.argsort(-gaps, kind="stable")[: _MOST_RANGES - 1]
    cuts = np.sort(widest[gaps[widest] > 1])
    starts, ends = np.r_[0, cuts + 1], np.r_[cuts, pixels.size - 1]
    return [(int(pixels[s]) << shift, (int(pixels[e]) + 1 << shift) - 1) for s, e in zip(starts, ends, strict=True)]
