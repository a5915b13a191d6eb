"""When, where and in which light the sky is asked for."""

from dataclasses import dataclass

from etendue.camera.camera import Observatory
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
