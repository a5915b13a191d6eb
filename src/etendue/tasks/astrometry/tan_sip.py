"""Turn a smooth map from pixels to a tangent plane into a TAN-SIP WCS."""

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from etendue.errors import AlgorithmError
from etendue.geom.polynomial import Polynomial2D
from etendue.geom.sky_wcs import SkyWcs
from etendue.kernels.astrometry import polynomial_design, polynomial_powers, weighted_fit

Vector = NDArray[np.float64]
PlaneMap = Callable[[Vector, Vector], tuple[Vector, Vector]]

_MAX_ORDER = 7
_ARCSEC = 3600.0


@dataclass(frozen=True, slots=True)
class PixelFrame:
    """Pixels scaled so that the stars of a detector lie in [-1, 1].

    Parameters
    ----------
    x0, y0 : float
        Center [px].
    half_size : float
        Pixels per unit.
    """

    x0: float
    y0: float
    half_size: float

    @classmethod
    def around(cls, x: Vector, y: Vector) -> "PixelFrame":
        """Return the frame that holds the points.

        Parameters
        ----------
        x, y : ndarray, float64, shape (n,)
            Pixels; at least one.

        Returns
        -------
        PixelFrame
        """
        half_size = max(float(np.ptp(x)), float(np.ptp(y)), 2.0) / 2.0
        return cls(0.5 * float(x.min() + x.max()), 0.5 * float(y.min() + y.max()), half_size)

    def scaled(self, x: Vector, y: Vector) -> tuple[Vector, Vector]:
        """Return scaled coordinates.

        Parameters
        ----------
        x, y : ndarray, float64
            Pixels.

        Returns
        -------
        u, v : ndarray, float64
        """
        return (x - self.x0) / self.half_size, (y - self.y0) / self.half_size

    def design(self, x: Vector, y: Vector, order: int) -> Vector:
        """Return polynomial terms at pixels.

        Parameters
        ----------
        x, y : ndarray, float64, shape (n,)
            Pixels.
        order : int
            Highest total power.

        Returns
        -------
        ndarray, float64, shape (n, n_terms)
        """
        return polynomial_design(*self.scaled(x, y), order)


def fit_tan_sip(
    plane: PlaneMap, frame: PixelFrame, crval: tuple[float, float], *, order: int, tolerance_arcsec: float = 1e-6
) -> SkyWcs:
    """Represent a map from pixels to the tangent plane at ``crval`` as TAN-SIP.

    Parameters
    ----------
    plane : callable
        ``plane(x, y)`` returns ``xi, eta`` [arcsec].
    frame : PixelFrame
        Where the map is used.
    crval : (float, float)
        Tangent point ``(ra_deg, dec_deg)`` [deg].
    order : int
        Lowest order to try; the order rises until the representation is good to the tolerance.
    tolerance_arcsec : float
        Largest deviation from ``plane`` inside the frame, on a grid between the fitted nodes.

    Returns
    -------
    SkyWcs
        Exact to rounding where ``plane`` is a polynomial of order 7 or less.

    Raises
    ------
    AlgorithmError
        If the map is not a smooth one-to-one function of that order.
    """
    worst = np.inf
    for degree in range(max(order, 1), _MAX_ORDER + 1):
        xi, eta = (_fit_nodes(plane, frame, degree, axis) for axis in (0, 1))
        wcs = _to_sip(xi, eta, frame, crval)
        x, y = _grid(frame, np.linspace(-1.0, 1.0, 9))
        expected, got = plane(x, y), wcs.pixel_to_plane(x=x, y=y)
        worst = max(float(np.abs(e - _ARCSEC * g).max()) for e, g in zip(expected, got, strict=True))
        if worst <= tolerance_arcsec:
            return wcs
    raise AlgorithmError("distortion is no polynomial of order 7 or less", residual_arcsec=worst)


def _grid(frame: PixelFrame, nodes: Vector) -> tuple[Vector, Vector]:
    u, v = np.meshgrid(nodes, nodes)
    return frame.x0 + frame.half_size * u.ravel(), frame.y0 + frame.half_size * v.ravel()


def _fit_nodes(plane: PlaneMap, frame: PixelFrame, order: int, axis: int) -> Vector:
    """Return the matrix ``m[p, q]`` of ``u**p v**q`` [arcsec] fitted on Chebyshev nodes."""
    nodes = np.cos(np.pi * (np.arange(order + 3) + 0.5) / (order + 3))
    x, y = _grid(frame, nodes)
    fit = weighted_fit(frame.design(x, y, order), plane(x, y)[axis], np.ones(x.size))
    matrix = np.zeros((order + 1, order + 1))
    p, q = polynomial_powers(order).T
    matrix[p, q] = fit.coefficients
    return matrix


def _to_sip(xi: Vector, eta: Vector, frame: PixelFrame, crval: tuple[float, float]) -> SkyWcs:
    """Expand both polynomials about their common zero, which becomes the reference pixel."""
    u, v = _common_zero(Polynomial2D(xi), Polynomial2D(eta))
    powers = frame.half_size ** -np.add.outer(np.arange(float(len(xi))), np.arange(float(len(xi))))
    moved = np.stack([_translated(matrix, u, v) * powers for matrix in (xi, eta)]) / _ARCSEC
    cd = np.array([[m[1, 0], m[0, 1]] for m in moved])
    sip = np.einsum("ij,jpq->ipq", np.linalg.inv(cd), moved)
    sip[:, 0, 0] = sip[:, 1, 0] = sip[:, 0, 1] = 0.0
    crpix = (frame.x0 + frame.half_size * u, frame.y0 + frame.half_size * v)
    if len(xi) < 3:
        return SkyWcs(crpix, crval, cd)
    return SkyWcs.from_polynomial(crpix=crpix, crval=crval, cd=cd, sip_a=sip[0], sip_b=sip[1])


def _common_zero(xi: Polynomial2D, eta: Polynomial2D) -> tuple[float, float]:
    point = np.zeros(2)
    for _ in range(50):
        u, v = point[:1], point[1:]
        value = np.concatenate([xi(u, v), eta(u, v)])
        jacobian = np.array([np.concatenate(f.gradient(u, v)) for f in (xi, eta)])
        step = np.linalg.solve(jacobian, value)
        point = point - step
        if np.abs(step).max() < 1e-14 * max(1.0, np.abs(point).max()):
            break
    if not np.isfinite(point).all() or np.abs(value).max() > 1e-6:
        raise AlgorithmError("tangent point is not on the extrapolated detector")
    return float(point[0]), float(point[1])


def _translated(matrix: Vector, u: float, v: float) -> Vector:
    """Return the coefficients in powers of ``(u' - u)``, ``(v' - v)``."""
    n = len(matrix)
    by_u, by_v = (
        np.array([[comb(p, i) * shift ** (p - i) if i <= p else 0.0 for i in range(n)] for p in range(n)])
        for shift in (u, v)
    )
    return np.asarray(by_u.T @ matrix @ by_v)
