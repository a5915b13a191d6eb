"""Fringes: night-sky lines interfere in silicon of uneven thickness."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from etendue.kernels.read_out import add_fringes
from etendue.simulate.ccd.effect import EffectSpec, Vector
from etendue.simulate.ccd.streams import Streams

_INDEX = 3.6  # of silicon in the near infrared
_STEP = 16  # px between the nodes of the thickness map
_NO_MAP = np.zeros((0, 0), np.float32)


class FringeBand(EffectSpec):
    """Fringes of one band."""

    amplitude: float = Field(gt=0.0, le=0.5)
    """Amplitude as a fraction of the night sky's light."""

    wavelength_nm: float = Field(gt=0.0)
    """Wavelength of the lines that make them [nm]."""


class FringingSpec(EffectSpec):
    """Fringes of all bands; a band that is not named has none."""

    bands: dict[str, FringeBand]
    """Amplitude and wavelength by band."""

    thickness_rms_um: float = Field(0.6, gt=0.0)
    """Standard deviation of the thickness over the detector [um]."""

    scale_px: float = Field(900.0, gt=32.0)
    """Shortest wavelength of the waves that make up the thickness [px]; the longest is 6 times it."""

    waves: int = Field(24, ge=1)
    """Number of waves."""


def thickness_map(spec: FringingSpec, shape: tuple[int, int], streams: Streams) -> Vector:
    """Return the deviation of the thickness at the nodes of a grid.

    Parameters
    ----------
    spec : FringingSpec
        Sizes.
    shape : tuple of int
        ``(ny, nx)`` of the trimmed frame.
    streams : Streams
        The detector's.

    Returns
    -------
    ndarray, float64, shape (my, mx)
        At every 16th pixel [um].
    """
    rng = streams.rng("thickness")
    y, x = (np.arange(-(-size // _STEP) + 2.0) * _STEP for size in shape)
    length = spec.scale_px * 6.0 ** rng.random(spec.waves)
    angle, phase = 2.0 * np.pi * rng.random((2, spec.waves))
    height = np.sqrt(2.0 * length**2 / np.sum(length**2)) * spec.thickness_rms_um  # long waves are higher
    thickness = np.zeros((y.size, x.size))
    for k in range(spec.waves):
        along = np.cos(angle[k]) * x[None, :] + np.sin(angle[k]) * y[:, None]
        thickness += height[k] * np.cos(2.0 * np.pi * along / length[k] + phase[k])
    return thickness


def fringe(
    light: NDArray[np.float32], sky: NDArray[np.float32] | float, band: str, spec: FringingSpec, thickness: Vector
) -> None:
    """Add the fringes of a band to the light.

    Parameters
    ----------
    light : ndarray, float32, shape (ny, nx)
        Changed in place [e].
    sky : float or ndarray, float32, shape (ny, nx)
        The part of the light that comes from the night sky's lines [e].
    band : str
        Band.
    spec : FringingSpec
        Amplitudes.
    thickness : ndarray, float64
        From `thickness_map` [um].
    """
    lines = spec.bands.get(band)
    if lines is None:
        return
    turns = 2.0 * _INDEX * 1000.0 * thickness / lines.wavelength_nm
    if isinstance(sky, np.ndarray):
        add_fringes(light, np.ascontiguousarray(sky, np.float32), 0.0, turns, float(_STEP), lines.amplitude)
    else:
        add_fringes(light, _NO_MAP, float(sky), turns, float(_STEP), lines.amplitude)
