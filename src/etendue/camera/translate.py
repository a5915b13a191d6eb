"""Header to `ObservationInfo` and back, as the camera YAML declares."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from etendue.camera.airmass import airmass_of_altitude, altitude_of
from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.frame_override import FrameOverride
from etendue.camera.header_field import read_number, read_text, write_value
from etendue.camera.header_spec import FieldSpec, HeaderSpec, Scalar, TimeSpec
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.times import day_obs, format_iso, parse_utc, second_of_night, to_tai, to_utc
from etendue.errors import InputError
from etendue.geom.sky_wcs import SkyWcs
from etendue.geom.sphere import separation_deg
from etendue.geom.wcs_header import read_wcs, write_wcs_of_array

OBSERVATION_TYPES = ("bias", "dark", "flat", "science", "focus", "test", "other")
_SECONDS_PER_DAY = 86400.0  # also the longest exposure: what is above is a wrong unit or no number of seconds
_FIRST_MJD, _LAST_MJD = 51546, 84416  # 2000-01-03 to 2089-12-30: ids hold no other nights (`etendue.geom.ids`)
_ABSURD_FACTOR = 100.0  # between the sizes of an image by its WCS and by the camera's plate scale


def translate(
    header: Mapping[str, Any], camera: Camera, path: str | Path = "header", override: FrameOverride | None = None
) -> ObservationInfo:
    """Translate a raw frame's header.

    Parameters
    ----------
    header : mapping
        FITS header.
    camera : Camera
        The camera that took the frame.
    path : str or Path
        File, named in errors; its folder tells the observation type where the header is silent.
    override : FrameOverride, optional
        What people say instead of the header.

    Returns
    -------
    ObservationInfo

    Raises
    ------
    InputError
        If something needed is missing or wrong: one line with file, keyword, value and remedy.
    """
    spec = camera.header
    said = override or FrameOverride(exposure=0, detector=0)
    exposure_time_s, mjd_utc, mjd_tai_begin = _read_times(header, spec, path)
    night = day_obs(mjd_utc, spec.day_obs_offset_hours)
    seq = _read_sequence(header, camera, mjd_utc, path)
    detector = _find_detector(header, camera, path)
    observation_type = said.observation_type or _read_type(header, camera, Path(path))
    physical_filter = said.physical_filter or read_text(header, spec.physical_filter)
    is_calibration = observation_type in ("bias", "dark")
    without_wcs = is_calibration or observation_type == "flat" or (said.ra_deg is not None and said.wcs is None)
    wcs = None if without_wcs else _read_wcs(said.wcs or header, camera, detector, path)
    ra_deg, dec_deg = _read_pointing(header, spec, said, path, needed=wcs is None and observation_type == "science")
    approximate = wcs is None and observation_type == "science" and math.isfinite(ra_deg) and math.isfinite(dec_deg)
    rotation_deg = read_number(header, spec.rotation, path)
    return ObservationInfo(
        instrument=camera.name,
        detector_id=detector.id,
        exposure_id=night * 100000 + seq,
        day_obs=night,
        seq=seq,
        observation_type=observation_type,
        physical_filter=physical_filter,
        band="" if is_calibration else _band(camera, physical_filter, path),
        exposure_time_s=exposure_time_s,
        mjd_tai_begin=mjd_tai_begin,
        mjd_tai_end=mjd_tai_begin + exposure_time_s / _SECONDS_PER_DAY,
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        rotation_deg=rotation_deg,
        airmass=_read_airmass(header, camera, ra_deg, dec_deg, mjd_utc + 0.5 * exposure_time_s / _SECONDS_PER_DAY),
        object=read_text(header, spec.object) if said.object is None else said.object,
        header_gain=_read_optional(header, spec.gain),
        header_read_noise=_read_noise(header, camera),
        temperature_c=_read_optional(header, spec.temperature),
        wcs=_approximate_wcs(camera, detector, ra_deg, dec_deg, rotation_deg) if approximate else wcs,
        wcs_is_approximate=approximate,
        file_name=Path(path).name,
    )


def identify_frame(header: Mapping[str, Any], camera: Camera, path: str | Path) -> tuple[int, int]:
    """Return which exposure and detector a frame is, whatever else its header lacks.

    Parameters
    ----------
    header : mapping
        FITS header.
    camera : Camera
        The camera that took the frame.
    path : str or Path
        File named in errors.

    Returns
    -------
    exposure, detector : int
        As in `ObservationInfo`.

    Raises
    ------
    InputError
        If its time, exposure time or detector is missing or wrong.
    """
    _, mjd_utc, _ = _read_times(header, camera.header, path)
    night = day_obs(mjd_utc, camera.header.day_obs_offset_hours)
    return night * 100000 + _read_sequence(header, camera, mjd_utc, path), _find_detector(header, camera, path).id


def write_header(info: ObservationInfo, camera: Camera) -> dict[str, Scalar]:
    """Return header cards that `translate` reads back to the same information (WCS apart).

    Parameters
    ----------
    info : ObservationInfo
        The frame.
    camera : Camera
        Camera whose keywords are written.

    Returns
    -------
    dict
        Keyword to value, in the camera's units and spellings.
    """
    spec = camera.header
    cards: dict[str, Scalar] = dict(spec.match)
    cards.update(_write_time(info, spec.time))
    detector = camera.detector(info.detector_id)
    numeric = spec.detector.unit == "" and not spec.detector.values
    for value, field in (
        (info.exposure_time_s, spec.exposure_time),
        (info.observation_type, spec.observation_type),
        (info.seq, spec.sequence),
        (info.physical_filter, spec.physical_filter),
        (detector.id if numeric else detector.name, spec.detector),
        (info.object, spec.object),
        (info.ra_deg, spec.ra),
        (info.dec_deg, spec.dec),
        (info.rotation_deg, spec.rotation),
        (info.airmass, spec.airmass),
        (info.header_gain, spec.gain),
        (info.header_read_noise, spec.read_noise),
        (info.temperature_c, spec.temperature),
    ):
        cards.update(write_value(value, field))
    return cards


def _read_times(header: Mapping[str, Any], spec: HeaderSpec, path: str | Path) -> tuple[float, float, float]:
    """Return the exposure time [s], and the begin as MJD in UTC and in TAI."""
    exposure_time_s = read_number(header, spec.exposure_time, path)
    if not 0.0 <= exposure_time_s <= _SECONDS_PER_DAY:
        keywords = " or ".join(spec.exposure_time.keywords)
        value = None if math.isnan(exposure_time_s) else exposure_time_s
        raise InputError(f"no valid exposure time in {keywords}", source=path, value=value, remedy="correct the header")
    return exposure_time_s, *_read_begin(header, spec.time, exposure_time_s, path)


def _read_begin(
    header: Mapping[str, Any], spec: TimeSpec, exposure_time_s: float, path: str | Path
) -> tuple[float, float]:
    """Return the begin as MJD in UTC and in TAI."""
    mjd = _read_mjd(header, spec, path)
    shift = {"begin": 0.0, "middle": 0.5, "end": 1.0}[spec.refers_to]
    mjd -= shift * exposure_time_s / _SECONDS_PER_DAY
    mjd_tai = to_tai(mjd, spec.scale)
    return (mjd if spec.scale == "utc" else to_utc(mjd)), mjd_tai


def _read_mjd(header: Mapping[str, Any], spec: TimeSpec, path: str | Path) -> float:
    found = next((key for key in spec.date if str(header.get(key) or "").strip()), None)
    if found is None:
        keywords = " or ".join(spec.date)
        raise InputError(f"no time of observation: {keywords} is missing", source=path, remedy="correct the header")
    time_of_day = next((str(header[key]) for key in spec.time if str(header.get(key) or "").strip()), None)
    try:
        mjd = _to_mjd(header[found], time_of_day, spec)
    except ValueError:
        raise InputError(f"{found} is no number", source=path, value=header[found], remedy="correct it") from None
    except InputError as error:
        raise InputError(f"{found}: {error}", source=path) from None
    if not _FIRST_MJD <= mjd < _LAST_MJD:  # NaN too
        raise InputError(f"{found} is not between 2000 and 2089", source=path, value=header[found],
                         remedy="correct the header")  # fmt: skip
    return mjd


def _to_mjd(value: object, time_of_day: str | None, spec: TimeSpec) -> float:
    if spec.format == "iso":
        return parse_utc(str(value), time_of_day)
    return float(str(value)) - (2400000.5 if spec.format == "jd" else 0.0)


def _write_time(info: ObservationInfo, spec: TimeSpec) -> dict[str, Scalar]:
    shift = {"begin": 0.0, "middle": 0.5, "end": 1.0}[spec.refers_to]
    mjd_tai = info.mjd_tai_begin + shift * (info.mjd_tai_end - info.mjd_tai_begin)
    mjd = mjd_tai if spec.scale == "tai" else to_utc(mjd_tai)
    if spec.format != "iso":
        return {spec.date[0]: mjd + (2400000.5 if spec.format == "jd" else 0.0)}
    text = format_iso(mjd)
    if not spec.time:
        return {spec.date[0]: text}
    date, time_of_day = text.split("T")
    return {spec.date[0]: date, spec.time[0]: time_of_day}


def _read_pointing(
    header: Mapping[str, Any], spec: HeaderSpec, said: FrameOverride, path: str | Path, *, needed: bool
) -> tuple[float, float]:
    """Return right ascension and declination [deg]; NaN for what is nowhere on the sky and not needed."""
    ra_deg = read_number(header, spec.ra, path) if said.ra_deg is None else said.ra_deg
    dec_deg = read_number(header, spec.dec, path) if said.dec_deg is None else said.dec_deg
    if abs(ra_deg) <= 360.0 and abs(dec_deg) <= 90.0:
        return ra_deg, dec_deg
    if needed and math.isfinite(ra_deg) and math.isfinite(dec_deg):
        keywords = " and ".join("/".join(field.keywords) for field in (spec.ra, spec.dec))
        raise InputError(f"{keywords} are no place on the sky", source=path, value=(ra_deg, dec_deg),
                         remedy="correct the header, or say it in overrides.yaml")  # fmt: skip
    return math.nan, math.nan


def _read_sequence(header: Mapping[str, Any], camera: Camera, mjd_utc: float, path: str | Path) -> int:
    spec = camera.header
    number = read_number(header, spec.sequence, path)
    if math.isnan(number):
        return second_of_night(mjd_utc, spec.day_obs_offset_hours)
    if not 0 <= number < 100000:
        keywords = " or ".join(spec.sequence.keywords)
        raise InputError(f"{keywords} is no number from 0 to 99999", source=path, value=number, remedy="correct it")
    return int(number)


def _read_type(header: Mapping[str, Any], camera: Camera, path: Path) -> str:
    spec = camera.header.observation_type
    silent = spec.model_copy(update={"constant": None})
    found = read_text(header, silent).lower()
    if found in OBSERVATION_TYPES:
        return found
    if found:
        raise InputError(
            f"{' or '.join(spec.keywords)} is no known observation type",
            source=path,
            value=found,
            remedy=f"map it to one of {', '.join(OBSERVATION_TYPES)} in the camera YAML",
        )
    folder = path.parent.name.lower()
    hint = next((kind for prefix, kind in spec.folders.items() if folder.startswith(prefix.lower())), None)
    return hint or str(spec.constant or "science")


def _find_detector(header: Mapping[str, Any], camera: Camera, path: str | Path) -> Detector:
    text = read_text(header, camera.header.detector)
    if not text and len(camera.detectors) == 1:
        return camera.detectors[0]
    if not text:
        keywords = " or ".join(camera.header.detector.keywords)
        raise InputError(f"no detector: {keywords} is missing", source=path, remedy="correct the header")
    try:
        return camera.detector(int(text) if text.isdigit() else text)
    except InputError as error:
        raise InputError(str(error), source=path) from None


def _band(camera: Camera, physical_filter: str, path: str | Path) -> str:
    if physical_filter:
        return camera.band(physical_filter, path)
    if len(camera.filters) == 1:
        return camera.filters[0].band
    keywords = " or ".join(camera.header.physical_filter.keywords)
    raise InputError(f"no filter: {keywords} is missing", source=path, remedy="correct the header")


def _read_optional(header: Mapping[str, Any], spec: FieldSpec) -> float:
    """Return a number that no frame is refused for; NaN where there is none."""
    try:
        return read_number(header, spec)
    except InputError:
        return math.nan


def _read_noise(header: Mapping[str, Any], camera: Camera) -> float:
    noise = _read_optional(header, camera.header.read_noise)
    if camera.header.read_noise.unit == "adu":
        return noise * _read_optional(header, camera.header.gain)
    return noise


def _read_airmass(header: Mapping[str, Any], camera: Camera, ra_deg: float, dec_deg: float, mjd_utc: float) -> float:
    airmass = _read_optional(header, camera.header.airmass)
    if airmass >= 1.0:
        return airmass
    altitude = _read_optional(header, camera.header.altitude)
    if math.isnan(altitude) and camera.observatory is not None and math.isfinite(ra_deg + dec_deg):
        altitude = altitude_of(ra_deg, dec_deg, mjd_utc, camera.observatory)
    return airmass_of_altitude(altitude)


def _read_wcs(header: Mapping[str, Any], camera: Camera, detector: Detector, path: str | Path) -> SkyWcs | None:
    if not str(header.get("CTYPE1", "")).strip().upper().startswith(("RA-", "DEC-")):
        return None
    dx, dy = _header_shift(camera, detector)
    try:
        wcs = read_wcs(header).shifted(dx=-dx, dy=-dy)
    except InputError as error:
        remedy = None if error.remedy else "correct the header, or give a WCS in overrides.yaml"
        raise InputError(str(error), source=path, remedy=remedy) from None
    _check_extent(wcs, camera, detector, path)
    return wcs


def write_wcs_cards(wcs: SkyWcs, camera: Camera, detector: Detector) -> dict[str, Scalar]:
    """Return WCS cards that `translate` reads back to the same WCS.

    Parameters
    ----------
    wcs : SkyWcs
        Trimmed pixels to sky.
    camera : Camera
        Camera whose headers count pixels.
    detector : Detector
        The detector.

    Returns
    -------
    dict
        Keyword to value.
    """
    dx, dy = _header_shift(camera, detector)
    cards = write_wcs_of_array(wcs.shifted(dx=dx, dy=dy), detector.bbox.shifted(dx=dx, dy=dy))
    return {name: value for name, value in cards.items() if name not in ("WCSRESID", "INVRESID")}


def _header_shift(camera: Camera, detector: Detector) -> tuple[int, int]:
    """Return the shift from trimmed pixels to those that the WCS of a header counts."""
    if camera.header.wcs_pixels == "trimmed":
        return 0, 0
    data, place = detector.amplifiers[0].raw_data, detector.amplifiers[0].bbox
    return data.x.start - place.x.start, data.y.start - place.y.start


def _check_extent(wcs: SkyWcs, camera: Camera, detector: Detector, path: str | Path) -> None:
    """Refuse a WCS that spreads the image over much more, or much less, sky than the plate scale does."""
    x, y = detector.bbox.corners()
    ra, dec = wcs.pixel_to_sky(x=x, y=y)
    found = separation_deg(ra[:2], dec[:2], ra[2:], dec[2:])  # both diagonals
    expected = math.hypot(*detector.bbox.shape) * camera.plate_scale / 3600.0
    if not ((found > expected / _ABSURD_FACTOR) & (found < expected * _ABSURD_FACTOR)).all():
        raise InputError(
            f"its WCS makes the image {found.min():.3g} deg wide, the plate scale {expected:.3g}", source=path,
            remedy="correct the header, or give a WCS in overrides.yaml",
        )  # fmt: skip


def _approximate_wcs(camera: Camera, detector: Detector, ra_deg: float, dec_deg: float, rotation_deg: float) -> SkyWcs:
    """Return a TAN WCS from pointing and plate scale, north up where the rotation is unknown."""
    scale = camera.plate_scale / 3600.0
    angle = np.radians(0.0 if math.isnan(rotation_deg) else rotation_deg)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # of the y axis, towards east
    mirror = np.diag([-scale if camera.parity_flipped else scale, scale])
    center_x, center_y = detector.center_mm
    return SkyWcs.tan(
        crpix_x=detector.bbox.x.center - center_x / detector.pixel_size_mm,
        crpix_y=detector.bbox.y.center - center_y / detector.pixel_size_mm,
        crval_ra_deg=ra_deg,
        crval_dec_deg=dec_deg,
        cd=turn @ mirror,
    )
