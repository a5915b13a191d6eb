"""Synthetic small bodies: orbits, sizes, colours and spins by dynamical class.

The distributions are simple shapes that follow the published ones in their main lines, not fits to them:

- near-Earth objects: semi-major axes 0.6 to 4.2 au, perihelia below 1.3 au, inclinations to 40 degrees and more, H to
  the power of the debiased model of Granvik et al. (2018, Icarus 312, 181);
- potentially hazardous ones: those that come within 0.05 au of the Earth's orbit (taken as a circle of 1 au), H <= 22;
- main belt with its Kirkwood gaps, zones as of DeMeo and Carry (2013, Icarus 226, 723), H after Gladman et al. (2009);
- Hildas and Jupiter Trojans (L4 : L5 = 1.4 : 1) that librate about their resonances;
- trans-Neptunian objects: cold and hot classical belt, Plutinos, scattered disc, in the shares of the outer Solar
  System survey of Bannister et al. (2018, ApJS 236, 18), H after Bernstein et al. (2004).
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.population.orbits import Orbits

Vector = NDArray[np.float64]
Rng = np.random.Generator

CLASSES = ("neo", "pha", "main_belt", "hilda", "trojan", "tno")
"""Dynamical classes."""

_KIRKWOOD_AU = ((2.50, 0.03), (2.825, 0.025), (2.955, 0.02), (2.065, 0.03))
_PEAK_TO_PEAK = 2.30378  # of the rotation light curve's shape
_J2000_MJD = 51544.5
_CENTURY_DAYS = 36525.0


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Two power laws of the number per magnitude, broken at ``knee``."""

    bright: float
    faint: float
    knee: float


_SIZES = {
    "neo": _Sizes(0.45, 0.40, 17.0),
    "pha": _Sizes(0.45, 0.35, 17.0),
    "main_belt": _Sizes(0.55, 0.33, 15.0),
    "hilda": _Sizes(0.45, 0.35, 14.0),
    "trojan": _Sizes(0.90, 0.42, 9.0),
    "tno": _Sizes(0.85, 0.45, 7.5),
}
# Shares of the spectral types C, S, D, R of `reflectance.TYPES`, and mean G12 of each type (Oszkiewicz et al. 2012).
_TYPE_SHARES = {
    "neo": (0.35, 0.60, 0.05, 0.0),
    "pha": (0.35, 0.60, 0.05, 0.0),
    "main_belt": (0.55, 0.40, 0.05, 0.0),
    "hilda": (0.35, 0.0, 0.65, 0.0),
    "trojan": (0.25, 0.0, 0.75, 0.0),
    "tno": (0.15, 0.0, 0.45, 0.40),
}
_G12_OF_TYPE = np.array([0.64, 0.41, 0.60, 0.70])


@dataclass(frozen=True, slots=True, eq=False)
class SmallBodies:
    """Asteroids; all columns have shape (n,).

    Parameters
    ----------
    orbits : Orbits
        Their orbits.
    h_mag : ndarray, float64
        Absolute magnitude in V, mean over a rotation [mag].
    g12 : ndarray, float64
        Slope of the phase function.
    kind : ndarray, int64
        Spectral type, a place in `reflectance.TYPES`.
    tilt_per_100nm : ndarray, float64
        Slope of the reflectance beyond that of its type.
    period_h : ndarray, float64
        Rotation period [h].
    amplitude_mag : ndarray, float64
        Peak to peak amplitude of the rotation light curve [mag].
    rotation_phase : ndarray, float64
        Turns at MJD 0 TAI.
    """

    orbits: Orbits
    h_mag: Vector
    g12: Vector
    kind: NDArray[np.int64]
    tilt_per_100nm: Vector
    period_h: Vector
    amplitude_mag: Vector
    rotation_phase: Vector

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_]) -> "SmallBodies":
        """Return some bodies.

        Parameters
        ----------
        rows : ndarray
            Row numbers or a mask.

        Returns
        -------
        SmallBodies
        """
        rest = [getattr(self, name)[rows] for name in _COLUMNS]
        return SmallBodies(self.orbits.take(rows), *rest)

    @classmethod
    def concat(cls, parts: "list[SmallBodies]") -> "SmallBodies":
        """Join bodies.

        Parameters
        ----------
        parts : list of SmallBodies
            At least one.

        Returns
        -------
        SmallBodies
        """
        orbits = Orbits.concat([part.orbits for part in parts])
        rest = [np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS]
        return cls(orbits, *rest)


_COLUMNS = tuple(field.name for field in fields(SmallBodies))[1:]


def draw_small_bodies(
    rng: Rng, dynamical_class: str, count: int, h_range: tuple[float, float], epoch_mjd_tdb: float
) -> SmallBodies:
    """Draw bodies of one class, spread over the whole sky.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    dynamical_class : str
        One of `CLASSES`.
    count : int
        How many.
    h_range : tuple of float
        Brightest and faintest absolute magnitude [mag].
    epoch_mjd_tdb : float
        Time at which resonant bodies have their place relative to Jupiter or Neptune [day].

    Returns
    -------
    SmallBodies
    """
    orbits = _ORBITS[dynamical_class](rng, count, epoch_mjd_tdb)
    h_mag = draw_magnitudes(rng, count, h_range, _SIZES[dynamical_class])
    kind = rng.choice(4, count, p=_TYPE_SHARES[dynamical_class])
    # The median period is 7 h; small bodies turn faster, down to 2.2 h where rubble piles fall apart, and below H = 22
    # there is no such barrier (Warner et al. 2009, Icarus 202, 134).
    median = np.where(h_mag < 20.0, 7.0, 7.0 * 10.0 ** (-0.2 * (h_mag - 20.0)))
    period = np.maximum(median * np.exp(rng.normal(0.0, 0.7, count)), np.where(h_mag < 22.0, 2.2, 0.02))
    return SmallBodies(
        orbits=orbits,
        h_mag=h_mag,
        g12=np.clip(rng.normal(_G12_OF_TYPE[kind], 0.12), 0.0, 1.0),
        kind=kind,
        tilt_per_100nm=rng.normal(0.0, 0.02, count),
        period_h=period,
        amplitude_mag=np.minimum(rng.rayleigh(0.22, count), 1.8),
        rotation_phase=rng.random(count),
    )


def draw_magnitudes(rng: Rng, count: int, h_range: tuple[float, float], sizes: _Sizes) -> Vector:
    """Draw absolute magnitudes of a broken power law, ``dN/dH ~ 10**(slope H)``.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    count : int
        How many.
    h_range : tuple of float
        Brightest and faintest [mag].
    sizes : _Sizes
        Slopes and knee.

    Returns
    -------
    ndarray, float64, shape (count,)
        Magnitudes [mag].
    """
    grid = np.linspace(*h_range, 2001)
    density = 10.0 ** np.where(grid < sizes.knee, sizes.bright * (grid - sizes.knee), sizes.faint * (grid - sizes.knee))
    total = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    return np.interp(rng.random(count) * total[-1], total, grid)


def rotation_mag(bodies: SmallBodies, mjd_tai: Vector) -> Vector:
    """Return the rotation light curve: two unequal maxima and minima in a turn.

    Parameters
    ----------
    bodies : SmallBodies
        The bodies.
    mjd_tai : ndarray, float64, shape () or (n,)
        When the light left them [day].

    Returns
    -------
    ndarray, float64, shape (n,)
        Difference from the mean magnitude; peak to peak it is the amplitude [mag].
    """
    turn = 2.0 * np.pi * (mjd_tai * 24.0 / bodies.period_h + bodies.rotation_phase)
    shape = np.cos(2.0 * turn) + 0.2 * np.cos(turn + 0.9) + 0.1 * np.cos(4.0 * turn + 0.4)
    return bodies.amplitude_mag / _PEAK_TO_PEAK * shape


def closest_to_earth_orbit(orbits: Orbits) -> Vector:
    """Return how near orbits come to the Earth's, taken as a circle of 1 au in the ecliptic.

    Parameters
    ----------
    orbits : Orbits
        Ellipses.

    Returns
    -------
    ndarray, float64, shape (n,)
        Least distance over 720 points of each orbit, good to a few 1e-3 [au].
    """
    anomaly = np.linspace(0.0, 2.0 * np.pi, 720, endpoint=False)
    from_node = anomaly + np.radians(orbits.peri_deg)[:, None]
    radius = (orbits.q_au * (1.0 + orbits.e))[:, None] / (1.0 + orbits.e[:, None] * np.cos(anomaly))
    height = radius * np.sin(from_node) * np.sin(np.radians(orbits.inclination_deg))[:, None]
    from_axis = np.sqrt(np.maximum(radius**2 - height**2, 0.0))
    return np.hypot(from_axis - 1.0, height).min(axis=1)


def _angles(rng: Rng, count: int) -> Vector:
    return rng.uniform(0.0, 360.0, count)


def _rayleigh(rng: Rng, count: int, sigma: float, top: float) -> Vector:
    """Draw Rayleigh deviates below a limit, by the inverse of the distribution."""
    share = 1.0 - np.exp(-0.5 * (top / sigma) ** 2)
    return sigma * np.sqrt(-2.0 * np.log1p(-share * rng.random(count)))


def _ellipses(rng: Rng, a: Vector, e: Vector, inclination: Vector, epoch: float) -> Orbits:
    n = a.size
    return Orbits.from_keplerian(a, e, inclination, _angles(rng, n), _angles(rng, n), _angles(rng, n), epoch)


def _near_earth(rng: Rng, count: int, epoch: float) -> Orbits:
    a = 0.6 + 3.6 * rng.beta(2.2, 3.2, count)
    least = np.maximum(1.0 - 1.3 / a, 0.05)  # perihelion below 1.3 au
    e = least + (0.95 - least) * rng.beta(1.1, 1.8, count)
    inclination = np.where(rng.random(count) < 0.6, _rayleigh(rng, count, 7.0, 60.0), _rayleigh(rng, count, 20.0, 90.0))
    return _ellipses(rng, a, e, inclination, epoch)


def _hazardous(rng: Rng, count: int, epoch: float) -> Orbits:
    found: list[Orbits] = []
    while sum(map(len, found)) < count:
        drawn = _near_earth(rng, max(4 * count, 100), epoch)
        found.append(drawn.take(closest_to_earth_orbit(drawn) < 0.05))
    return Orbits.concat(found).take(np.arange(count))


def _main_belt(rng: Rng, count: int, epoch: float) -> Orbits:
    zone = rng.choice(4, count, p=(0.02, 0.32, 0.34, 0.32))
    low, high = np.array([1.83, 2.10, 2.50, 2.82])[zone], np.array([1.98, 2.50, 2.82, 3.28])[zone]
    a = rng.uniform(low, high)
    for gap, half_width in _KIRKWOOD_AU:
        inside = np.abs(a - gap) < half_width
        a = np.where(inside, gap + np.where(a < gap, -1.0, 1.0) * (half_width + 0.15 * rng.random(count)), a)
    hungaria = zone == 0
    e = np.where(hungaria, _rayleigh(rng, count, 0.06, 0.15), _rayleigh(rng, count, 0.11, 0.33))
    inclination = np.where(hungaria, rng.normal(21.0, 2.0, count), _rayleigh(rng, count, 7.2, 34.0))
    return _ellipses(rng, a, e, inclination, epoch)


def _jupiter_longitude(mjd_tdb: float) -> float:
    return 34.396 + 3034.746 * (mjd_tdb - _J2000_MJD) / _CENTURY_DAYS  # Standish's mean elements, deg


def _neptune_longitude(mjd_tdb: float) -> float:
    return -55.120 + 218.459 * (mjd_tdb - _J2000_MJD) / _CENTURY_DAYS


def _resonant(rng: Rng, a: Vector, e: Vector, inclination: Vector, longitude: Vector, epoch: float) -> Orbits:
    """Return orbits with given mean longitudes [deg]."""
    node, peri = _angles(rng, a.size), _angles(rng, a.size)
    return Orbits.from_keplerian(a, e, inclination, node, peri, longitude - node - peri, epoch)


def _hildas(rng: Rng, count: int, epoch: float) -> Orbits:
    node, peri = _angles(rng, count), _angles(rng, count)
    # 3 lambda_J - 2 lambda - perihelion librates about 0: perihelia at conjunctions, aphelia at L3, L4, L5.
    angle = rng.normal(0.0, 25.0, count)
    longitude = 0.5 * (3.0 * _jupiter_longitude(epoch) - node - peri - angle) + 180.0 * rng.integers(0, 2, count)
    e, inclination = np.clip(rng.normal(0.17, 0.06, count), 0.02, 0.35), _rayleigh(rng, count, 6.0, 22.0)
    a = rng.normal(3.97, 0.015, count)
    return Orbits.from_keplerian(a, e, inclination, node, peri, longitude - node - peri, epoch)


def _trojans(rng: Rng, count: int, epoch: float) -> Orbits:
    ahead = np.where(rng.random(count) < 1.4 / 2.4, 60.0, -60.0)
    longitude = _jupiter_longitude(epoch) + ahead + rng.normal(0.0, 12.0, count)
    e, inclination = _rayleigh(rng, count, 0.06, 0.2), _rayleigh(rng, count, 13.0, 42.0)
    return _resonant(rng, rng.normal(5.2, 0.04, count), e, inclination, longitude, epoch)


def _trans_neptunian(rng: Rng, count: int, epoch: float) -> Orbits:
    kind = rng.choice(4, count, p=(0.30, 0.30, 0.20, 0.20))  # cold, hot, Plutinos, scattered
    a = np.select(
        [kind == 0, kind == 1, kind == 2],
        [rng.uniform(42.4, 47.0, count), rng.uniform(37.5, 50.0, count), rng.normal(39.45, 0.15, count)],
        48.0 * rng.uniform(0.1, 1.0, count) ** -0.5,
    )
    scattered = 1.0 - rng.uniform(32.0, 39.0, count) / a
    plutino_e = np.clip(rng.normal(0.2, 0.06, count), 0.0, 0.33)
    e = np.select(
        [kind == 0, kind == 1, kind == 2],
        [_rayleigh(rng, count, 0.03, 0.1), _rayleigh(rng, count, 0.08, 0.25), plutino_e],
        np.clip(scattered, 0.02, 0.95),
    )
    inclination = np.where(kind == 0, _rayleigh(rng, count, 1.8, 6.0), _rayleigh(rng, count, 13.0, 45.0))
    node, peri, mean = _angles(rng, count), _angles(rng, count), _angles(rng, count)
    # 3 lambda - 2 lambda_N - perihelion librates about 180 degrees: Plutinos keep away from Neptune.
    angle = 180.0 + rng.normal(0.0, 40.0, count)
    plutino = (2.0 * _neptune_longitude(epoch) + node + peri + angle) / 3.0 + 120.0 * rng.integers(0, 3, count)
    mean = np.where(kind == 2, plutino - node - peri, mean)
    return Orbits.from_keplerian(a, e, inclination, node, peri, mean, epoch)


_ORBITS = {
    "neo": _near_earth,
    "pha": _hazardous,
    "main_belt": _main_belt,
    "hilda": _hildas,
    "trojan": _trojans,
    "tno": _trans_neptunian,
}
