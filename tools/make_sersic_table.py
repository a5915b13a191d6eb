"""Make the table of Fourier transforms of Sersic profiles that the simulator draws galaxies with.

Writes ``src/etendue/simulate/drawing/sersic.npy``: a row per index, spaced evenly in the logarithm from 0.5 to 6,
and a column per node of ``1 + STEEPNESS kappa**2``, spaced evenly within each octave, where kappa is the wavenumber
times the half-light radius. Takes half a minute.

For kappa below 0.5, and for every index below 1, the Hankel transform is a trapezoidal sum over the logarithm of the
radius. Above, the path of integration is turned onto the imaginary axis, where ``J0`` becomes the decaying ``K0``:
``F = 2/pi int t K0(kappa t) exp(-b t**(1/n) cos(pi/2n)) sin(b t**(1/n) sin(pi/2n)) dt / norm``.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import gamma, gammaincinv, j0, k0

from etendue.simulate.drawing.sersic import INDICES, OCTAVES, PER_OCTAVE, STEEPNESS

Vector = NDArray[np.float64]
TARGET = Path(__file__).resolve().parents[1] / "src/etendue/simulate/drawing/sersic.npy"
_TURN = 0.5


def wavenumbers() -> Vector:
    """Return kappa of the columns: ``1 + STEEPNESS kappa**2`` is ``2**octave (1 + i / PER_OCTAVE)``."""
    octave, part = np.divmod(np.arange(OCTAVES * PER_OCTAVE + 1), PER_OCTAVE)
    return np.sqrt((2.0**octave * (1.0 + part / PER_OCTAVE) - 1.0) / STEEPNESS)


def _direct(index: float, b: float, kappa: Vector) -> Vector:
    """Sum ``r**2 I(r) J0(kappa r)`` over ln r, where I has not fallen below 1e-19."""
    farthest = np.log((45.0 / b) ** index)
    log_r = np.arange(-12.0, farthest, 4e-4)
    weight = np.exp(2.0 * log_r - b * np.exp(log_r / index)) * (log_r[1] - log_r[0])
    radius = np.exp(log_r)
    return np.array([weight @ j0(k * radius) for k in kappa])


def _turned(index: float, b: float, kappa: Vector) -> Vector:
    log_u = np.arange(-14.0, np.log(45.0), 4e-3)  # u = kappa t
    u = np.exp(log_u)
    base = u * u * k0(u) * 4e-3
    power = b * (u[None, :] / kappa[:, None]) ** (1.0 / index)
    angle = 0.5 * np.pi / index
    wave = np.exp(-power * np.cos(angle)) * np.sin(power * np.sin(angle))
    return 2.0 / np.pi * (wave @ base) / kappa**2


def transform(index: float, kappa: Vector) -> Vector:
    """Return the Fourier transform of the Sersic profile of unit flux and half-light radius.

    Parameters
    ----------
    index : float
        Sersic index.
    kappa : ndarray, float64, shape (m,)
        Wavenumbers.

    Returns
    -------
    ndarray, float64, shape (m,)
    """
    b = gammaincinv(2.0 * index, 0.5)
    if index == 0.5:
        return np.exp(-(kappa**2) / (4.0 * b))
    norm = index * b ** (-2.0 * index) * gamma(2.0 * index)
    far = kappa > _TURN if index >= 1.0 else kappa > 60.0
    result = np.zeros(kappa.size)
    result[~far] = _direct(index, b, kappa[~far]) / norm
    if index >= 1.0:
        result[far] = _turned(index, b, kappa[far]) / norm
    else:  # the cusp b r**(1/n) at the centre: the leading term of the asymptotic series
        power = 1.0 / index
        result[far] = -b * _power_law(power) * kappa[far] ** (-2.0 - power) / norm
        result[far] += 0.5 * b**2 * _power_law(2.0 * power) * kappa[far] ** (-2.0 - 2.0 * power) / norm
    return result


def _power_law(power: float) -> float:
    """Return ``int x**(power + 1) J0(x) dx`` by analytic continuation (DLMF 10.22.43)."""
    return float(2.0 ** (power + 1.0) * gamma(0.5 * power + 1.0) / gamma(-0.5 * power))


def main() -> None:
    """Write the table."""
    kappa = wavenumbers()
    table = np.array([transform(index, kappa) for index in INDICES])
    np.save(TARGET, table.astype(np.float32))


if __name__ == "__main__":
    main()
