"""Guess a camera from one frame of a single-CCD instrument."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from etendue.camera.amplifier import Amplifier
from etendue.camera.camera import Camera, Filter, Observatory, explain
from etendue.camera.detector import Detector
from etendue.camera.header_field import read_number
from etendue.camera.header_spec import FieldSpec, HeaderSpec, TimeSpec, TypeSpec
from etendue.camera.raw import read_pixels
from etendue.camera.section import parse_section
from etendue.errors import InputError
from etendue.geom.box import Box
from etendue.geom.wcs_header import read_wcs

_DATES = ("DATE-OBS", "DATEOBS", "DATE_OBS", "UT-OBS")
_TIMES = ("UTCSTART", "TIME-OBS", "UTC-OBS", "UTSTART", "UT-OBS", "UT", "UTC", "TIME")
_MJDS = ("MJD-OBS", "MJD")
_EXPOSURES = ("EXPTIME", "EXPOSURE", "EXP_TIME", "ITIME")
_TYPES = ("IMAGETYP", "OBSTYPE", "IMGTYPE", "OBS-TYPE", "OBS_TYPE")
_FILTERS = ("FILTER", "FILTNAME", "FILTER1", "FILTERS", "INSFLNAM")
_RAS = ("RA", "OBJCTRA", "TELRA", "OBSRA", "CRVAL1")
_DECS = ("DEC", "OBJCTDEC", "TELDEC", "OBSDEC", "CRVAL2")
_SCALES = ("SECPIX", "PIXSCALE", "IM_SCALE", "PIXSCAL", "SECPIX1", "SECPIXX", "SCALE")
_GAINS = ("EGAIN", "GAIN", "CCDGAIN", "AGAIN_01", "GAIN1")
_NOISES = ("RDNOISE", "READNOIS", "ENOISE", "RON", "ARDNS_01", "RDNOISE1")
_SATURATIONS = ("SATURATE", "SATLEVEL", "MAXLIN")
_SEQUENCES = ("OBSERNO", "SEQNUM", "OBSNUM")
_AIRMASSES = ("AIRMASS", "SECZ")
_ALTITUDES = ("TELALT", "OBJCTALT", "CENTALT")
_TEMPERATURES = ("CCD-TEMP", "CCDTEMP", "DETTEMP")
_LATITUDES = ("LATITUDE", "SITELAT", "LAT-OBS", "OBSGEO-B")
_LONGITUDES = ("LONGITUD", "SITELONG", "LONG-OBS", "OBSGEO-L")
_ELEVATIONS = ("ALTITUDE", "SITEELEV", "ALT-OBS", "OBSGEO-H")
_TYPE_VALUES = {
    "object": "science", "light": "science", "light frame": "science", "science": "science", "sky": "science",
    "bias": "bias", "bias frame": "bias", "zero": "bias", "dark": "dark", "dark frame": "dark",
    "flat": "flat", "flat field": "flat", "flat frame": "flat", "skyflat": "flat", "sky flat": "flat",
    "domeflat": "flat", "dome flat": "flat", "twilight": "flat", "focus": "focus", "test": "test",
}  # fmt: skip
_SATURATED_REPEATS = 5


class _Clues:
    """A header with what was found in it and what was not."""

    def __init__(self, header: Mapping[str, Any]):
        self.header = header
        self.notes: list[str] = []

    def first(self, keywords: tuple[str, ...]) -> str | None:
        """Return the first keyword that has a value."""
        return next((key for key in keywords if str(self.header.get(key, "")).strip()), None)  # 0 is a value

    def field(self, what: str, keywords: tuple[str, ...], default: str = "left out") -> FieldSpec:
        """Return the translation of a quantity and note where it is from."""
        found = self.first(keywords)
        self.notes.append(f"{what}: {found}" if found else f"{what}: not found, {default}")
        return FieldSpec(keywords=(found,)) if found else FieldSpec()

    def number(self, what: str, keywords: tuple[str, ...], default: float) -> float:
        """Return a number, or the default with a note that it is a guess."""
        found = self.first(keywords)
        value = read_number(self.header, FieldSpec(keywords=(found,))) if found else default
        self.notes.append(f"{what}: {value:g} from {found}" if found else f"{what}: not found, {default:g} assumed")
        return value


def rank_frames(headers: Mapping[Path, Mapping[str, Any]]) -> list[Path]:
    """Sort frames by how much they tell about their camera: first those of the sky, with a WCS, filter and pointing.

    Parameters
    ----------
    headers : mapping of Path to mapping
        Frames and their headers.

    Returns
    -------
    list of Path
        Equals keep their order.
    """

    def merit(path: Path) -> tuple[bool, ...]:
        clues = _Clues(headers[path])
        kind = clues.first(_TYPES)
        word = str(headers[path][kind]).strip().lower() if kind else path.parent.name.lower()
        on_sky = _TYPE_VALUES.get(word) == "science" if kind else not word.startswith(tuple(TypeSpec().folders))
        has_wcs = str(headers[path].get("CTYPE1", "")).upper().startswith(("RA-", "DEC-"))
        return on_sky, has_wcs, clues.first(_FILTERS) is not None, clues.first(_RAS) is not None

    return sorted(headers, key=merit, reverse=True)


def guess_camera(path: str | Path, *, others: Iterable[str | Path] = ()) -> Camera:
    """Make a camera from the header and pixels of one frame.

    Parameters
    ----------
    path : str or Path
        FITS file of one CCD, preferably a science frame.
    others : iterable of str or Path
        More frames of the camera, flats too, whose brightest pixels tell where it saturates.

    Returns
    -------
    Camera
        Ready to use, or to save with `Camera.to_yaml` and correct; ``notes`` says what was found where
        and what had to be assumed.

    Raises
    ------
    InputError
        If the file is no FITS image, or has no time or exposure time.
    """
    header, pixels = read_pixels(path)
    try:
        brightest = max([_Brightest.of(pixels), *_readable(others)], key=lambda found: found.value)
        return _guess(_Clues(header), pixels.shape, brightest, path)
    except ValidationError as error:
        raise explain(error, path) from None


@dataclass(frozen=True)
class _Brightest:
    """The brightest pixels of a frame."""

    value: float
    repeats: int

    @classmethod
    def of(cls, pixels: NDArray) -> "_Brightest":
        top = float(np.max(pixels, initial=0.0, where=np.isfinite(pixels)))
        return cls(top, int(np.count_nonzero(pixels == top)))


def _readable(paths: Iterable[str | Path]) -> Iterator[_Brightest]:
    for path in paths:
        try:
            yield _Brightest.of(read_pixels(path)[1])
        except InputError:  # ingest says what is wrong with it
            continue


def _guess(clues: _Clues, shape: tuple[int, ...], brightest: _Brightest, path: str | Path) -> Camera:
    detector = _guess_detector(clues, shape, brightest)
    site = _guess_site(clues)
    scale = _guess_plate_scale(clues, path)
    filters = _guess_filter(clues)
    return Camera(
        name=_guess_name(clues.header, Path(path)),
        description=f"guessed from {Path(path).name}",
        observatory=site,
        plate_scale=scale,
        filters=filters,
        accept_unknown_filters=True,
        detectors=(detector,),
        header=_guess_header(clues, site, path),
        notes=tuple(clues.notes),
    )


def _guess_name(header: Mapping[str, Any], path: Path) -> str:
    words = [str(header.get(key) or "") for key in ("TELESCOP", "INSTRUME")]
    slug = re.sub(r"[^A-Za-z0-9]+", "_", " ".join(words)).strip("_").lower()
    return slug if slug[:1].isalpha() else f"camera_{re.sub(r'[^A-Za-z0-9]+', '_', path.name.split('.')[0])}"


def _guess_detector(clues: _Clues, shape: tuple[int, ...], brightest: _Brightest) -> Detector:
    ny, nx = shape
    whole = Box.from_shape((ny, nx))
    data = _section(clues, ("TRIMSEC", "DATASEC"), "light-sensitive pixels", whole) or whole
    overscan = _section(clues, ("BIASSEC",), "overscan", whole)
    amplifier = Amplifier(
        name="A",
        raw_data=data,
        bbox=Box.from_shape(data.shape),
        raw_serial_overscan=overscan if overscan and overscan.y == data.y else None,
        raw_parallel_overscan=overscan if overscan and overscan.y != data.y else None,
        gain=_positive(clues, "gain [e/ADU]", _GAINS, 1.0),
        read_noise=_positive(clues, "read noise [e]", _NOISES, 5.0),
        saturation=_guess_saturation(clues, brightest),
    )
    return Detector(id=0, name="CCD", raw_shape=(ny, nx), amplifiers=(amplifier,))


def _positive(clues: _Clues, what: str, keywords: tuple[str, ...], default: float) -> float:
    value = clues.number(what, keywords, default)
    return value if value > 0.0 else default


def _section(clues: _Clues, keywords: tuple[str, ...], what: str, whole: Box) -> Box | None:
    found = clues.first(keywords)
    if found is None:
        clues.notes.append(f"{what}: {' and '.join(keywords)} not found")
        return None
    try:
        box = parse_section(clues.header[found])
    except InputError as error:
        clues.notes.append(f"{what}: {found} {error}")
        return None
    if not whole.contains_box(box):
        clues.notes.append(f"{what}: {found} {clues.header[found]} lies outside the frame, ignored")
        return None
    clues.notes.append(f"{what}: {found}")
    return box


def _guess_saturation(clues: _Clues, brightest: _Brightest) -> float:
    """Return the header's level, else the pixel value at which counts pile up, else the converter's range."""
    if clues.first(_SATURATIONS):
        return _positive(clues, "saturation [ADU]", _SATURATIONS, 65535.0)
    top, repeats = brightest.value, brightest.repeats
    if repeats >= _SATURATED_REPEATS and top > 1000.0:
        clues.notes.append(f"saturation: {top:g}, the value of the {repeats} brightest pixels")
        return top
    level = next((float(2**bits - 1) for bits in (12, 14, 16) if top < 2**bits), top)
    clues.notes.append(f"saturation: not seen, {level:g} assumed from the brightest pixel {top:g}")
    return level


def _guess_site(clues: _Clues) -> Observatory | None:
    if clues.first(_LATITUDES) is None or clues.first(_LONGITUDES) is None:
        clues.notes.append("site: not found; airmass and parallax need it, add 'observatory'")
        return None
    longitude = clues.number("longitude, taken as positive East", _LONGITUDES, 0.0)
    elevation = clues.number("elevation [m]", _ELEVATIONS, 0.0)
    name = str(clues.header.get("OBSERVAT") or clues.header.get("TELESCOP") or "unknown")
    latitude = clues.number("latitude", _LATITUDES, 0.0)
    return Observatory(name=name, longitude_deg=longitude, latitude_deg=latitude, elevation_m=elevation)


def _guess_plate_scale(clues: _Clues, path: str | Path) -> float:
    if str(clues.header.get("CTYPE1", "")).upper().startswith(("RA-", "DEC-")):
        try:
            scale = float(read_wcs(clues.header).pixel_scale())
        except InputError as error:
            clues.notes.append(f"WCS of {path} not usable: {error}")
        else:
            clues.notes.append(f"plate scale: {scale:.4g} arcsec/px from the WCS")
            return scale
    if clues.first(_SCALES) is None and clues.first(("FOCALLEN",)) and clues.first(("XPIXSZ",)):
        size_um, focal_mm = (read_number(clues.header, FieldSpec(keywords=(key,))) for key in ("XPIXSZ", "FOCALLEN"))
        if focal_mm > 0.0:
            clues.notes.append("plate scale: XPIXSZ / FOCALLEN")
            return 206.265 * size_um / focal_mm
    return _positive(clues, "plate scale [arcsec/px]", _SCALES, 1.0)


def _guess_filter(clues: _Clues) -> tuple[Filter, ...]:
    found = clues.first(_FILTERS)
    if found is None:
        return (Filter(physical_filter="unfiltered", band="unfiltered"),)
    name = str(clues.header[found]).strip()
    band = "".join(char for char in name if char.isalnum()) or "unknown"
    return (Filter(physical_filter=name, band=band),)


def _guess_time(clues: _Clues, path: str | Path) -> TimeSpec:
    date = clues.first(_DATES)
    if date is not None and ":" in str(clues.header[date]):
        clues.notes.append(f"time: {date}, taken as UTC at the begin of the exposure")
        return TimeSpec(date=(date,))
    clock = clues.first(_TIMES)
    if date is not None and clock is not None:
        clues.notes.append(f"time: {date} and {clock}, taken as UTC at the begin of the exposure")
        return TimeSpec(date=(date,), time=(clock,))
    mjd = clues.first(_MJDS) or clues.first(("JD",))
    if mjd is None:
        raise InputError("no time of observation in its header", source=path, remedy="write the camera YAML by hand")
    clues.notes.append(f"time: {mjd}, taken as UTC at the begin of the exposure")
    return TimeSpec(date=(mjd,), format="jd" if mjd == "JD" else "mjd")


def _guess_header(clues: _Clues, site: Observatory | None, path: str | Path) -> HeaderSpec:
    exposure_time = clues.field("exposure time", _EXPOSURES)
    if not exposure_time.keywords:
        raise InputError("no exposure time in its header", source=path, remedy="write the camera YAML by hand")
    kind = clues.field("observation type", _TYPES, "folder names tell, else science")
    identity = {key: str(clues.header[key]).strip() for key in ("TELESCOP", "INSTRUME") if clues.first((key,))}
    physical_filter = clues.field("filter", _FILTERS, "one filter assumed")
    return HeaderSpec(
        match=identity,
        time=_guess_time(clues, path),
        exposure_time=exposure_time,
        observation_type=TypeSpec(keywords=kind.keywords, values=_TYPE_VALUES, constant="science"),
        day_obs_offset_hours=round(site.longitude_deg / 15.0 - 12.0) if site else 0.0,
        sequence=clues.field("sequence number", _SEQUENCES, "second of the night instead"),
        physical_filter=physical_filter if physical_filter.keywords else FieldSpec(constant="unfiltered"),
        ra=_angle(clues, "right ascension", _RAS, "hour"),
        dec=_angle(clues, "declination", _DECS, "deg"),
        airmass=clues.field("airmass", _AIRMASSES, "computed"),
        altitude=clues.field("altitude", _ALTITUDES, "computed"),
        gain=clues.field("header gain", _GAINS),
        read_noise=clues.field("header read noise", _NOISES),
        temperature=clues.field("temperature", _TEMPERATURES),
    )


def _angle(clues: _Clues, what: str, keywords: tuple[str, ...], sexagesimal_unit: str) -> FieldSpec:
    """Return the translation of an angle: degrees where it is a plain number."""
    spec = clues.field(what, keywords)
    if not spec.keywords:
        return spec
    text = str(clues.header[spec.keywords[0]]).strip()
    unit = sexagesimal_unit if re.search(r"\d[:\s]+\d", text) else "deg"
    return spec.model_copy(update={"unit": unit})
