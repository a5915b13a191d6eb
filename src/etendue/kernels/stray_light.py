"""Kernels of stray light: aureoles, diffraction spikes and discs around bright stars."""

import numpy as np
from numba import njit, void
from numpy.typing import NDArray

from etendue.kernels.types import F32_2D_OUT, F64, F64_1D


@njit([void(F32_2D_OUT, F64_1D, F64_1D, F64_1D, F64, F64)], cache=True, nogil=True, error_model="numpy")
def add_haloes(
    image: NDArray[np.float32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    flux: NDArray[np.float64],
    core: float,
    floor: float,
) -> None:
    """Add aureoles ``flux / (2 pi core**2) (1 + (r / core)**2)**-1.5`` where they are above a floor.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Changed in place.
    x, y, flux : ndarray, float64, shape (n,)
        Centres [px] and integrals over the plane.
    core : float
        Core radius [px].
    floor : float
        Value below which an aureole is cut off.
    """
    ny, nx = image.shape
    for i in range(x.size):
        peak = flux[i] / (2.0 * np.pi * core * core)
        if not peak > floor:
            continue
        reach = core * np.sqrt((peak / floor) ** (2.0 / 3.0) - 1.0)
        for row in range(max(0, int(np.ceil(y[i] - reach))), min(ny, int(np.floor(y[i] + reach)) + 1)):
            half = np.sqrt(max(reach * reach - (row - y[i]) ** 2, 0.0))
            for col in range(max(0, int(np.ceil(x[i] - half))), min(nx, int(np.floor(x[i] + half)) + 1)):
                t = 1.0 + ((col - x[i]) ** 2 + (row - y[i]) ** 2) / (core * core)
                image[row, col] += peak / (t * np.sqrt(t))


@njit([void(F32_2D_OUT, F64_1D, F64_1D, F64_1D, F64, F64, F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def add_spikes(
    image: NDArray[np.float32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    flux: NDArray[np.float64],
    cosine: float,
    sine: float,
    width: float,
    core: float,
    floor: float,
) -> None:
    """Add a spike to both sides: a Lorentzian along it, a Gaussian across, where it is above a floor.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Changed in place.
    x, y, flux : ndarray, float64, shape (n,)
        Centres [px] and integrals over the plane.
    cosine, sine : float
        Direction of the spike.
    width : float
        Standard deviation across [px].
    core : float
        Half width at half maximum along it [px].
    floor : float
        Value below which a spike is cut off.
    """
    ny, nx = image.shape
    for i in range(x.size):
        peak = flux[i] / (np.pi * core * np.sqrt(2.0 * np.pi) * width)
        if not peak > floor:
            continue
        reach = core * np.sqrt(peak / floor - 1.0)
        span_x, span_y = reach * abs(cosine) + 5.0 * width, reach * abs(sine) + 5.0 * width
        for row in range(max(0, int(np.ceil(y[i] - span_y))), min(ny, int(np.floor(y[i] + span_y)) + 1)):
            dy = row - y[i]
            first, last = x[i] - span_x, x[i] + span_x
            if abs(sine) > 1e-6:  # only the pixels of this row within 5 widths of the spike
                middle, half = x[i] + dy * cosine / sine, 5.0 * width / abs(sine)
                first, last = max(first, middle - half), min(last, middle + half)
            for col in range(max(0, int(np.ceil(first))), min(nx, int(np.floor(last)) + 1)):
                dx = col - x[i]
                along, across = dx * cosine + dy * sine, dy * cosine - dx * sine
                if abs(along) < reach:
                    image[row, col] += peak * np.exp(-0.5 * (across / width) ** 2) / (1.0 + (along / core) ** 2)


@njit([void(F32_2D_OUT, F64_1D, F64_1D, F64_1D, F64, F64, F64)], cache=True, nogil=True, error_model="numpy")
def add_discs(
    image: NDArray[np.float32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    flux: NDArray[np.float64],
    outer: float,
    inner: float,
    floor: float,
) -> None:
    """Add uniform annuli whose surface brightness is above a floor.

    Parameters
    ----------
    image : ndarray, float32, shape (ny, nx)
        Changed in place.
    x, y, flux : ndarray, float64, shape (n,)
        Centres [px] and integrals.
    outer, inner : float
        Radii [px].
    floor : float
        Fainter annuli are left out.
    """
    ny, nx = image.shape
    for i in range(x.size):
        level = flux[i] / (np.pi * (outer * outer - inner * inner))
        if not level > floor:
            continue
        for row in range(max(0, int(np.ceil(y[i] - outer))), min(ny, int(np.floor(y[i] + outer)) + 1)):
            for col in range(max(0, int(np.ceil(x[i] - outer))), min(nx, int(np.floor(x[i] + outer)) + 1)):
                square = (col - x[i]) ** 2 + (row - y[i]) ** 2
                if inner * inner <= square < outer * outer:
                    image[row, col] += level
