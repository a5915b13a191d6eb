"""The noise that calibrations leave on an image: common to all visits, so it does not average down in coadds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.image.exposure import Exposure
from etendue.tasks.readout.calibrations import Calibrations
from etendue.tasks.readout.electronics import Electronics

Plane = NDArray[np.float32]


def calibration_noise(
    image: Plane,
    detector: Detector,
    *,
    calibrations: Calibrations,
    electronics: Sequence[Electronics],
    response: Plane,
    seconds: float,
    step: int = 1,
) -> Plane:
    """Return the variance that bias, dark, flat and illumination correction have left on an image.

    Errors of masters are propagated to first order: ``(g**2 var(bias) + t**2 var(dark)) / f**2`` and ``image**2`` times
    the relative variances of the factors of the flat. It is kept apart from `Exposure.variance` because frames that
    are not dithered share it: their mean has this variance, however many there are.

    Parameters
    ----------
    image : ndarray, float32, shape of ``detector.bbox``
        Calibrated image with its sky [e].
    detector : Detector
        Places of the amplifiers.
    calibrations : Calibrations
        Those that were applied; masters without a variance count as exact.
    electronics : sequence of Electronics
        Gain of each amplifier.
    response : ndarray, float32, same shape
        What the image was divided by.
    seconds : float
        Exposure time.
    step : int
        Every so manieth row and column only.

    Returns
    -------
    ndarray, float32, shape of ``image[::step, ::step]``
        Variance [e**2]; NaN where the image is.
    """
    thin = (slice(None, None, step),) * 2
    seen = image[thin]
    variance = np.zeros_like(seen)
    if calibrations.bias is not None:
        variance += _variance(calibrations.bias, step) * _gains(detector, electronics, step) ** 2
    if calibrations.dark is not None:
        variance += _variance(calibrations.dark, step) * np.float32(seconds**2)
    variance /= response[thin] ** 2
    for factor in (calibrations.flat, calibrations.illumination):
        if factor is not None:
            variance += (seen / factor.image.array[thin]) ** 2 * _variance(factor, step)
    return np.where(np.isfinite(seen), variance, np.float32(np.nan))


def noise_record(variance: Plane, calibration: Plane) -> dict[str, Any]:
    """Return the numbers that tell how much noise of calibrations an image has.

    Parameters
    ----------
    variance : ndarray, float32
        Variance of the image's own noise [e**2].
    calibration : ndarray, float32, same shape
        As of `calibration_noise`.

    Returns
    -------
    dict
        ``sky_electron``, the median rms per pixel, and ``fraction``, the median ratio of the variances; NaN without a
        pixel.
    """
    known = np.isfinite(calibration) & np.isfinite(variance) & (variance > 0.0)
    if not known.any():
        return {"sky_electron": float("nan"), "fraction": float("nan")}
    mine = calibration[known].astype(np.float64)
    return {
        "sky_electron": float(np.sqrt(np.median(mine))),
        "fraction": float(np.median(mine / variance[known])),
    }


def _variance(master: Exposure, step: int) -> Plane:
    variance = master.variance.array[::step, ::step]
    return np.where(np.isfinite(variance), variance, np.float32(0.0))


def _gains(detector: Detector, electronics: Sequence[Electronics], step: int) -> Plane:
    gains = np.empty([-(-size // step) for size in detector.bbox.shape], np.float32)
    for amplifier, values in zip(detector.amplifiers, electronics, strict=True):
        rows, columns = amplifier.bbox.slices_in(detector.bbox)
        gains[tuple(slice(-(-part.start // step), -(-part.stop // step)) for part in (rows, columns))] = values.gain
    return gains
