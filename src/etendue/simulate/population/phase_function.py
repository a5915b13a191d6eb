"""How the brightness of a small body falls with phase angle: H, G1, G2 and H, G12."""

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

Vector = NDArray[np.float64]

_FAR_DEG = np.array([7.5, 30.0, 60.0, 90.0, 120.0, 150.0])
_PHI_1 = CubicSpline(
    np.radians(_FAR_DEG),
    [0.75, 3.3486016e-1, 1.3410560e-1, 5.1104756e-2, 2.1465687e-2, 3.6396989e-3],
    bc_type=((1, -1.9098593), (1, -9.1328612e-2)),
)
_PHI_2 = CubicSpline(
    np.radians(_FAR_DEG),
    [0.925, 6.2884169e-1, 3.1755495e-1, 1.2716367e-1, 2.2373903e-2, 1.6505689e-4],
    bc_type=((1, -5.7295780e-1), (1, -8.6573138e-8)),
)
_PHI_3 = CubicSpline(
    np.radians([0.0, 0.3, 1.0, 2.0, 4.0, 8.0, 12.0, 20.0, 30.0]),
    [1.0, 8.3381185e-1, 5.7735424e-1, 4.2144772e-1, 2.3174230e-1, 1.0348178e-1, 6.1733473e-2, 1.6107006e-2, 0.0],
    bc_type=((1, -1.0630097e-1), (1, 0.0)),
)
_FLOOR = 1e-6


def slopes_of_g12(g12: Vector) -> tuple[Vector, Vector]:
    """Return G1 and G2 of the one-parameter system.

    Parameters
    ----------
    g12 : ndarray, float64, shape (n,)
        Slope parameter.

    Returns
    -------
    g1, g2 : ndarray, float64, shape (n,)
        Muinonen et al. (2010, Icarus 209, 542), eq. 28: two straight lines that meet at 0.2.
    """
    low = g12 < 0.2
    g1 = np.where(low, 0.7527 * g12 + 0.06164, 0.9529 * g12 + 0.02162)
    g2 = np.where(low, -0.9612 * g12 + 0.6270, -0.6125 * g12 + 0.5572)
    return g1, g2


def phase_mag(phase_deg: Vector, g12: Vector) -> Vector:
    """Return how much fainter a body is than at phase angle 0.

    Parameters
    ----------
    phase_deg : ndarray, float64, shape (n,)
        Angle Sun-object-observer, 0 to 180; beyond 150 the functions are held [deg].
    g12 : ndarray, float64, shape (n,)
        Slope parameter, about 0 to 1.

    Returns
    -------
    ndarray, float64, shape (n,)
        ``-2.5 log10(G1 phi1 + G2 phi2 + (1 - G1 - G2) phi3)``, Muinonen et al. (2010), eq. 18, with the splines of
        their table 4 [mag].
    """
    g1, g2 = slopes_of_g12(g12)
    angle = np.radians(np.clip(phase_deg, 0.0, 150.0))
    near = angle < np.radians(7.5)
    phi1 = np.where(near, 1.0 - 6.0 * angle / np.pi, _PHI_1(angle))
    phi2 = np.where(near, 1.0 - 9.0 * angle / (5.0 * np.pi), _PHI_2(angle))
    phi3 = np.where(angle < np.radians(30.0), _PHI_3(angle), 0.0)
    return -2.5 * np.log10(np.maximum(g1 * phi1 + g2 * phi2 + (1.0 - g1 - g2) * phi3, _FLOOR))
