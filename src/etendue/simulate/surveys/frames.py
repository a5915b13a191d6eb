"""Raw frames of a survey: science exposures and calibration frames, each made alone."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.camera.header_wcs import write_wcs_cards
from etendue.camera.header_writer import write_header
from etendue.camera.observation_info import ObservationInfo
from etendue.camera.raw import RawFrame
from etendue.camera.times import day_obs, to_utc
from etendue.camera.translate import translate
from etendue.simulate.ccd.output import CcdOutput, CcdSignals
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.random_streams import stream
from etendue.simulate.surveys.calibration_light import screen_light, spot, twilight_exposure
from etendue.simulate.surveys.calibration_plan import CalibrationFrame
from etendue.simulate.surveys.detector_crosstalk import partners
from etendue.simulate.surveys.header_wcs import header_wcs
from etendue.simulate.surveys.scene import Scene, make_scene
from etendue.simulate.surveys.survey import Survey

_SECONDS_PER_DAY = 86400.0
_KEPT, _KEPT_PX = 8, 2_000_000  # exposed detectors, each of at most so many pixels


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
    scene, signals = _expose(survey, exposure, detector)
    output = survey.ccd(detector).read_out(
        signals, hours=_hours(survey, exposure.mjd_tai_begin),
        partners=partners(survey, detector, lambda other: _expose(survey, exposure, other)[1]),
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
    """Make a calibration frame of one detector.

    Parameters
    ----------
    survey : Survey
        The survey.
    frame : CalibrationFrame
        From `etendue.simulate.surveys.calibration_plan.calibration_frames`.
    detector : Detector
        One of its detectors.

    Returns
    -------
    SimulatedFrame
        With a scene if it shows the sky.
    """
    scene, signals = _expose(survey, frame, detector)
    output = survey.ccd(detector).read_out(
        signals, hours=_hours(survey, frame.mjd_tai_begin),
        partners=partners(survey, detector, lambda other: _expose(survey, frame, other)[1]),
    )  # fmt: skip
    info = _info(survey, frame.observation_type, frame.band, detector, frame.seq, frame.mjd_tai_begin, frame.seconds)
    return SimulatedFrame(_raw(survey, replace(info, object=frame.kind), output.raw, {}), output, scene)


def _expose(
    survey: Survey, what: PlannedExposure | CalibrationFrame, detector: Detector
) -> tuple[Scene | None, CcdSignals]:
    """Return light and signals; those of small detectors that talk into each other are kept for each other."""
    if survey.spec.detector_crosstalk is None or detector.bbox.area > _KEPT_PX:
        return _collect(survey, what, detector)
    return _kept(survey, what, detector.id)


@lru_cache(maxsize=_KEPT)
def _kept(survey: Survey, what: PlannedExposure | CalibrationFrame, detector: int) -> tuple[Scene | None, CcdSignals]:
    return _collect(survey, what, survey.camera.detector(detector))


def _collect(
    survey: Survey, what: PlannedExposure | CalibrationFrame, detector: Detector
) -> tuple[Scene | None, CcdSignals]:
    if isinstance(what, CalibrationFrame):
        return _calibration_light(survey, what, detector)
    scene = make_scene(survey, what, detector)
    rng = stream(survey.seed, "science", what.exposure, detector.id)
    return scene, survey.ccd(detector).collect(
        scene.expected, what.exposure_time_s, rng, band=what.band, sky=scene.sky, illumination=scene.illumination
    )


def _calibration_light(survey: Survey, frame: CalibrationFrame, detector: Detector) -> tuple[Scene | None, CcdSignals]:
    scene, light, share = None, np.full(detector.bbox.shape, frame.electrons, np.float32), None
    if frame.kind == "twilight":
        scene = make_scene(survey, twilight_exposure(survey, frame), detector)
        light, share = scene.expected, scene.illumination
    elif frame.kind == "spot":
        light = spot(survey.spec.calibrations, frame, detector)
    elif frame.kind == "flat":
        share = screen_light(survey, detector, frame.band)
    rng = stream(survey.seed, "calibration", frame.exposure, detector.id)
    ccd = survey.ccd(detector)
    return scene, ccd.collect(light, frame.seconds, rng, band=frame.band, illumination=share)


def _hours(survey: Survey, mjd_tai: float) -> float:
    """Return the time since the first exposure of the survey [h]."""
    return (mjd_tai - survey.exposures[0].mjd_tai_begin) * 24.0


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


def _raw(survey: Survey, info: ObservationInfo, pixels: NDArray[Any], cards: dict[str, Any]) -> RawFrame:
    """Return a raw frame whose information has gone through the camera's own header."""
    header = write_header(info, survey.camera) | cards
    name = f"{survey.camera.name}_{info.exposure_id}_{info.detector_id:03d}.fits.fz"
    read_back = translate(header, survey.camera, name)
    return RawFrame(array=pixels, header=header, detector_id=info.detector_id, path=name, info=read_back)
