"""The declarative header translation of a camera YAML."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Scalar = str | int | float


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class FieldSpec(_Spec):
    """How one quantity is read from, and written to, a header."""

    keywords: tuple[str, ...] = ()
    """Keywords tried in this order; the first is written."""

    unit: Literal["", "s", "ms", "min", "deg", "hour", "C", "K", "F", "e", "adu"] = ""
    """Unit in the header; ``hour`` and ``deg`` also read ``hh:mm:ss`` and ``dd:mm:ss``."""

    values: dict[str, Scalar] = {}
    """Header value (any case) to our value; a value that is not listed is kept."""

    missing: tuple[Scalar, ...] = ()
    """Header values that mean "unknown"."""

    constant: Scalar | None = None
    """Value where no keyword gives one."""


class TypeSpec(FieldSpec):
    """How the observation type is found."""

    folders: dict[str, str] = {"bias": "bias", "zero": "bias", "dark": "dark", "flat": "flat"}
    """Where the header is silent: a folder name that starts like this (any case) means this type."""


class TimeSpec(_Spec):
    """How the time of an exposure is composed."""

    date: tuple[str, ...]
    """Keywords of the date, or of date and time together, tried in this order."""

    time: tuple[str, ...] = ()
    """Keywords of the time of day, for dates without one."""

    format: Literal["iso", "mjd", "jd"] = "iso"
    """``iso`` reads yyyy-mm-dd[Thh:mm:ss[.s][+hhmm]] with or without padding, and dd/mm/yy."""

    scale: Literal["utc", "tai"] = "utc"
    """Time scale of the header."""

    refers_to: Literal["begin", "middle", "end"] = "begin"
    """The moment of the exposure that is recorded."""


class HeaderSpec(_Spec):
    """Translation of one camera's headers."""

    match: dict[str, str] = {}
    """Keywords and values (prefixes, any case) that tell this camera's files from others."""

    time: TimeSpec
    """Time of the exposure."""

    exposure_time: FieldSpec
    """Shutter-open time."""

    observation_type: TypeSpec
    """bias, dark, flat, science, focus, test or other."""

    day_obs_offset_hours: float = 0.0
    """Added to UTC before taking the date of the night."""

    sequence: FieldSpec = FieldSpec()
    """Number within the night; without one, the second of the day."""

    physical_filter: FieldSpec = FieldSpec()
    """Filter name."""

    detector: FieldSpec = FieldSpec()
    """Detector id or name; needless for one detector."""

    object: FieldSpec = FieldSpec(keywords=("OBJECT",))
    """Target name."""

    ra: FieldSpec = FieldSpec()
    """Boresight right ascension."""

    dec: FieldSpec = FieldSpec()
    """Boresight declination."""

    rotation: FieldSpec = FieldSpec()
    """Position angle of the camera [deg]."""

    airmass: FieldSpec = FieldSpec()
    """Airmass; computed from altitude or position where absent."""

    altitude: FieldSpec = FieldSpec()
    """Altitude above the horizon [deg]."""

    gain: FieldSpec = FieldSpec()
    """Gain that the header claims [e/ADU]."""

    read_noise: FieldSpec = FieldSpec()
    """Read noise that the header claims."""

    temperature: FieldSpec = FieldSpec()
    """CCD temperature."""

    wcs_pixels: Literal["raw", "trimmed"] = "raw"
    """Whether the header's WCS counts raw or trimmed pixels."""
