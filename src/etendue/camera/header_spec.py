"""The declarative header translation of a camera YAML."""

import re
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Scalar = str | int | float
TimeScale = Literal["utc", "tai", "tt", "tdb", "gps"]
_FORMATS = ("iso", "mjd", "jd", "unix")


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class FieldSpec(_Spec):
    """How one quantity is read from, and written to, a header.

    What is tried first: ``join``, then ``keywords`` in their order, then ``file_name``, then ``constant``.
    """

    keywords: tuple[str, ...] = ()
    """Keywords tried in this order; the first is written."""

    join: str = ""
    """A text made of several cards, ``"{RAFTBAY}_{CCDSLOT}"``; nothing where one of them is missing."""

    form: str = ""
    """How the value stands in the text of its card, ``"HSCA{:06d}00"``; a card of another form does not count."""

    file_name: str = ""
    """Regular expression with one group, searched in the name of the file where no card tells."""

    unit: Literal["", "s", "ms", "min", "deg", "hour", "rad", "C", "K", "F", "e", "adu"] = ""
    """Unit in the header; ``hour`` and ``deg`` also read ``hh:mm:ss`` and ``dd:mm:ss``."""

    factor: float = 1.0
    """Our number is the header's, in our unit, times this ..."""

    offset: float = 0.0
    """... plus this."""

    modulo: int | None = Field(None, ge=2)
    """Only the remainder of the number by this counts: a counter of all exposures ever becomes one of five digits."""

    values: dict[str, Scalar] = {}
    """Header value (any case) to our value; a value that is not listed is kept."""

    missing: tuple[Scalar, ...] = ()
    """Header values that mean "unknown"."""

    constant: Scalar | None = None
    """Value where nothing else gives one."""

    @field_validator("factor")
    @classmethod
    def _check_factor(cls, factor: float) -> float:
        if factor == 0.0:
            raise ValueError("0 makes every number the same")
        return factor

    @field_validator("form")
    @classmethod
    def _check_form(cls, form: str) -> str:
        if form and len(re.findall(r"\{[^{}]*\}", form)) != 1:
            raise ValueError("write the place of the value once, as {} or {:06d}")
        return form

    @field_validator("file_name")
    @classmethod
    def _check_pattern(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        if pattern and groups != 1:
            raise ValueError("put the part that counts, and only that, into round brackets")
        return pattern


class TypeSpec(FieldSpec):
    """How the observation type is found."""

    otherwise: str = ""
    """Type of header values that are not listed; without it such a frame is refused."""

    folders: dict[str, str] = {"bias": "bias", "zero": "bias", "dark": "dark", "flat": "flat"}
    """Where the header is silent: a folder name that starts like this (any case) means this type."""


class TimeSpec(_Spec):
    """How the time of an exposure is composed."""

    date: tuple[str, ...] = Field(min_length=1)
    """Keywords of the date, or of date and time together, tried in this order."""

    time: tuple[str, ...] = ()
    """Keywords of the time of day, for dates without one."""

    format: str = "iso"
    """``iso`` reads yyyy-mm-dd[Thh:mm:ss[.s][+hhmm]] with or without padding, and dd/mm/yy before 2000; ``mjd``, ``jd``
    and ``unix`` are numbers; anything else is a pattern of Python's strptime, ``"%d/%m/%Y %I:%M:%S %p"``."""

    scale: TimeScale = "utc"
    """Time scale of the header."""

    scale_keywords: tuple[str, ...] = ()
    """Cards that name the time scale, such as TIMESYS; `scale` counts where none does."""

    zone_hours: float = Field(0.0, ge=-14.0, le=14.0)
    """How far the header's clock is ahead of UTC [h]: -7 for Mountain Standard Time."""

    refers_to: Literal["begin", "middle", "end"] = "begin"
    """The moment of the exposure that is recorded."""

    otherwise: "TimeSpec | None" = None
    """Another way, for headers that have none of the ``date`` cards."""

    @field_validator("format")
    @classmethod
    def _check_format(cls, text: str) -> str:
        if text not in _FORMATS and "%" not in text:
            raise ValueError(f"give one of {', '.join(_FORMATS)}, or a pattern such as %d/%m/%Y %H:%M:%S")
        return text

    @model_validator(mode="after")
    def _check_pattern(self) -> Self:
        if self.format in ("mjd", "jd", "unix") and self.time:
            raise ValueError(f"a date as {self.format} holds the time of day: leave out 'time'")
        return self


class HeaderSpec(_Spec):
    """Translation of one camera's headers."""

    match: dict[str, str | tuple[str, ...]] = {}
    """Keywords and values (prefixes, any case) that tell this camera's files from others."""

    translator: str = ""
    """Class of astro-metadata-translator that corrects the headers and reads time, exposure time, type, filter,
    detector, sequence number, target and the observatory's own id: ``DECam``, ``HSC``, ``MegaPrime``. The fields below
    then serve for what it cannot read, and for writing."""

    time: TimeSpec
    """Time of the exposure."""

    exposure_time: FieldSpec
    """Shutter-open time."""

    observation_type: TypeSpec
    """bias, dark, flat, science, focus, test or other."""

    day_obs_offset_hours: float = 0.0
    """Added to UTC before taking the date of the night."""

    day_obs: FieldSpec = FieldSpec()
    """Date of the night, where the header gives it: yyyymmdd, with or without hyphens."""

    sequence: FieldSpec = FieldSpec()
    """Number within the night, below 100,000; without one, the second of the day."""

    observation_id: FieldSpec = FieldSpec()
    """The observatory's own name of the exposure."""

    group: FieldSpec = FieldSpec()
    """What the exposures of one visit have in common; without one, an exposure is a group of its own."""

    physical_filter: FieldSpec = FieldSpec()
    """Filter name."""

    detector: FieldSpec = FieldSpec()
    """Detector id or name; needless for one detector."""

    detector_by: Literal["id", "name"] = "id"
    """Whether `detector` holds a number or a name: decides where both are digits, and what is written."""

    object: FieldSpec = FieldSpec(keywords=("OBJECT",))
    """Target name."""

    ra: FieldSpec = FieldSpec()
    """Boresight right ascension."""

    dec: FieldSpec = FieldSpec()
    """Boresight declination."""

    rotation: FieldSpec = FieldSpec()
    """Position angle of the focal plane's y axis, from north through east [deg]."""

    airmass: FieldSpec = FieldSpec()
    """Airmass; computed from altitude or position where absent."""

    altitude: FieldSpec = FieldSpec()
    """Altitude above the horizon [deg]."""

    readout_mode: FieldSpec = FieldSpec()
    """Mode of the readout; calibrations are built from frames of one mode."""

    gain: FieldSpec = FieldSpec()
    """Gain that the header claims [e/ADU]."""

    read_noise: FieldSpec = FieldSpec()
    """Read noise that the header claims."""

    temperature: FieldSpec = FieldSpec()
    """CCD temperature."""

    lamp_monitor: FieldSpec = FieldSpec()
    """What a photodiode collected of the light of a flat or of a projector's spot, in any unit: linearity and the power
    of spots are judged by it rather than by the exposure time."""

    wcs_source: Literal["header", "pointing"] = "header"
    """Where the starting WCS comes from: the header's own WCS if it has one, or always pointing, rotation, plate scale,
    distortion and the detector's place on the focal plane."""

    wcs_pixels: Literal["raw", "trimmed"] = "raw"
    """Whether the header's WCS counts raw or trimmed pixels."""

    @property
    def counts_exposures(self) -> bool:
        """Whether headers number the exposures of a night; else the second of the night does."""
        return bool(self.sequence.keywords or self.sequence.join)

    @property
    def fixed_rotation_deg(self) -> float | None:
        """Rotation of a camera that cannot turn [deg]; None where headers tell it."""
        fixed = self.rotation.constant
        return float(fixed) if isinstance(fixed, int | float) and not self.rotation.keywords else None
