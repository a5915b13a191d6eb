"""The Galaxy's dust: an exponential disk, made cloudy by a random field on the sky, or a constant."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from etendue.geom.sphere import unit_vector
from etendue.simulate.light.galactic import EQUATORIAL_TO_GALACTIC, to_galactic
from etendue.simulate.random_streams import stream

Vector = NDArray[np.float64]

_SUN_KPC = 8.2
_MODES = 400
_LARGEST_SCALE_DEG, _SMALLEST_SCALE_DEG = 30.0, 0.1
_QUADRATURE = np.polynomial.legendre.leggauss(12)
_BLOCK = 20_000


class Dust(BaseModel):
    """Where the Galaxy's dust is."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    constant_excess: float | None = Field(None, ge=0.0)
    """E(B-V) of everything outside the Solar System [mag]; None for the disk below."""

    excess_per_kpc: float = Field(0.22, ge=0.0)
    """E(B-V) per kiloparsec at the Sun, in the plane [mag/kpc]."""

    scale_length_kpc: float = Field(3.2, gt=0.0)
    """Exponential scale length along the plane [kpc]."""

    scale_height_kpc: float = Field(0.1, gt=0.0)
    """Exponential scale height [kpc]."""

    turbulence: float = Field(0.35, ge=0.0)
    """Standard deviation of the logarithm of the column over the sky; 0 for a smooth disk."""

    def excess(self, ra_deg: Vector, dec_deg: Vector, distance_kpc: Vector | float, seed: int) -> Vector:
        """Return colour excesses.

        Parameters
        ----------
        ra_deg, dec_deg : ndarray, float64, shape (n,)
            Directions [deg].
        distance_kpc : ndarray, float64, shape (n,), or float
            Distances; infinity behind all dust [kpc].
        seed : int
            Seed of the survey: which clouds.

        Returns
        -------
        ndarray, float64, shape (n,)
            E(B-V) [mag].
        """
        if self.constant_excess is not None:
            return np.full(np.shape(ra_deg), self.constant_excess)
        l_deg, b_deg = to_galactic(ra_deg, dec_deg)
        column = self.smooth(l_deg, b_deg, np.broadcast_to(np.asarray(distance_kpc, float), l_deg.shape))
        return column * self.clouds(ra_deg, dec_deg, seed)

    def smooth(self, l_deg: Vector, b_deg: Vector, distance_kpc: Vector) -> Vector:
        """Return colour excesses of the disk without clouds.

        Parameters
        ----------
        l_deg, b_deg : ndarray, float64, shape (n,)
            Galactic coordinates [deg].
        distance_kpc : ndarray, float64, shape (n,)
            Distances; infinity behind all dust [kpc].

        Returns
        -------
        ndarray, float64, shape (n,)
            E(B-V) [mag], by Gauss-Legendre quadrature over the share of the vertical column.
        """
        slant = np.maximum(np.abs(np.sin(np.radians(b_deg))), 2e-3) / self.scale_height_kpc
        share = -np.expm1(-np.minimum(np.asarray(distance_kpc, float) * slant, 50.0))
        cos_b, cos_l = np.cos(np.radians(b_deg)), np.cos(np.radians(l_deg))
        total = np.zeros_like(slant)
        for node, weight in zip(*_QUADRATURE, strict=True):
            at = 0.5 * (node + 1.0) * share
            along = -np.log1p(-at) / slant * cos_b
            radius = np.sqrt(np.maximum(_SUN_KPC**2 + along**2 - 2.0 * _SUN_KPC * along * cos_l, 0.0))
            total += 0.5 * weight * np.exp((_SUN_KPC - radius) / self.scale_length_kpc)
        return self.excess_per_kpc * total * share / slant

    def clouds(self, ra_deg: Vector, dec_deg: Vector, seed: int) -> Vector:
        """Return what turbulence multiplies the column with.

        Parameters
        ----------
        ra_deg, dec_deg : ndarray, float64, shape (n,)
            Directions [deg].
        seed : int
            Seed of the survey.

        Returns
        -------
        ndarray, float64, shape (n,)
            A log-normal field of mean 1 over the sky, from waves of 0.1 to 30 deg with the slope of interstellar
            cirrus (power -2.9 in two dimensions; Gautier et al. 1992, AJ 103, 1313).
        """
        if self.turbulence == 0.0:
            return np.ones(np.shape(ra_deg))
        waves, phase, size = _waves(seed)
        direction = unit_vector(ra_deg, dec_deg) @ EQUATORIAL_TO_GALACTIC.T
        field = np.empty(len(direction))
        for start in range(0, len(direction), _BLOCK):
            part = slice(start, start + _BLOCK)
            field[part] = np.cos(direction[part] @ waves + phase) @ size
        return np.exp(self.turbulence * field - 0.5 * self.turbulence**2)


@lru_cache(maxsize=4)
def _waves(seed: int) -> tuple[NDArray[np.float64], Vector, Vector]:
    """Wave vectors, phases and amplitudes of a field of unit variance."""
    rng = stream(seed, "dust clouds")
    scale_deg = np.geomspace(_LARGEST_SCALE_DEG, _SMALLEST_SCALE_DEG, _MODES)
    normal = rng.normal(size=(3, _MODES))
    waves = normal / np.linalg.norm(normal, axis=0) * (360.0 / scale_deg)
    # Evenly spaced in the logarithm of scale, each wave has the power k**2 P(k) = k**-0.9.
    size = scale_deg**0.45
    return waves, rng.uniform(0.0, 2.0 * np.pi, _MODES), size * np.sqrt(2.0 / np.sum(size**2))
