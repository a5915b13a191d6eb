"""Artificial satellites on circular orbits: where they are, how bright, and when the Earth shades them."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.population.observer import AU_KM

Vector = NDArray[np.float64]

GM_EARTH_KM3_S2 = 398600.4418
EARTH_RADIUS_KM = 6378.137
_J2 = 1.08262668e-3
_SUN_RADIUS_KM = 695700.0
_STANDARD_KM = 1000.0
_DAY_S = 86400.0


@dataclass(frozen=True, slots=True, eq=False)
class Satellites:
    """Satellites; all columns have shape (n,).

    Parameters
    ----------
    radius_km : ndarray, float64
        Radius of the orbit [km].
    inclination_deg : ndarray, float64
        Inclination to the equator [deg].
    node_deg, place_deg : ndarray, float64
        Right ascension of the ascending node and angle from it, at the epoch [deg].
    standard_mag : ndarray, float64
        AB magnitude in V at 1000 km, half lit, of the diffuse light [mag].
    tumble_s : ndarray, float64
        Time between glints [s]; NaN if steady.
    tumble_phase : ndarray, float64
        Turns at the epoch.
    glint_mag : ndarray, float64
        How much brighter a glint is than the diffuse light [mag].
    glint_s : ndarray, float64
        Duration of a glint [s].
    """

    radius_km: Vector
    inclination_deg: Vector
    node_deg: Vector
    place_deg: Vector
    standard_mag: Vector
    tumble_s: Vector
    tumble_phase: Vector
    glint_mag: Vector
    glint_s: Vector

    def __len__(self) -> int:
        return int(self.radius_km.size)

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "Satellites":
        """Return some satellites.

        Parameters
        ----------
        rows : ndarray
            Row numbers or a mask.

        Returns
        -------
        Satellites
        """
        return Satellites(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def motion_rad_s(self) -> Vector:
        """Angular velocity about the Earth [rad/s]."""
        return np.sqrt(GM_EARTH_KM3_S2 / self.radius_km**3)

    def positions_km(self, days: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return geocentric positions; nodes drift by the Earth's oblateness.

        Parameters
        ----------
        days : ndarray, float64, shape (...)
            Times since the epoch, broadcast against the satellites in the last axis [day].

        Returns
        -------
        ndarray, float64, shape (..., n, 3)
            On celestial axes [km].
        """
        motion = self.motion_rad_s * _DAY_S
        i = np.radians(self.inclination_deg)
        drift = -1.5 * _J2 * (EARTH_RADIUS_KM / self.radius_km) ** 2 * np.cos(i) * motion
        node = np.radians(self.node_deg) + drift * days
        place = np.radians(self.place_deg) + motion * days
        x, y = np.cos(place), np.sin(place)
        cos_node, sin_node = np.cos(node), np.sin(node)
        unit = [x * cos_node - y * np.cos(i) * sin_node, x * sin_node + y * np.cos(i) * cos_node, y * np.sin(i)]
        return np.stack(unit, axis=-1) * self.radius_km[..., None]


def sunlit(position_km: NDArray[np.float64], to_sun: Vector) -> NDArray[np.float64]:
    """Return the share of sunlight that reaches satellites past the Earth.

    Parameters
    ----------
    position_km : ndarray, float64, shape (..., 3)
        Geocentric positions [km].
    to_sun : ndarray, float64, shape (3,)
        Unit vector from the Earth to the Sun.

    Returns
    -------
    ndarray, float64, shape (...)
        0 in the umbra, 1 outside the penumbra, a straight line across it; the air bends and dims nothing.
    """
    along = position_km @ to_sun
    behind = np.maximum(-along, 0.0)
    from_axis = np.sqrt(np.maximum(np.einsum("...i,...i->...", position_km, position_km) - along**2, 0.0))
    umbra = EARTH_RADIUS_KM - behind * (_SUN_RADIUS_KM - EARTH_RADIUS_KM) / AU_KM
    penumbra = EARTH_RADIUS_KM + behind * (_SUN_RADIUS_KM + EARTH_RADIUS_KM) / AU_KM
    share = np.clip((from_axis - umbra) / np.maximum(penumbra - umbra, 1.0), 0.0, 1.0)
    return np.where(along >= 0.0, 1.0, share)


def diffuse_mag(standard_mag: Vector, line_km: NDArray[np.float64], to_sun: Vector) -> Vector:
    """Return V magnitudes of satellites that scatter as diffuse spheres.

    Parameters
    ----------
    standard_mag : ndarray, float64, shape (...)
        At 1000 km and phase angle 90 degrees [mag].
    line_km : ndarray, float64, shape (..., 3)
        From the observer to the satellites [km].
    to_sun : ndarray, float64, shape (3,)
        Unit vector from the Earth to the Sun.

    Returns
    -------
    ndarray, float64, shape (...)
        Lambert's sphere: ``(sin(p) + (pi - p) cos(p))`` of the phase angle ``p``, relative to 90 degrees [mag].
    """
    distance = np.sqrt(np.einsum("...i,...i->...", line_km, line_km))
    phase = np.arccos(np.clip(-(line_km @ to_sun) / distance, -1.0, 1.0))
    lit = np.sin(phase) + (np.pi - phase) * np.cos(phase)
    return standard_mag + 5.0 * np.log10(distance / _STANDARD_KM) - 2.5 * np.log10(np.maximum(lit, 1e-4))
