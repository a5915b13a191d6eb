"""Orbits about the Sun and where they are seen."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from etendue.camera.camera import Observatory
from etendue.geom.sphere import sky_position, unit_vector
from etendue.kernels.kepler import near_direction, seen_from, two_body_states
from etendue.simulate.population.observer import observe_from, tdb_of_tai

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]

GM_SUN = 0.01720209895**2
"""Gaussian gravitational constant squared [au**3 / day**2]."""

_OBLIQUITY_RAD = np.radians(84381.448 / 3600.0)  # ecliptic of J2000, IAU 1976, as the MPC and JPL use it
_ARCSEC_PER_HOUR = np.degrees(1.0) * 3600.0 / 24.0


@dataclass(frozen=True, slots=True, eq=False)
class Orbits:
    """Heliocentric two-body orbits of any eccentricity; all columns have shape (n,), angles on the ecliptic of J2000.

    Parameters
    ----------
    q_au : ndarray, float64
        Perihelion distance [au].
    e : ndarray, float64
        Eccentricity; 1 and more are allowed.
    inclination_deg, node_deg, peri_deg : ndarray, float64
        Inclination, longitude of the ascending node, argument of perihelion [deg].
    t_peri_mjd_tdb : ndarray, float64
        Time of a perihelion [day].
    """

    q_au: Vector
    e: Vector
    inclination_deg: Vector
    node_deg: Vector
    peri_deg: Vector
    t_peri_mjd_tdb: Vector

    def __len__(self) -> int:
        return int(self.q_au.size)

    @classmethod
    def from_keplerian(
        cls, a_au: Vector, e: Vector, inclination_deg: Vector, node_deg: Vector, peri_deg: Vector,
        mean_anomaly_deg: Vector, epoch_mjd_tdb: ArrayLike,
    ) -> "Orbits":  # fmt: skip
        """Return ellipses from classical elements.

        Parameters
        ----------
        a_au, e, inclination_deg, node_deg, peri_deg, mean_anomaly_deg : ndarray, float64, shape (n,)
            Elements [au, deg].
        epoch_mjd_tdb : array_like, shape () or (n,)
            Time of the mean anomaly [day].

        Returns
        -------
        Orbits
        """
        motion = np.sqrt(GM_SUN / a_au**3)
        anomaly = np.radians(np.remainder(mean_anomaly_deg + 180.0, 360.0) - 180.0)
        t_peri = np.broadcast_to(np.asarray(epoch_mjd_tdb, float), a_au.shape) - anomaly / motion
        return cls(a_au * (1.0 - e), e, inclination_deg, node_deg, peri_deg, t_peri)

    @classmethod
    def from_states(cls, states: Vector, epoch_mjd_tdb: ArrayLike) -> "Orbits":
        """Return the orbits that osculate states.

        Parameters
        ----------
        states : ndarray, float64, shape (n, 6)
            Heliocentric position [au] and velocity [au/day], ICRS axes.
        epoch_mjd_tdb : array_like, shape () or (n,)
            Times of the states [day].

        Returns
        -------
        Orbits
        """
        place, motion = _to_ecliptic(states[:, :3]), _to_ecliptic(states[:, 3:])
        radius = np.linalg.norm(place, axis=1)
        spin = np.cross(place, motion)
        pole = spin / np.linalg.norm(spin, axis=1)[:, None]
        lean = np.cross(motion, spin) / GM_SUN - place / radius[:, None]
        e = np.linalg.norm(lean, axis=1)
        to_node = np.stack([-pole[:, 1], pole[:, 0], np.zeros_like(e)], axis=1)
        flat = np.linalg.norm(to_node, axis=1) < 1e-12
        to_node = np.where(flat[:, None], [1.0, 0.0, 0.0], to_node)
        towards = np.where((e < 1e-12)[:, None], to_node, lean)
        q = np.einsum("ij,ij->i", spin, spin) / GM_SUN / (1.0 + e)
        true_anomaly = _angle(towards, place, pole)
        return cls(
            q_au=q,
            e=e,
            inclination_deg=np.degrees(np.arccos(np.clip(pole[:, 2], -1.0, 1.0))),
            node_deg=np.degrees(np.arctan2(to_node[:, 1], to_node[:, 0])) % 360.0,
            peri_deg=np.degrees(_angle(to_node, towards, pole)) % 360.0,
            t_peri_mjd_tdb=np.asarray(epoch_mjd_tdb, float) - _since_perihelion(q, e, true_anomaly),
        )

    @classmethod
    def concat(cls, parts: "list[Orbits]") -> "Orbits":
        """Join orbits.

        Parameters
        ----------
        parts : list of Orbits
            At least one.

        Returns
        -------
        Orbits
        """
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "Orbits":
        """Return some orbits.

        Parameters
        ----------
        rows : ndarray
            Row numbers or a mask.

        Returns
        -------
        Orbits
        """
        return Orbits(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def a_au(self) -> Vector:
        """Semi-major axes [au]; negative on hyperbolas, infinite on parabolas."""
        with np.errstate(divide="ignore"):
            return self.q_au / (1.0 - self.e)

    def axes(self) -> tuple[Vector, Vector]:
        """Return unit vectors towards perihelion and 90 degrees ahead of it, on ICRS axes.

        Returns
        -------
        to_peri, ahead : ndarray, float64, shape (n, 3)
        """
        i, node, peri = (np.radians(a) for a in (self.inclination_deg, self.node_deg, self.peri_deg))
        in_node = np.stack([np.cos(node), np.sin(node), np.zeros_like(node)], axis=-1)
        up = np.stack([-np.sin(node) * np.cos(i), np.cos(node) * np.cos(i), np.sin(i)], axis=-1)
        to_peri = np.cos(peri)[:, None] * in_node + np.sin(peri)[:, None] * up
        ahead = -np.sin(peri)[:, None] * in_node + np.cos(peri)[:, None] * up
        return _to_equator(to_peri), _to_equator(ahead)

    def states(self, mjd_tdb: ArrayLike) -> Vector:
        """Return heliocentric states on ICRS axes.

        Parameters
        ----------
        mjd_tdb : array_like, shape () or (n,)
            Times [day].

        Returns
        -------
        ndarray, float64, shape (n, 6)
            Position [au] and velocity [au/day].
        """
        out = np.empty((len(self), 6))
        times = np.ascontiguousarray(np.broadcast_to(np.asarray(mjd_tdb, float), self.q_au.shape))
        to_peri, ahead = self.axes()
        two_body_states(out, self.q_au, self.e, self.t_peri_mjd_tdb, to_peri, ahead, GM_SUN, times)
        return out

    def near(self, mjd_tai: float, ra_deg: float, dec_deg: float, reach_deg: float) -> NDArray[np.bool_]:
        """Tell which orbits stand near a direction, seen from the centre of the Earth; cheaper than an ephemeris.

        Light time is left out: it moves what is slower than 500 km/s, as everything 0.01 au from the Sun or farther
        is, by less than 0.1 deg.

        Parameters
        ----------
        mjd_tai : float
            Time [day].
        ra_deg, dec_deg : float
            Direction [deg].
        reach_deg : float
            Largest angle [deg].

        Returns
        -------
        ndarray, bool, shape (n,)
        """
        found = np.empty(len(self), bool)
        angles = (np.radians(a) for a in (self.inclination_deg, self.node_deg, self.peri_deg))
        observer = _to_ecliptic(observe_from(mjd_tai, None).position_au)
        towards = _to_ecliptic(unit_vector(ra_deg, dec_deg))
        least = float(np.cos(np.radians(min(reach_deg, 180.0))))
        time = float(tdb_of_tai(mjd_tai))
        near_direction(found, self.q_au, self.e, self.t_peri_mjd_tdb, *angles, GM_SUN, time, observer, towards, least)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Ephemeris:
    """What an observer sees of objects at one time; all columns have shape (m,).

    Directions are astrometric: on ICRS axes, light time in, the observer's aberration and the Sun's bending of light
    left out, as they are left out of the stars of a catalog in the same image.

    Parameters
    ----------
    ra_deg, dec_deg : ndarray, float64
        Astrometric direction [deg].
    rate_ra, rate_dec : ndarray, float64
        Motion along the parallel and along the meridian [arcsec/h].
    delta_au, r_au : ndarray, float64
        Distances from the observer and, when the light left, from the Sun [au].
    phase_deg : ndarray, float64
        Angle Sun-object-observer [deg].
    elongation_deg : ndarray, float64
        Angle Sun-observer-object [deg].
    anti_sun_deg : ndarray, float64
        Position angle away from the Sun, from north through east [deg].
    """

    ra_deg: Vector
    dec_deg: Vector
    rate_ra: Vector
    rate_dec: Vector
    delta_au: Vector
    r_au: Vector
    phase_deg: Vector
    elongation_deg: Vector
    anti_sun_deg: Vector


class Ephemerides:
    """Makes ephemerides of a set of orbits, whose axes are worked out once.

    Parameters
    ----------
    orbits : Orbits
        The orbits.
    """

    def __init__(self, orbits: Orbits):
        self.orbits = orbits
        self._elements = tuple(np.ascontiguousarray(a) for a in (orbits.q_au, orbits.e, orbits.t_peri_mjd_tdb))
        self._axes = tuple(np.ascontiguousarray(a) for a in orbits.axes())

    def lines(self, mjd_tai: float, site: Observatory | None, rows: Rows | None = None) -> Vector:
        """Return lines of sight.

        Parameters
        ----------
        mjd_tai : float
            Time of observation [day].
        site : Observatory or None
            Where from; None is the centre of the Earth.
        rows : ndarray, int64, shape (m,), optional
            Orbits wanted; all by default.

        Returns
        -------
        ndarray, float64, shape (m, 7)
            Line of sight [au], its rate [au/day], distance from the Sun [au].
        """
        rows = np.arange(len(self.orbits)) if rows is None else np.ascontiguousarray(rows, np.int64)
        observer = observe_from(float(mjd_tai), site)
        state = np.concatenate([observer.position_au, observer.velocity_au_day])
        out = np.empty((rows.size, 7))
        time = float(tdb_of_tai(mjd_tai))
        seen_from(out, *self._elements, *self._axes, GM_SUN, time, state, np.array(observer.sun_velocity_au_day), rows)
        return out

    def at(self, mjd_tai: float, site: Observatory | None, rows: Rows | None = None) -> Ephemeris:
        """Return what an observer sees at one time.

        Parameters
        ----------
        mjd_tai, site, rows
            As in `lines`.

        Returns
        -------
        Ephemeris
        """
        lines = self.lines(mjd_tai, site, rows)
        return ephemeris_of(lines, np.asarray(observe_from(float(mjd_tai), site).position_au))


def ephemeris_of(lines: Vector, observer_au: Vector) -> Ephemeris:
    """Return directions, rates and angles of lines of sight.

    Parameters
    ----------
    lines : ndarray, float64, shape (m, 7)
        As of `Ephemerides.lines`.
    observer_au : ndarray, float64, shape (3,)
        Heliocentric position of the observer [au].

    Returns
    -------
    Ephemeris
    """
    line, rate, r_au = lines[:, :3], lines[:, 3:6], lines[:, 6]
    delta = np.sqrt(np.einsum("ij,ij->i", line, line))
    ra, dec = sky_position(line)
    east, north = _east_north(ra, dec)
    sun = float(np.sqrt(observer_au @ observer_au))
    with np.errstate(invalid="ignore", divide="ignore"):
        phase = np.arccos(np.clip((r_au**2 + delta**2 - sun**2) / (2.0 * r_au * delta), -1.0, 1.0))
        elongation = np.arccos(np.clip(-(line @ observer_au) / (delta * sun), -1.0, 1.0))
    return Ephemeris(
        ra_deg=ra,
        dec_deg=dec,
        rate_ra=np.einsum("ij,ij->i", rate, east) / delta * _ARCSEC_PER_HOUR,
        rate_dec=np.einsum("ij,ij->i", rate, north) / delta * _ARCSEC_PER_HOUR,
        delta_au=delta,
        r_au=r_au,
        phase_deg=np.degrees(phase),
        elongation_deg=np.degrees(elongation),
        anti_sun_deg=np.degrees(np.arctan2(east @ observer_au, north @ observer_au)),
    )


def _east_north(ra_deg: Vector, dec_deg: Vector) -> tuple[Vector, Vector]:
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
    return east, north


def _to_equator(vector: Vector) -> Vector:
    """Turn vectors from the ecliptic to the equator of J2000."""
    cos, sin = np.cos(_OBLIQUITY_RAD), np.sin(_OBLIQUITY_RAD)
    x, y, z = vector.T
    return np.stack([x, cos * y - sin * z, sin * y + cos * z], axis=-1)


def _to_ecliptic(vector: Vector) -> Vector:
    cos, sin = np.cos(_OBLIQUITY_RAD), np.sin(_OBLIQUITY_RAD)
    x, y, z = vector.T
    return np.stack([x, cos * y + sin * z, -sin * y + cos * z], axis=-1)


def _angle(start: Vector, end: Vector, pole: Vector) -> Vector:
    """Return the angle from one vector to another, counted about a pole [rad]."""
    across = np.einsum("ij,ij->i", np.cross(start, end), pole)
    return np.arctan2(across, np.einsum("ij,ij->i", start, end))


def _since_perihelion(q: Vector, e: Vector, true_anomaly: Vector) -> Vector:
    """Return the time since perihelion of a true anomaly between -pi and pi [day]."""
    half = np.tan(0.5 * true_anomaly)
    size = np.sqrt(np.abs(1.0 - e))
    ratio = size / np.sqrt(1.0 + e) * half
    curved = size > 1e-4
    root = np.where(curved, size, 1.0) * np.sqrt(GM_SUN / q)
    with np.errstate(invalid="ignore", divide="ignore"):
        anomaly = np.where(e < 1.0, 2.0 * np.arctan(ratio), 2.0 * np.arctanh(np.where(e < 1.0, 0.0, ratio)))
        kepler = np.where(
            e < 1.0, anomaly - e * np.sin(anomaly), e * np.sinh(np.where(e < 1.0, 0.0, anomaly)) - anomaly
        )
    barker = np.sqrt(2.0 * q**3 / GM_SUN) * (half + half**3 / 3.0)
    return np.where(curved, kepler * GM_SUN / root**3, barker)
