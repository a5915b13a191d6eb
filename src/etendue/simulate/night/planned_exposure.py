"""One exposure as it was planned and as the night was."""

from dataclasses import dataclass

_SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedExposure:
    """Pointing, times and conditions of one exposure of all detectors."""

    exposure: int
    """Exposure id: night * 100000 + number in the night."""
    day_obs: int
    """Night, YYYYMMDD."""
    seq: int
    """Number in the night."""
    band: str
    """Band."""
    exposure_time_s: float
    """Exposure time [s]."""
    mjd_tai_begin: float
    """Begin [day]."""
    ra_deg: float
    """Boresight as in the header [deg]."""
    dec_deg: float
    """Boresight as in the header [deg]."""
    rotation_deg: float
    """Position angle of the focal plane's y axis, from north through east, as in the header [deg]."""
    field: str
    """Target name."""
    airmass: float
    """At mid-exposure."""
    zenith_deg: float
    """Zenith distance at mid-exposure [deg]."""
    parallactic_deg: float
    """Position angle of the zenith, from north through east [deg]."""
    seeing_arcsec: float
    """FWHM of the air's PSF in the band, at this airmass [arcsec]."""
    cloud_mag: float
    """Grey extinction by clouds [mag]."""
    sky_mag_arcsec2: float
    """Brightness of the sky in the band, moon included [AB mag/arcsec**2]."""
    sky_gradient: tuple[float, float]
    """Relative change of the sky per degree along the focal plane's axes [1/deg]."""
    moon_deg: float
    """Distance of the moon [deg]."""
    moon_illumination: float
    """Illuminated fraction of the moon; 0 where it is below the horizon."""

    @property
    def mjd_tai_mid(self) -> float:
        """Mid-exposure [day]."""
        return self.mjd_tai_begin + 0.5 * self.exposure_time_s / _SECONDS_PER_DAY
