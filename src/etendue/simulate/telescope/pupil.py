"""Blur of the telescope: rays of an aberrated, obscured pupil, and its diffraction."""

from dataclasses import dataclass
from math import factorial

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.telescope.spec import OpticsSpec

Vector = NDArray[np.float64]

_RAD_ARCSEC = 180.0 * 3600.0 / np.pi
_RINGS, _RAYS = 48, 192


@dataclass(frozen=True, slots=True, eq=False)
class Pupil:
    """Rays over the open pupil, of equal area each.

    Parameters
    ----------
    u, v : ndarray, float64, shape (n,)
        Places in units of the pupil's radius.
    diameter_m : float
        Diameter [m].
    obscuration : float
        Linear central obscuration.
    """

    u: Vector
    v: Vector
    diameter_m: float
    obscuration: float

    @classmethod
    def of(cls, spec: OpticsSpec) -> "Pupil":
        """Return the pupil of a telescope: an annulus with vanes.

        Parameters
        ----------
        spec : OpticsSpec
            The telescope.

        Returns
        -------
        Pupil
        """
        edges = np.linspace(spec.obscuration**2, 1.0, _RINGS + 1)
        radius = np.sqrt(0.5 * (edges[1:] + edges[:-1]))  # rings of equal area
        golden = np.pi * (3.0 - np.sqrt(5.0))
        angle = 2.0 * np.pi * (np.arange(_RAYS) + 0.5) / _RAYS
        turned = angle[None, :] + golden * np.arange(_RINGS)[:, None]
        u, v = (radius[:, None] * np.cos(turned)).ravel(), (radius[:, None] * np.sin(turned)).ravel()
        open_ = ~_behind_vane(u, v, spec)
        return cls(u[open_], v[open_], spec.diameter_m, spec.obscuration)

    def rays_arcsec(self, noll: NDArray[np.int64], amplitude_nm: Vector) -> tuple[Vector, Vector]:
        """Return where the rays of a wavefront meet the focal plane.

        Parameters
        ----------
        noll : ndarray, int64, shape (m,)
            Zernike terms, in Noll's order.
        amplitude_nm : ndarray, float64, shape (m,)
            Their rms amplitudes [nm].

        Returns
        -------
        x, y : ndarray, float64, shape (n,)
            Transverse aberration on the sky [arcsec].
        """
        x, y = np.zeros_like(self.u), np.zeros_like(self.u)
        for term, amplitude in zip(noll, amplitude_nm, strict=True):
            gradient_u, gradient_v = zernike_gradient(int(term), self.u, self.v)
            x += amplitude * gradient_u
            y += amplitude * gradient_v
        scale = 2e-9 / self.diameter_m * _RAD_ARCSEC
        return scale * x, scale * y

    def diffraction_transfer(self, frequency: Vector, wavelength_nm: float) -> Vector:
        """Return the transfer function of an annular pupil without aberrations (O'Neill 1956).

        Parameters
        ----------
        frequency : ndarray, float64
            Spatial frequencies [1/arcsec].
        wavelength_nm : float
            Wavelength [nm].

        Returns
        -------
        ndarray, float64
            1 at frequency 0.
        """
        shift = frequency * wavelength_nm * 1e-9 * _RAD_ARCSEC / self.diameter_m  # in diameters
        inner = self.obscuration
        both = _lens(shift, 0.5, 0.5) + _lens(shift, 0.5 * inner, 0.5 * inner) - 2.0 * _lens(shift, 0.5, 0.5 * inner)
        return np.asarray(both / (0.25 * np.pi * (1.0 - inner**2)))


def _behind_vane(u: Vector, v: Vector, spec: OpticsSpec) -> NDArray[np.bool_]:
    """Tell which places of the pupil the vanes cover; the first vane points along x."""
    covered = np.zeros(u.size, bool)
    half = spec.vane_width_m / spec.diameter_m
    for number in range(spec.vanes):
        angle = 2.0 * np.pi * number / spec.vanes
        along, across = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
        covered |= (along > 0.0) & (np.abs(across) < half)
    return covered


def _lens(distance: Vector, first: float, second: float) -> Vector:
    """Return the area that two discs share."""
    if first == 0.0 or second == 0.0:
        return np.zeros_like(distance)
    d = np.clip(distance, abs(first - second) + 1e-15, first + second)
    a = np.arccos(np.clip((d**2 + first**2 - second**2) / (2.0 * d * first), -1.0, 1.0))
    b = np.arccos(np.clip((d**2 + second**2 - first**2) / (2.0 * d * second), -1.0, 1.0))
    kite = (-d + first + second) * (d + first - second) * (d - first + second) * (d + first + second)
    area = first**2 * a + second**2 * b - 0.5 * np.sqrt(np.maximum(kite, 0.0))
    return np.asarray(np.where(distance >= first + second, 0.0, area))


def zernike_gradient(noll: int, u: Vector, v: Vector) -> tuple[Vector, Vector]:
    """Return the gradient of a Zernike polynomial of unit rms (Noll 1976).

    Parameters
    ----------
    noll : int
        Term, 4 to 15.
    u, v : ndarray, float64, shape (n,)
        Places in units of the pupil's radius.

    Returns
    -------
    gradient_u, gradient_v : ndarray, float64, shape (n,)
        Derivatives along u and v.
    """
    step = 1e-4  # central differences of polynomials of order 4: good to 1e-7
    return (
        (zernike(noll, u + step, v) - zernike(noll, u - step, v)) / (2.0 * step),
        (zernike(noll, u, v + step) - zernike(noll, u, v - step)) / (2.0 * step),
    )


def zernike(noll: int, u: Vector, v: Vector) -> Vector:
    """Return a Zernike polynomial of unit rms over the full disc (Noll 1976).

    Parameters
    ----------
    noll : int
        Term, 4 to 15.
    u, v : ndarray, float64, shape (n,)
        Places in units of the pupil's radius.

    Returns
    -------
    ndarray, float64, shape (n,)
    """
    order, power = _noll_to_nm(noll)
    square, angle = u**2 + v**2, np.arctan2(v, u)
    radial = np.zeros_like(square)
    for k in range((order - power) // 2 + 1):
        radial += _radial_factor(order, power, k) * square ** (0.5 * (order - 2 * k))
    if power == 0:
        return np.asarray(np.sqrt(order + 1.0) * radial)
    wave = np.cos(power * angle) if noll % 2 == 0 else np.sin(power * angle)
    return np.asarray(np.sqrt(2.0 * (order + 1.0)) * radial * wave)


def _noll_to_nm(noll: int) -> tuple[int, int]:
    order, left = 0, noll - 1
    while left > order:
        order += 1
        left -= order
    power = order % 2 + 2 * ((left + (order + 1) % 2) // 2)
    return order, power


def _radial_factor(order: int, power: int, k: int) -> float:
    value = (-1.0) ** k * factorial(order - k)
    return value / (factorial(k) * factorial((order + power) // 2 - k) * factorial((order - power) // 2 - k))
