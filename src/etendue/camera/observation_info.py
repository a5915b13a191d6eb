"""What a raw frame's header says, in etendue's terms."""

from dataclasses import dataclass

from etendue.geom.sky_wcs import SkyWcs


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationInfo:
    """One raw frame of one detector, translated from its header.

    Unknown numbers are NaN, unknown texts empty.
    """

    instrument: str
    """Camera name."""
    detector_id: int
    """Detector id."""
    exposure_id: int
    """``day_obs * 100000 + seq``; also the visit id."""
    day_obs: int
    """Night, ``yyyymmdd``."""
    seq: int
    """Number within the night."""
    observation_type: str
    """``bias``, ``dark``, ``flat``, ``science``, ``focus``, ``test`` or ``other``."""
    physical_filter: str = ""
    """Filter name."""
    band: str = ""
    """Band of the filter."""
    exposure_time_s: float
    """Shutter-open time [s]."""
    mjd_tai_begin: float
    """Begin [day, TAI]."""
    mjd_tai_end: float
    """End [day, TAI]."""
    ra_deg: float = float("nan")
    """Boresight right ascension [deg]."""
    dec_deg: float = float("nan")
    """Boresight declination [deg]."""
    rotation_deg: float = float("nan")
    """Position angle of the camera's y axis, from north through east [deg]."""
    airmass: float = float("nan")
    """Airmass at mid-exposure, or the header's."""
    object: str = ""
    """Target."""
    header_gain: float = float("nan")
    """Gain claimed by the header [e/ADU]."""
    header_read_noise: float = float("nan")
    """Read noise claimed by the header [e]."""
    temperature_c: float = float("nan")
    """CCD temperature [deg C]."""
    lamp_monitor: float = float("nan")
    """What a photodiode collected of a lamp's light, in the header's unit."""
    readout_mode: str = ""
    """Mode of the readout, as the header names it."""
    wcs: SkyWcs | None = None
    """Starting WCS in trimmed detector pixels."""
    wcs_is_approximate: bool = False
    """Whether `wcs` was made from pointing and plate scale only."""
    file_name: str = ""
    """Name of the file without folders."""
    observation_id: str = ""
    """The observatory's own name of the exposure."""
    group_name: str = ""
    """What the exposures of one visit have in common by the header."""

    @property
    def mjd_tai_mid(self) -> float:
        """Mid-exposure [day, TAI]."""
        return 0.5 * (self.mjd_tai_begin + self.mjd_tai_end)

    @property
    def group(self) -> str:
        """What the exposures of one visit have in common; an exposure alone is a group of its own."""
        return self.group_name or str(self.exposure_id)
