"""When, where and how an exposure was taken."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from etendue.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitInfo:
    """Facts about one visit; unknown numbers are NaN, unknown words empty.

    Parameters
    ----------
    visit : int
        Visit id, ``day_obs * 100000 + seq``; 0 for none (coadds).
    exposure_time_s : float
        Open-shutter time [s].
    mjd_tai : float
        Middle of the exposure [d, TAI].
    date_begin_mjd_tai : float
        Start of the exposure [d, TAI].
    ra_deg, dec_deg : float
        Boresight, ICRS [deg].
    rotation_deg : float
        Angle from north through east to the camera's +y axis [deg].
    airmass : float
        At mid-exposure.
    longitude_deg, latitude_deg, elevation_m : float
        Observatory, east longitude [deg] and height [m].
    day_obs : int
        Observing day, YYYYMMDD.
    seq : int
        Number of the exposure within the day.
    object : str
        Target name.
    observation_type : str
        "science", "flat", "bias", ...
    instrument : str
        Camera name.
    file_name : str
        Name of the raw file, without folder.

    Raises
    ------
    InputError
        If the exposure time is negative.
    """

    visit: int = 0
    exposure_time_s: float = math.nan
    mjd_tai: float = math.nan
    date_begin_mjd_tai: float = math.nan
    ra_deg: float = math.nan
    dec_deg: float = math.nan
    rotation_deg: float = math.nan
    airmass: float = math.nan
    longitude_deg: float = math.nan
    latitude_deg: float = math.nan
    elevation_m: float = math.nan
    day_obs: int = 0
    seq: int = 0
    object: str = ""
    observation_type: str = ""
    instrument: str = ""
    file_name: str = ""

    def __post_init__(self) -> None:
        for item in fields(self):
            # numpy scalars and None come from headers; the default tells the type.
            default: Any = item.default
            value = getattr(self, item.name)
            object.__setattr__(self, item.name, default if value is None else type(default)(value))
        if self.exposure_time_s < 0.0:
            raise InputError("exposure time is negative", value=self.exposure_time_s)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; NaN becomes None.

        Returns
        -------
        dict
        """
        return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "VisitInfo":
        """Return the visit written by `to_dict`.

        Parameters
        ----------
        state : mapping
            As returned by `to_dict`; unknown keys of newer versions are left out.

        Returns
        -------
        VisitInfo
        """
        known = {item.name for item in fields(cls)}
        return cls(**{key: value for key, value in state.items() if key in known and value is not None})
