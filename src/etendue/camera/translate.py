"""Header to `ObservationInfo`, as the camera YAML declares."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from etendue.camera.airmass import airmass_of_altitude, altitude_of
from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.frame_override import FrameOverride
from etendue.camera.header_reader import CardUse, HeaderReader
from etendue.camera.header_time import SECONDS_PER_DAY
from etendue.camera.header_wcs import pointing_wcs, read_header_wcs
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.times import day_obs, second_of_night, to_utc
from etendue.errors import InputError

OBSERVATION_TYPES = ("bias", "dark", "flat", "science", "focus", "test", "other")
_SEQUENCES = 100_000  # numbers within a night


class _Moment(NamedTuple):
    """When an exposure is, and which of its night."""

    exposure_time_s: float
    mjd_tai: float
    night: int
    seq: int
    group: str

    @property
    def exposure_id(self) -> int:
        return self.night * _SEQUENCES + self.seq


def translate(
    header: Mapping[str, Any],
    camera: Camera,
    path: str | Path = "header",
    override: FrameOverride | None = None,
    *,
    snap: int = 0,
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
    snap : int
        Plane of a cube of snaps, from 0: an exposure of its own.

    Returns
    -------
    ObservationInfo

    Raises
    ------
    InputError
        If something needed is missing or wrong: one line with file, keyword, value and remedy.
    """
    return _translate(HeaderReader(header, camera.header, path), camera, override, snap)


def trace_cards(
    header: Mapping[str, Any], camera: Camera, path: str | Path = "header", *, snap: int = 0
) -> tuple[list[CardUse], ObservationInfo | InputError]:
    """Translate a header and tell which card gave what.

    Parameters
    ----------
    header : mapping
        FITS header.
    camera : Camera
        The camera that took the frame.
    path : str or Path
        File.
    snap : int
        Plane of a cube of snaps.

    Returns
    -------
    uses : list of CardUse
        In the order of reading, as far as it came.
    result : ObservationInfo or InputError
        What was read, or why not.
    """
    reader = HeaderReader(header, camera.header, path)
    try:
        result: ObservationInfo | InputError = _translate(reader, camera, None, snap)
    except InputError as error:
        result = error
    return list(reader.uses.values()), result


def identify_frame(header: Mapping[str, Any], camera: Camera, path: str | Path, *, snap: int = 0) -> tuple[int, int]:
    """Return which exposure and detector a frame is, whatever else its header lacks.

    Parameters
    ----------
    header : mapping
        FITS header.
    camera : Camera
        The camera that took the frame.
    path : str or Path
        File named in errors.
    snap : int
        Plane of a cube of snaps.

    Returns
    -------
    exposure, detector : int
        As in `ObservationInfo`.

    Raises
    ------
    InputError
        If its time, exposure time or detector is missing or wrong.
    """
    reader = HeaderReader(header, camera.header, path)
    return _read_moment(reader, camera, snap).exposure_id, find_detector(reader, camera).id


def _translate(reader: HeaderReader, camera: Camera, override: FrameOverride | None, snap: int) -> ObservationInfo:
    said = override or FrameOverride(exposure=0, detector=0)
    path = reader.path
    moment = _read_moment(reader, camera, snap)
    detector = find_detector(reader, camera)
    observation_type = said.observation_type or _read_type(reader)
    physical_filter = said.physical_filter or reader.text("physical_filter")
    is_calibration = observation_type in ("bias", "dark")
    if not physical_filter and len(camera.filters) == 1 and not is_calibration:
        physical_filter = camera.filters[0].physical_filter
    without_wcs = is_calibration or observation_type == "flat" or (said.ra_deg is not None and said.wcs is None)
    wcs = None if without_wcs else read_header_wcs(reader.header, camera, detector, path, said.wcs)
    ra_deg, dec_deg = _read_pointing(reader, said, needed=wcs is None and observation_type == "science")
    approximate = wcs is None and observation_type == "science" and math.isfinite(ra_deg) and math.isfinite(dec_deg)
    rotation_deg = reader.number("rotation")
    end = moment.mjd_tai + moment.exposure_time_s / SECONDS_PER_DAY
    return ObservationInfo(
        instrument=camera.name,
        detector_id=detector.id,
        exposure_id=moment.exposure_id,
        day_obs=moment.night,
        seq=moment.seq,
        observation_type=observation_type,
        physical_filter=physical_filter,
        band="" if is_calibration else _band(reader, camera, physical_filter),
        exposure_time_s=moment.exposure_time_s,
        mjd_tai_begin=moment.mjd_tai,
        mjd_tai_end=end,
        ra_deg=ra_deg,
        dec_deg=dec_deg,
        rotation_deg=rotation_deg,
        airmass=_read_airmass(reader, camera, ra_deg, dec_deg, 0.5 * (moment.mjd_tai + end)),
        object=reader.text("object") if said.object is None else said.object,
        header_gain=reader.optional("gain"),
        header_read_noise=_read_noise(reader),
        temperature_c=reader.optional("temperature"),
        lamp_monitor=reader.optional("lamp_monitor"),
        readout_mode=reader.text("readout_mode"),
        wcs=pointing_wcs(camera, detector, ra_deg, dec_deg, rotation_deg) if approximate else wcs,
        wcs_is_approximate=approximate,
        file_name=Path(path).name,
        observation_id=reader.text("observation_id"),
        group_name=moment.group,
    )


def _read_moment(reader: HeaderReader, camera: Camera, snap: int) -> _Moment:
    spec, cube = reader.spec, camera.files.cube
    seconds = reader.exposure_time()
    begin = reader.begin(seconds)
    night = _read_night(reader, begin.mjd_utc)
    number = reader.number("sequence")
    counted = not math.isnan(number)
    if counted and not (0 <= number < _SEQUENCES):
        raise InputError(f"{reader.keywords('sequence')} is no number from 0 to 99999", source=reader.path,
                         value=number, remedy="correct it, or give 'modulo' in the camera YAML")  # fmt: skip
    seq = int(number) if counted else second_of_night(begin.mjd_utc, spec.day_obs_offset_hours)
    group = reader.text("group")
    if cube is None:
        return _Moment(seconds, begin.mjd_tai, night, seq, group)
    seconds, wait_s = cube.times(seconds, snap)
    first = cube.number(seq, 0, reader.path) if counted else seq
    seq = cube.number(seq, snap, reader.path) if counted else seq + round(wait_s)
    group = group or str(night * _SEQUENCES + first)
    return _Moment(seconds, begin.mjd_tai + wait_s / SECONDS_PER_DAY, night, seq, group)


def _read_night(reader: HeaderReader, mjd_utc: float) -> int:
    text = reader.text("day_obs").replace("-", "")
    if not text:
        return day_obs(mjd_utc, reader.spec.day_obs_offset_hours)
    # It must be a date near the exposure's: an id is made of it.
    near = {day_obs(mjd_utc, 24.0 * days) for days in (-1, 0, 1)}
    if not text.isdigit() or int(text) not in near:
        raise InputError(f"{reader.keywords('day_obs')} is no date within a day of the exposure", source=reader.path,
                         value=text, remedy="correct the header")  # fmt: skip
    return int(text)


def _read_pointing(reader: HeaderReader, said: FrameOverride, *, needed: bool) -> tuple[float, float]:
    """Return right ascension and declination [deg]; NaN for what is nowhere on the sky and not needed."""
    ra_deg = reader.number("ra") if said.ra_deg is None else said.ra_deg
    dec_deg = reader.number("dec") if said.dec_deg is None else said.dec_deg
    if abs(ra_deg) <= 360.0 and abs(dec_deg) <= 90.0:
        return ra_deg, dec_deg
    if needed and math.isfinite(ra_deg) and math.isfinite(dec_deg):
        keywords = " and ".join("/".join(field.keywords) for field in (reader.spec.ra, reader.spec.dec))
        raise InputError(f"{keywords} are no place on the sky", source=reader.path, value=(ra_deg, dec_deg),
                         remedy="correct the header, or say it in overrides.yaml")  # fmt: skip
    return math.nan, math.nan


def _read_type(reader: HeaderReader) -> str:
    spec = reader.spec.observation_type
    found = reader.text("observation_type", spec.model_copy(update={"constant": None})).lower()
    if found in OBSERVATION_TYPES:
        return found
    if found and spec.otherwise:
        return spec.otherwise
    if found:
        raise InputError(
            f"{reader.keywords('observation_type')} is no known observation type",
            source=reader.path,
            value=found,
            remedy=f"map it to one of {', '.join(OBSERVATION_TYPES)} in the camera YAML",
        )
    folder = Path(reader.path).parent.name
    hint = next((kind for prefix, kind in spec.folders.items() if folder.lower().startswith(prefix.lower())), None)
    kind = hint or str(spec.constant or "science")
    reader.uses["observation_type"] = CardUse("observation_type", f"folder {folder}" if hint else "constant", kind)
    return kind


def find_detector(reader: HeaderReader, camera: Camera) -> Detector:
    """Return the detector of a frame.

    Parameters
    ----------
    reader : HeaderReader
        Its header.
    camera : Camera
        The camera.

    Returns
    -------
    Detector

    Raises
    ------
    InputError
        If the header names none, or one that the camera does not have.
    """
    text = reader.text("detector")
    if not text and len(camera.detectors) == 1:
        return camera.detectors[0]
    found = camera.find_detector(text, reader.spec.detector_by) if text else None
    if found is None and reader.spec.translator and (own := reader.own_text("detector")):
        found, text = camera.find_detector(own, reader.spec.detector_by), own
    if found is not None:
        return found
    if not text:
        raise InputError(f"no detector: {reader.keywords('detector')} is missing", source=reader.path,
                         remedy="correct the header")  # fmt: skip
    try:
        return camera.detector(text)
    except InputError as error:
        raise InputError(str(error), source=reader.path) from None


def _band(reader: HeaderReader, camera: Camera, physical_filter: str) -> str:
    if physical_filter:
        return camera.band(physical_filter, reader.path)
    raise InputError(f"no filter: {reader.keywords('physical_filter')} is missing", source=reader.path,
                     remedy="correct the header")  # fmt: skip


def _read_noise(reader: HeaderReader) -> float:
    noise = reader.optional("read_noise")
    return noise * reader.optional("gain") if reader.spec.read_noise.unit == "adu" else noise


def _read_airmass(reader: HeaderReader, camera: Camera, ra_deg: float, dec_deg: float, mjd_tai: float) -> float:
    airmass = reader.optional("airmass")
    if airmass >= 1.0:
        return airmass
    altitude = reader.optional("altitude")
    if math.isnan(altitude) and camera.observatory is not None and math.isfinite(ra_deg + dec_deg):
        altitude = altitude_of(ra_deg, dec_deg, to_utc(mjd_tai), camera.observatory)
    return airmass_of_altitude(altitude)
