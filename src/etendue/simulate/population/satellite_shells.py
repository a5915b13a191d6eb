"""Artificial satellites: where they are, how bright, and when the Earth shades them."""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.population.observer import AU_KM

Vector = NDArray[np.float64]

GM_EARTH_KM3_S2 = 398600.4418
EARTH_RADIUS_KM = 6378.137
J2 = 1.08262668e-3
_SUN_RADIUS_KM = 695700.0
_STANDARD_KM = 1000.0
_DAY_S = 86400.0
_KEPLER_ROUNDS = 7


@dataclass(frozen=True, slots=True, eq=False)
class Satellites:
    """Satellites; all columns have shape (n,).

    Parameters
    ----------
    radius_km : ndarray, float64
        Semi-major axis of the orbit [km].
    inclination_deg : ndarray, float64
        Inclination to the equator [deg].
    node_deg, place_deg : ndarray, float64
        Right ascension of the ascending node and mean angle from it, at the epoch [deg].
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
    e, peri_deg : ndarray, float64
        Eccentricity, below 1, and angle from the node to the perigee at the epoch [deg].
    motion_deg_day : ndarray, float64
        Mean motion from the perigee [deg/day].
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
    e: Vector
    peri_deg: Vector
    motion_deg_day: Vector

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
    def perigee_km(self) -> Vector:
        """Smallest distance from the Earth's centre [km]."""
        return self.radius_km * (1.0 - self.e)

    @property
    def fastest_km_s(self) -> Vector:
        """Speed at the perigee [km/s]."""
        return np.sqrt(GM_EARTH_KM3_S2 * (1.0 + self.e) / self.perigee_km)

    def positions_km(self, days: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return geocentric positions; nodes and perigees drift by the Earth's oblateness (J2, secular).

        Parameters
        ----------
        days : ndarray, float64, shape (...)
            Times since the epoch, broadcast against the satellites in the last axis [day].

        Returns
        -------
        ndarray, float64, shape (..., n, 3)
            On celestial axes [km].
        """
        drift_node, drift_peri = self._drifts_deg_day()
        i = np.radians(self.inclination_deg)
        node = np.radians(self.node_deg + drift_node * days)
        place, radius = self._place(days, drift_peri)
        x, y = np.cos(place), np.sin(place)
        cos_node, sin_node = np.cos(node), np.sin(node)
        unit = [x * cos_node - y * np.cos(i) * sin_node, x * sin_node + y * np.cos(i) * cos_node, y * np.sin(i)]
        return np.stack(unit, axis=-1) * radius[..., None]

    def at(self, days: Vector) -> "Satellites":
        """Return the satellites with their elements moved on.

        Parameters
        ----------
        days : ndarray, float64, shape (n,)
            By so much; the new epoch is so much later [day].

        Returns
        -------
        Satellites
        """
        drift_node, drift_peri = self._drifts_deg_day()
        turns = np.where(np.isfinite(self.tumble_s), days * _DAY_S / self.tumble_s, 0.0)
        return replace(
            self,
            node_deg=np.mod(self.node_deg + drift_node * days, 360.0),
            peri_deg=np.mod(self.peri_deg + drift_peri * days, 360.0),
            place_deg=np.mod(self.place_deg + (self.motion_deg_day + drift_peri) * days, 360.0),
            tumble_phase=np.mod(self.tumble_phase - turns, 1.0),
        )

    def _drifts_deg_day(self) -> tuple[Vector, Vector]:
        """Return secular drifts of node and perigee (Kaula 1966); those of circles are in ``motion_deg_day``."""
        cosine = np.cos(np.radians(self.inclination_deg))
        slow = 1.5 * J2 * (EARTH_RADIUS_KM / (self.radius_km * (1.0 - self.e**2))) ** 2 * self.motion_deg_day
        return -slow * cosine, np.where(self.e > 0.0, slow * (2.5 * cosine**2 - 0.5), 0.0)

    def _place(self, days: NDArray[np.float64], drift_peri: Vector) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return angle from the node [rad] and distance from the Earth's centre [km]."""
        mean = np.radians(self.place_deg + (self.motion_deg_day + drift_peri) * days)
        radius = np.broadcast_to(self.radius_km, mean.shape)
        if not self.e.any():
            return mean, radius
        peri = np.radians(self.peri_deg + drift_peri * days)
        eccentric = kepler(mean - peri, self.e)
        root = np.sqrt((1.0 + self.e) / (1.0 - self.e))
        true = 2.0 * np.arctan2(root * np.sin(0.5 * eccentric), np.cos(0.5 * eccentric))
        return true + peri, radius * (1.0 - self.e * np.cos(eccentric))


def kepler(mean: NDArray[np.float64], e: Vector) -> NDArray[np.float64]:
    """Return eccentric anomalies by Halley's method from Danby's (1987) starting value.

    Parameters
    ----------
    mean : ndarray, float64, shape (..., n)
        Mean anomalies [rad].
    e : ndarray, float64, shape (n,)
        Eccentricities, below 1.

    Returns
    -------
    ndarray, float64, shape (..., n)
        ``E - e sin E = M`` to 1e-12 rad for eccentricities up to 0.99 [rad].
    """
    inside = np.remainder(mean + np.pi, 2.0 * np.pi) - np.pi
    found = inside + 0.85 * e * np.sign(np.sin(inside))
    for _ in range(_KEPLER_ROUNDS):
        sine, cosine = e * np.sin(found), e * np.cos(found)
        off, slope = found - sine - inside, 1.0 - cosine
        found = found - off / (slope - 0.5 * off / slope * sine)
    return found


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
