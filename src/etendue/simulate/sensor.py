"""The simulated CCD: bias structure, response, defects, and electrons to ADU."""

import numpy as np
from numpy.typing import NDArray

from etendue.camera.detector import Detector
from etendue.kernels.render import bleed
from etendue.simulate.optics import boresight_pixel

BIAS_LEVEL_ADU = 1000.0
FULL_WELL_ADU = 61500.0  # bias included: saturated pixels stand above the camera's 60000
_ADC_MAX = 65535
_RESPONSE_RMS = 0.008
_VIGNETTING = 0.12  # loss of light at 1100 px from the boresight
_DEAD_RESPONSE = 0.15
_HOT_COLUMN_ELECTRONS = 4000.0
_BAD_COLUMNS = (830, 1000)  # away from the transient, the variable and the movers, whatever the dither


def bad_columns(detector: Detector, seed: int) -> NDArray[np.int64]:
    """Return the bad columns of a detector: one dark, one hot.

    Parameters
    ----------
    detector : Detector
        The detector.
    seed : int
        Survey seed.

    Returns
    -------
    ndarray, shape (2,)
        Trimmed columns.
    """
    rng = np.random.default_rng([seed, 3, detector.id])
    return np.sort(rng.choice(np.arange(*_BAD_COLUMNS), 2, replace=False))


def response(detector: Detector, band: str, seed: int) -> NDArray[np.float64]:
    """Return the flat field: vignetting, a dust ring, pixel response and a dark column, of mean 1.

    Parameters
    ----------
    detector : Detector
        The detector.
    band : str
        Band; the pixel response differs between bands.
    seed : int
        Survey seed.

    Returns
    -------
    ndarray, shape (ny, nx)
        Relative response.
    """
    ny, nx = detector.bbox.shape
    y, x = np.mgrid[:ny, :nx].astype(float)
    x0, y0 = boresight_pixel(detector)
    flat = 1.0 - _VIGNETTING * ((x - x0) ** 2 + (y - y0) ** 2) / 1100.0**2
    place = np.random.default_rng([seed, 4, detector.id])
    dust_x, dust_y = place.uniform(150.0, nx - 150.0), place.uniform(150.0, ny - 150.0)
    flat *= 1.0 - 0.02 * np.exp(-0.5 * ((np.hypot(x - dust_x, y - dust_y) - 30.0) / 6.0) ** 2)
    pixels = np.random.default_rng([seed, 5, detector.id, ord(band[0])])
    flat *= 1.0 + _RESPONSE_RMS * pixels.standard_normal((ny, nx))
    flat[:, bad_columns(detector, seed)[0]] *= _DEAD_RESPONSE
    return flat / flat.mean()


def leaked_electrons(detector: Detector, seed: int) -> NDArray[np.float64]:
    """Return the electrons that leak into the hot column while it is read out, in frames of any exposure time.

    Parameters
    ----------
    detector : Detector
        The detector.
    seed : int
        Survey seed.

    Returns
    -------
    ndarray, shape (nx,)
        Per pixel of each column [e].
    """
    columns = np.zeros(detector.bbox.shape[1])
    columns[bad_columns(detector, seed)[1]] = _HOT_COLUMN_ELECTRONS
    return columns


def bias_pattern(detector: Detector, seed: int) -> NDArray[np.float64]:
    """Return the fixed bias structure of the light-sensitive pixels: ramps, columns and pixels.

    Parameters
    ----------
    detector : Detector
        The detector.
    seed : int
        Survey seed.

    Returns
    -------
    ndarray, shape (ny, nx)
        Relative to the overscan [ADU].
    """
    rng = np.random.default_rng([seed, 6, detector.id])
    ny, nx = detector.bbox.shape
    pattern = 4.0 * np.exp(-np.arange(ny) / 60.0)[:, None] + rng.normal(0.0, 0.6, nx)[None, :]
    return pattern + rng.normal(0.0, 0.4, (ny, nx))


def read_out(
    electrons: NDArray[np.float64], detector: Detector, seed: int, rng: np.random.Generator
) -> NDArray[np.uint16]:
    """Turn collected electrons into a raw frame: bleeding, gain, bias, read noise, converter.

    Parameters
    ----------
    electrons : ndarray, float64, shape (ny, nx)
        Charge of the trimmed frame, shot noise included [e]; changed by bleeding.
    detector : Detector
        The detector.
    seed : int
        Survey seed, for the fixed bias structure.
    rng : Generator
        Source of the frame's own noise.

    Returns
    -------
    ndarray, uint16, shape `Detector.raw_shape`
        Raw frame [ADU].
    """
    full_well = np.empty(detector.bbox.shape[1])
    for amplifier in detector.amplifiers:
        full_well[amplifier.bbox.x.start : amplifier.bbox.x.stop] = (FULL_WELL_ADU - BIAS_LEVEL_ADU) * amplifier.gain
    bleed(electrons, full_well)
    pattern = bias_pattern(detector, seed)
    raw = np.empty(detector.raw_shape)
    half = detector.raw_shape[1] // 2
    for number, amplifier in enumerate(detector.amplifiers):
        side = np.s_[:, :half] if amplifier.raw_data.x.start < half else np.s_[:, half:]
        noise = rng.standard_normal((detector.raw_shape[0], half)) * amplifier.read_noise / amplifier.gain
        raw[side] = BIAS_LEVEL_ADU + 12.0 * number + rng.normal(0.0, 1.5) + noise
        inside = amplifier.bbox.slices_in(detector.bbox)
        raw[amplifier.raw_data.slices_in(detector.raw_bbox)] += electrons[inside] / amplifier.gain + pattern[inside]
    return np.clip(np.rint(raw), 0, _ADC_MAX).astype(np.uint16)
