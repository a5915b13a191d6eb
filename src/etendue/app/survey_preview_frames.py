"""The focal plane of a simulated exposure as one small image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.simulate.night.planned_exposure import PlannedExposure
from etendue.simulate.surveys.frames import SimulatedFrame, science_frame
from etendue.simulate.surveys.survey import Survey

Plane = NDArray[np.float32]

_LONGEST_SIDE_PX = 1000
_SHOWN_ZERO_POINT = 31.4


@dataclass(frozen=True, slots=True, eq=False)
class Mosaic:
    """Detectors at their places, binned.

    Parameters
    ----------
    pixels : ndarray, float32, shape (ny, nx)
        Mean flux of a detector's pixel above the sky, y upwards; NaN between detectors [nJy].
    noise : float
        Robust noise [nJy].
    """

    pixels: Plane
    noise: float


def focal_plane(survey: Survey, exposure: PlannedExposure, longest_side_px: int = _LONGEST_SIDE_PX) -> Mosaic:
    """Make the raw frames of all detectors in one exposure and put them together.

    Parameters
    ----------
    survey : Survey
        The survey.
    exposure : PlannedExposure
        The exposure.
    longest_side_px : int
        The mosaic is binned until it is not larger [px].

    Returns
    -------
    Mosaic
    """
    corners = [_corner(detector) for detector in survey.detectors]
    shapes = [_turned(detector, np.empty(detector.bbox.shape, bool)).shape for detector in survey.detectors]
    low_x, low_y = (min(corner[k] for corner in corners) for k in (0, 1))
    width = max(corner[0] + shape[1] for corner, shape in zip(corners, shapes, strict=True)) - low_x
    height = max(corner[1] + shape[0] for corner, shape in zip(corners, shapes, strict=True)) - low_y
    step = max(1, int(np.ceil(max(width, height) / longest_side_px)))
    pixels = np.full((int(height) // step + 1, int(width) // step + 1), np.nan, np.float32)
    noises = []
    for detector, corner in zip(survey.detectors, corners, strict=True):
        tile = _binned(_turned(detector, _light(survey, exposure, detector)), step)
        row, column = int((corner[1] - low_y) // step), int((corner[0] - low_x) // step)
        pixels[row : row + tile.shape[0], column : column + tile.shape[1]] = tile
        noises.append(1.4826 * float(np.median(np.abs(tile - np.median(tile)))))
    return Mosaic(pixels, float(np.median(noises)))


def _corner(detector: Detector) -> tuple[float, float]:
    """Return the lower left corner of a detector on the focal plane [px]."""
    rows, columns = _turned(detector, np.empty(detector.bbox.shape, bool)).shape
    x, y = (value / detector.pixel_size_mm for value in detector.center_mm)
    return x - 0.5 * columns, y - 0.5 * rows


def _turned(detector: Detector, image: NDArray) -> NDArray:
    """Turn an image by the detector's angle, in quarters."""
    return np.rot90(image, -round(detector.rotation_deg / 90.0))


def _light(survey: Survey, exposure: PlannedExposure, detector: Detector) -> Plane:
    """Return the light above the sky: overscan, gain and vignetting are taken out, nothing else."""
    frame = science_frame(survey, exposure, detector)
    light = _electrons(survey, detector, frame)
    scene = frame.scene
    assert scene is not None
    if scene.illumination is not None:
        light /= scene.illumination
    light -= np.median(scene.sky)
    return light * np.float32(10.0 ** (-0.4 * (scene.zero_point_mag - _SHOWN_ZERO_POINT)))


def _electrons(survey: Survey, detector: Detector, frame: SimulatedFrame) -> Plane:
    raw, gains = frame.raw.array.astype(np.float32), survey.ccd(detector).gains
    for amplifier, gain in zip(detector.amplifiers, gains, strict=True):
        over = amplifier.raw_serial_overscan
        inside = amplifier.raw_data.slices_in(detector.raw_bbox)
        level = np.median(raw[inside]) if over is None else _row_levels(raw[over.slices_in(detector.raw_bbox)])
        raw[inside] = (raw[inside] - level) * np.float32(gain)
    return detector.trim(raw)


def _row_levels(overscan: Plane) -> Plane:
    return np.median(overscan, axis=1, keepdims=True)


def _binned(image: Plane, step: int) -> Plane:
    ny, nx = image.shape[0] // step, image.shape[1] // step
    return image[: ny * step, : nx * step].reshape(ny, step, nx, step).mean(axis=(1, 3), dtype=np.float32)
