"""Moments that people write: MJD, dates and nights; all of them TAI, as Rubin's validity ranges."""

import datetime
import re
from typing import Final

from astropy.time import Time

from etendue.camera.camera import Camera
from etendue.camera.times import to_tai
from etendue.errors import InputError

_REMEDY: Final = "give an MJD, a date as 2026-03-20 or 2026-03-20T12:00, or a night as 20260320; all in TAI"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?")
_NIGHT = re.compile(r"\d{8}")
_NUMBER = re.compile(r"\d+(?:\.\d*)?")


def moment(text: str, camera: Camera) -> float:
    """Return the time that a text means.

    Parameters
    ----------
    text : str
        MJD (TAI); ISO date, with or without a time (TAI); or ``yyyymmdd``, the beginning of the night of that day_obs.
    camera : Camera
        Says when its nights begin.

    Returns
    -------
    float
        MJD [day, TAI].

    Raises
    ------
    InputError
        It is none of these.
    """
    given = text.strip()
    try:
        if _NIGHT.fullmatch(given):
            return night_begin(datetime.datetime.strptime(given, "%Y%m%d").date(), camera)
        if _NUMBER.fullmatch(given):
            return float(given)
        if _DATE.fullmatch(given):
            return float(Time(given, scale="tai").mjd)
    except ValueError:
        pass
    raise InputError("no time", value=text, remedy=_REMEDY)


def night_begin(date: datetime.date, camera: Camera) -> float:
    """Return when the night of a date begins at a camera.

    Parameters
    ----------
    date : date
        As day_obs names it.
    camera : Camera
        The camera.

    Returns
    -------
    float
        MJD [day, TAI].
    """
    midnight = (date - datetime.date(1858, 11, 17)).days  # MJD
    return to_tai(midnight - camera.header.day_obs_offset_hours / 24.0, "utc")


def written(mjd_tai: float | None) -> str:
    """Return a time for people, to the minute where it is one.

    Parameters
    ----------
    mjd_tai : float, optional
        MJD [day, TAI].

    Returns
    -------
    str
        ``2026-03-20 12:00``; empty for None.
    """
    if mjd_tai is None:
        return ""
    text = str(Time(round(mjd_tai * 86400.0) / 86400.0, format="mjd", scale="tai", precision=0).iso)
    return text.removesuffix(":00")
