"""Profiles as sums of Gaussians, which no part of etendue uses: a Moffat for PSFs, discs and bulges for galaxies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Mixture:
    """A round profile of unit flux and unit scale.

    Parameters
    ----------
    amplitude : ndarray, float64, shape (k,)
        Flux fractions, sum 1.
    variance : ndarray, float64, shape (k,)
        Variances per axis, in units of the scale squared.
    """

    amplitude: NDArray[np.float64]
    variance: NDArray[np.float64]


def _mixture(amplitude: list[float], variance: list[float], scale: float = 1.0) -> Mixture:
    weights = np.array(amplitude)
    return Mixture(weights / weights.sum(), np.array(variance) / scale**2)


# Least-squares fit to a Moffat of beta = 3 and FWHM = 1 out to six FWHM; largest deviation 3e-4 of the peak.
MOFFAT = _mixture(
    [0.07861143, 0.38421801, 0.38587867, 0.13479968, 0.0164789],
    [0.28850029**2, 0.42204025**2, 0.64231339**2, 1.07174159**2, 2.20808201**2],
)
"""PSF profile; the scale is the FWHM. The mixture itself is the truth, pixel response included."""

# Hogg & Lang (2013, PASP 125, 719), tables 1 and 2, rescaled so that the half-light radius is exactly 1.
EXPONENTIAL = _mixture(
    [2.34853813e-03, 3.07995260e-02, 2.23364214e-01, 1.17949102e00, 4.33873750e00, 5.99820770e00],
    [1.20078965e-03, 8.84526493e-03, 3.91463084e-02, 1.39976817e-01, 4.60962500e-01, 1.50159566e00],
    scale=0.98615363,
)
"""Exponential disc (Sersic index 1); the scale is the half-light radius."""

DE_VAUCOULEURS = _mixture(
    [4.26347652e-02, 2.40127183e-01, 6.85907632e-01, 1.51937350, 2.83627243, 4.46467501, 5.72440830, 5.60989349],
    [2.23759216e-4, 1.00220099e-3, 4.18731126e-3, 1.69432589e-2, 6.84850479e-2, 2.87207080e-1, 1.33320254, 8.40215071],
    scale=0.91545832,
)
"""De Vaucouleurs bulge (Sersic index 4, truncated); the scale is the half-light radius."""
