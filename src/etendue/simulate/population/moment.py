"""When, where and in which light the sky is asked for."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.camera.camera import Observatory
from etendue.geom.sphere import unit_vector
from etendue.simulate.light.bandpass import Bandpass


@dataclass(frozen=True, slots=True)
class Moment:
    """One exposure as the population sees it.

    Parameters
    ----------
    bandpass : Bandpass
        Light that is collected; its name is the band.
    mjd_tai : float
        Mid-exposure [day].
    exposure_time_s : float
        Exposure time [s].
    ra_deg, dec_deg, radius_deg : float
        Circle outside of which nothing needs to be given [deg].
    site : Observatory or None
        Where the telescope stands; None puts it at the centre of the Earth.
    """

    bandpass: Bandpass
    mjd_tai: float
    exposure_time_s: float
    ra_deg: float
    dec_deg: float
    radius_deg: float
    site: Observatory | None = None


def inside_circle(ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64], moment: Moment) -> NDArray[np.int64]:
    """Return which positions lie in a moment's circle.

    Parameters
    ----------
    ra_deg, dec_deg : ndarray, float64, shape (n,)
        Positions [deg].
    moment : Moment
        The circle.

    Returns
    -------
    ndarray, int64, shape (m,)
        Rows, ascending.
    """
    band = np.flatnonzero(np.abs(dec_deg - moment.dec_deg) <= moment.radius_deg)
    apart = unit_vector(ra_deg[band], dec_deg[band]) - unit_vector(moment.ra_deg, moment.dec_deg)
    chord = 2.0 * np.sin(np.radians(min(moment.radius_deg, 180.0)) / 2.0)
    return band[np.einsum("ij,ij->i", apart, apart) <= chord**2]
