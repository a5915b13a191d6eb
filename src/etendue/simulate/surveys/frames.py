"""Raw frames of a survey: science exposures, biases, darks and flats, each made alone."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.raw import RawFrame
from etendue.camera.times import day_obs, to_utc
from etendue.camera.translate import translate, write_header, write_wcs_cards
from etendue.simulate.ccd.output import CcdOutput
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.random_streams import stream
from etendue.simulate.surveys.header_wcs import header_wcs
from etendue.simulate.surveys.scene import Scene, make_scene
from etendue.simulate.surveys.survey import Survey
from etendue.simulate.telescope.field_angle import DetectorPlace
from etendue.simulate.telescope.vignetting import vignetting_map

_SECONDS_PER_DAY = 86400.0
_FLAT_S = 5.0
_READ_S = 20.0
_LEAD_DAY = 0.15  # calibration frames begin at least so long before the first exposure
_FLAT_STEP = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedFrame:
    """One frame as the camera writes it, and the truth about it.

    Parameters
    ----------
    raw : RawFrame
        Pixels and header; its path is a file name.
    output : CcdOutput
        Truth of the CCD.
    scene : Scene or None
        Truth of the light; None for a calibration frame.
    """

    raw: RawFrame
    output: CcdOutput
    scene: Scene | None = None


@dataclass(frozen=True, slots=True)
class CalibrationFrame:
    """A bias, dark or flat that is to be made.

    Parameters
    ----------
    kind : str
        ``bias``, ``dark`` or ``flat``.
    seq : int
        Number in the night, from 1.
    band : str
        Band of a flat.
    seconds : float
        Exposure time [s].
    electrons : float
        Level of a flat [e].
    begin_s : float
        Begin after that of the first calibration frame [s].
    """

    kind: str
    seq: int
    band: str = ""
    seconds: float = 0.0
    electrons: float = 0.0
    begin_s: float = 0.0


def calibration_frames(survey: Survey) -> list[CalibrationFrame]:
    """Return the calibration frames of a survey, in order.

    Parameters
    ----------
    survey : Survey
        The survey.

    Returns
    -------
    list of CalibrationFrame
    """
    spec = survey.spec.calibrations
    frames = [CalibrationFrame("bias", 0)] * spec.bias
    frames += [CalibrationFrame("dark", 0, seconds=spec.dark_s)] * spec.dark
    levels = [spec.flat_electrons * (1.0 + _FLAT_STEP * number) for number in range(spec.flat)]
    wanted = [(band, level) for band in survey.bands for level in levels]
    wanted += [(survey.bands[0], level) for level in spec.flat_pairs for _ in range(2)]
    frames += [CalibrationFrame("flat", 0, band, _FLAT_S, level) for band, level in wanted]
    begins = np.cumsum([0.0, *(frame.seconds + _READ_S for frame in frames)])
    return [replace(frame, seq=1 + k, begin_s=float(begins[k])) for k, frame in enumerate(frames)]


def science_frame(survey: Survey, exposure: PlannedExposure, detector: Detector) -> SimulatedFrame:
    """Make the raw frame of one detector in one exposure.

    Parameters
    ----------
    survey : Survey
        The survey.
    exposure : PlannedExposure
        One of its exposures.
    detector : Detector
        One of its detectors.

    Returns
    -------
    SimulatedFrame
    """
    scene = make_scene(survey, exposure, detector)
    output = survey.ccd(detector).expose(
        scene.expected, exposure.exposure_time_s, stream(survey.seed, "science", exposure.exposure, detector.id),
        band=exposure.band, sky=scene.sky, illumination=scene.illumination,
        hours=_hours(survey, exposure.mjd_tai_begin),
    )  # fmt: skip
    info = _info(
        survey, "science", exposure.band, detector, exposure.seq, exposure.mjd_tai_begin, exposure.exposure_time_s
    )
    info = replace(
        info, object=exposure.field, ra_deg=exposure.ra_deg, dec_deg=exposure.dec_deg,
        rotation_deg=exposure.rotation_deg, airmass=round(exposure.airmass, 3),
    )  # fmt: skip
    cards = write_wcs_cards(header_wcs(survey.camera, detector, exposure), survey.camera, detector)
    return SimulatedFrame(_raw(survey, info, output.raw, cards), output, scene)


def calibration_frame(survey: Survey, frame: CalibrationFrame, detector: Detector) -> SimulatedFrame:
    """Make a bias, dark or flat of one detector.

    Parameters
    ----------
    survey : Survey
        The survey.
    frame : CalibrationFrame
        From `calibration_frames`.
    detector : Detector
        One of its detectors.

    Returns
    -------
    SimulatedFrame
    """
    begin = _first_calibration(survey) + frame.begin_s / _SECONDS_PER_DAY
    light = np.full(detector.bbox.shape, frame.electrons, np.float32)
    output = survey.ccd(detector).expose(
        light, frame.seconds, stream(survey.seed, "calibration", frame.seq, detector.id), band=frame.band,
        illumination=_screen(survey, frame, detector), hours=_hours(survey, begin),
    )  # fmt: skip
    info = _info(survey, frame.kind, frame.band, detector, frame.seq, begin, frame.seconds)
    return SimulatedFrame(_raw(survey, info, output.raw, {}), output)


def _screen(survey: Survey, frame: CalibrationFrame, detector: Detector) -> NDArray[np.float32] | None:
    """Return what the telescope does to the light of a flat screen; nothing to a bias or dark."""
    spec = survey.spec.telescope.vignetting
    if frame.kind != "flat" or spec is None:
        return None
    return vignetting_map(spec, detector, DetectorPlace.nominal(survey.camera, detector))


def _hours(survey: Survey, mjd_tai: float) -> float:
    """Return the time since the evening before the first exposure [h]."""
    return (mjd_tai - _first_calibration(survey)) * 24.0


def _first_calibration(survey: Survey) -> float:
    """Return the begin of the first calibration frame: all end before the first exposure [day]."""
    last = calibration_frames(survey)[-1:]
    length = sum(frame.begin_s + frame.seconds + _READ_S for frame in last) / _SECONDS_PER_DAY
    return survey.exposures[0].mjd_tai_begin - max(_LEAD_DAY, length)


def _info(
    survey: Survey, kind: str, band: str, detector: Detector, seq: int, begin: float, seconds: float
) -> ObservationInfo:
    """Return what the header of a frame says: nominal numbers, nothing of the truth."""
    camera = survey.camera
    night = day_obs(to_utc(begin), camera.header.day_obs_offset_hours)
    amplifier = detector.amplifiers[0]
    return ObservationInfo(
        instrument=camera.name,
        detector_id=detector.id,
        exposure_id=night * 100000 + seq,
        day_obs=night,
        seq=seq,
        observation_type=kind,
        physical_filter=next((entry.physical_filter for entry in camera.filters if entry.band == band), ""),
        band=band,
        exposure_time_s=seconds,
        mjd_tai_begin=begin,
        mjd_tai_end=begin + seconds / _SECONDS_PER_DAY,
        object=kind,
        header_gain=amplifier.gain,
        header_read_noise=amplifier.read_noise,
        temperature_c=-100.0,
    )


def _raw(survey: Survey, info: ObservationInfo, pixels: NDArray[np.uint16], cards: dict[str, Any]) -> RawFrame:
    """Return a raw frame whose information has gone through the camera's own header."""
    header = write_header(info, survey.camera) | cards
    name = f"{survey.camera.name}_{info.exposure_id}_{info.detector_id:03d}.fits.fz"
    read_back = translate(header, survey.camera, name)
    return RawFrame(array=pixels, header=header, detector_id=info.detector_id, path=name, info=read_back)
