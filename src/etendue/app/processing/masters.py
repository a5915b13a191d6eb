"""Bias, dark and flat for frames without a repository: finished masters, or raw frames to make them of."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from etendue.camera.camera import Camera
from etendue.camera.detector import Detector
from etendue.camera.fits_name import is_fits_name
from etendue.camera.header_field import read_number
from etendue.camera.raw import RawFrame, read_pixels, read_raw
from etendue.errors import EtendueError, InputError
from etendue.image.exposure import Exposure
from etendue.image.fits_exposure import read_exposure
from etendue.image.image import Image
from etendue.image.mask import Mask
from etendue.log import get_logger
from etendue.tasks.calib.bias import BuildBiasConfig, BuildBiasTask
from etendue.tasks.calib.flat import BuildFlatConfig, BuildFlatTask
from etendue.tasks.calib.stack import combine_frames
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.readout import ReadoutTask

_log = get_logger(__name__)
_ALREADY_NORMALISED = 20.0  # a flat of such a median is a ratio, one above counts
_SAME_TIME = 0.02
Kind = Literal["bias", "dark", "flat"]


@dataclass(frozen=True)
class MasterPaths:
    """Where the calibrations are.

    Parameters
    ----------
    bias, dark, flat : str, optional
        A master (any FITS image in ADU, trimmed or as read out, or one of etendue's own files), or a folder of raw
        frames. A flat may be normalised already; in counts the bias is subtracted from it. Darks hold the bias.
    """

    bias: str | None = None
    dark: str | None = None
    flat: str | None = None


@dataclass(frozen=True)
class Masters:
    """Calibrations of one detector, filter and exposure time; dark and bias are one exposure.

    Parameters
    ----------
    bias : Exposure or None
        Bias, with the dark current of the exposure time added [ADU].
    flat : Exposure or None
        Response, median 1.
    """

    bias: Exposure | None
    flat: Exposure | None


def masters_for(raw: RawFrame, camera: Camera, paths: MasterPaths) -> Masters:
    """Return the calibrations of a frame.

    Parameters
    ----------
    raw : RawFrame
        The frame.
    camera : Camera
        Its camera.
    paths : MasterPaths
        Where they are.

    Returns
    -------
    Masters

    Raises
    ------
    InputError
        If a file cannot be read, is of another size or filter, or a dark of another exposure time comes without a bias.
    """
    text, detector = camera.to_yaml(), raw.detector_id
    bias = None if paths.bias is None else _bias(paths.bias, text, detector)
    flat = None if paths.flat is None else _flat(paths.flat, text, detector, raw.info.physical_filter, paths.bias)
    if paths.dark is not None:
        bias = _with_dark(bias, paths.dark, *_dark(paths.dark, text, detector), raw.info.exposure_time_s)
    return Masters(bias, flat)


# Masters are kept for the next frame; cameras hold mappings, which cannot be keys, so their text stands for them.
@lru_cache(maxsize=4)
def _camera(text: str) -> Camera:
    return Camera.from_yaml(text)


@lru_cache(maxsize=4)
def _bias(path: str, camera_text: str, detector_id: int) -> Exposure:
    camera = _camera(camera_text)
    if Path(path).is_dir():
        frames = _raw_frames(path, camera, detector_id, "bias")
        return BuildBiasTask(BuildBiasConfig(on_odd="drop")).run(frames, camera).exposure
    return _master(path, camera.detector(detector_id))[0]


@lru_cache(maxsize=8)
def _flat(path: str, camera_text: str, detector_id: int, physical_filter: str, bias_path: str | None) -> Exposure:
    camera = _camera(camera_text)
    bias = None if bias_path is None else _bias(bias_path, camera_text, detector_id)
    if Path(path).is_dir():
        frames = _raw_frames(path, camera, detector_id, "flat")
        mine = [frame for frame in frames if frame.info.physical_filter == physical_filter]
        if not mine:
            known = ", ".join(sorted({frame.info.physical_filter for frame in frames}))
            raise InputError("no flat of the frame's filter", source=path, value=physical_filter, remedy=f"has {known}")
        return BuildFlatTask(BuildFlatConfig(on_odd="drop")).run(mine, camera, Calibrations(bias=bias)).exposure
    flat, header = _master(path, camera.detector(detector_id))
    if flat.unit == "":
        return flat
    values = flat.image.array
    if float(np.nanmedian(values)) > _ALREADY_NORMALISED and bias is not None:
        values = values - bias.image.array
    level = float(np.nanmedian(values))
    if not level > 0.0:
        raise InputError("the flat holds no light", source=path, value=level)
    name = next((str(header[key]) for key in camera.header.physical_filter.keywords if header.get(key)), "")
    return flat.replace(
        image=Image((values / level).astype(np.float32), flat.bbox), unit="", physical_filter=name.strip()
    )


def _with_dark(bias: Exposure | None, path: str, dark: Exposure, dark_seconds: float, seconds: float) -> Exposure:
    """Return the bias with the dark current of an exposure time."""
    if bias is None:
        if not abs(dark_seconds - seconds) <= _SAME_TIME * seconds:
            raise InputError(
                f"the dark was exposed for {dark_seconds:g} s, the frame for {seconds:g} s", source=path,
                remedy="give --bias too, so that the dark can be scaled",
            )  # fmt: skip
        return dark
    if not dark_seconds > 0.0:
        raise InputError("the dark has no exposure time", source=path, remedy="correct its header")
    current = (dark.image.array - bias.image.array) * np.float32(seconds / dark_seconds)
    return bias.replace(image=Image(bias.image.array + current, bias.bbox))


@lru_cache(maxsize=4)
def _dark(path: str, camera_text: str, detector_id: int) -> tuple[Exposure, float]:
    """Return the mean dark, bias included [ADU], and its exposure time [s]."""
    camera = _camera(camera_text)
    detector = camera.detector(detector_id)
    if not Path(path).is_dir():
        dark, header = _master(path, detector)
        return dark, float(read_number(header, camera.header.exposure_time, path))
    frames = _raw_frames(path, camera, detector_id, "dark")
    seconds = frames[0].info.exposure_time_s
    odd = [frame for frame in frames if abs(frame.info.exposure_time_s - seconds) > _SAME_TIME * seconds]
    if odd:
        raise InputError(
            f"darks of {seconds:g} s and {odd[0].info.exposure_time_s:g} s",
            source=path,
            remedy="give one folder per time",
        )
    task = ReadoutTask()
    pixels = [task.run(frame.array, detector).pixels for frame in frames]
    noise = max(amplifier.read_noise / amplifier.gain for amplifier in detector.amplifiers)
    mean = combine_frames(pixels, clip=4.0, sigma_floor=noise).mean if len(pixels) > 1 else pixels[0]
    return _as_exposure(mean, detector), seconds


def _raw_frames(path: str, camera: Camera, detector_id: int, kind: Kind) -> list[RawFrame]:
    """Read the frames of a kind in a folder; others are left out with a warning."""
    frames = []
    chosen = detector_id if camera.files.detectors == "many" else None
    for file in sorted(entry for entry in Path(path).iterdir() if is_fits_name(entry)):
        try:
            frame = read_raw(file, camera, detector=chosen)
        except EtendueError as error:
            _log.warning("%s left out: %s", kind, error)
            continue
        if frame.info.observation_type == kind and frame.detector_id == detector_id:
            frames.append(frame)
    if not frames:
        raise InputError(f"holds no {kind} frame of camera {camera.name}", source=path, remedy="give another folder")
    return frames


def _master(path: str, detector: Detector) -> tuple[Exposure, dict[str, Any]]:
    """Return a master, trimmed, and its header."""
    if _is_exposure(path):
        found = read_exposure(path)
        _check(found.bbox.shape, detector, path)
        return found, {}
    header, pixels = read_pixels(path)
    if pixels.shape == detector.raw_shape:
        trimmed = ReadoutTask().run(pixels, detector).pixels
    else:
        _check(pixels.shape, detector, path)
        trimmed = pixels.astype(np.float32)
    return _as_exposure(trimmed, detector), header


def _is_exposure(path: str) -> bool:
    try:
        return fits.getheader(path).get("ETTYPE") == "exposure"
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", source=path, remedy="check the path") from None


def _check(shape: tuple[int, ...], detector: Detector, path: str) -> None:
    if shape != detector.bbox.shape:
        raise InputError(
            f"calibration of the wrong size, wanted {detector.raw_shape} or {detector.bbox.shape} (ny, nx)",
            source=path, value=shape, remedy="give one of this camera",
        )  # fmt: skip


def _as_exposure(pixels: NDArray[np.float32], detector: Detector) -> Exposure:
    return Exposure(
        image=Image(pixels, detector.bbox), mask=Mask.empty(detector.bbox),
        variance=Image(np.zeros(detector.bbox.shape, np.float32), detector.bbox), detector=detector.id, unit="adu",
    )  # fmt: skip
