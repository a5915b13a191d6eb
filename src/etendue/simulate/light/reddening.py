"""The Galaxy's extinction law."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

# Cardelli, Clayton & Mathis (1989, ApJ 345, 245) with the optical coefficients of O'Donnell (1994, ApJ 422, 158).
_OPTICAL_A = (1.0, 0.104, -0.609, 0.701, 1.137, -1.718, -0.827, 1.647, -0.505)
_OPTICAL_B = (0.0, 1.952, 2.908, -3.989, -7.985, 11.102, 5.491, -10.805, 3.347)


def extinction_law(wavelength_nm: Vector, r_v: float = 3.1) -> Vector:
    """Return extinction per colour excess.

    Parameters
    ----------
    wavelength_nm : ndarray, float64, shape (n,)
        Wavelengths, 170 to 3300; outside the ends hold [nm].
    r_v : float
        Ratio of total to selective extinction in V.

    Returns
    -------
    ndarray, float64, shape (n,)
        ``A(wavelength) / E(B-V)`` [mag].
    """
    x = 1e3 / np.clip(wavelength_nm, 170.0, 3300.0)
    y = x - 1.82
    optical = np.polynomial.polynomial.polyval(y, _OPTICAL_A), np.polynomial.polynomial.polyval(y, _OPTICAL_B)
    infrared = 0.574 * x**1.61, -0.527 * x**1.61
    ultraviolet = (
        1.752 - 0.316 * x - 0.104 / ((x - 4.67) ** 2 + 0.341),
        -3.090 + 1.825 * x + 1.206 / ((x - 4.62) ** 2 + 0.263),
    )
    a, b = (
        np.where(x < 1.1, red, np.where(x <= 3.3, middle, blue))
        for red, middle, blue in zip(infrared, optical, ultraviolet, strict=True)
    )
    return r_v * a + b
