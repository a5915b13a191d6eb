"""Detached eclipsing binaries: two limb-darkened discs, tides and reflection."""

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.light.star_spectra import effective_temperature
from etendue.simulate.population.blackbody import blackbody_mag
from etendue.simulate.population.layer import Columns
from etendue.simulate.population.variable_kind import Look

Vector = NDArray[np.float64]

_SUN_K = 5772.0
_SUN_RADIUS_AU = 0.00465047
_RINGS = 4
_WIDEST = 0.65


def draw_eclipsing(rng: np.random.Generator, count: int, span: tuple[float, float]) -> Columns:
    """Draw detached binaries that eclipse.

    Masses and radii are those of the main sequence at the primary's colour; the orbit follows from the period by
    Kepler's third law; inclinations are isotropic among those that eclipse.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    count : int
        How many.
    span : tuple of float
        First and last time of the survey; not used [day].

    Returns
    -------
    dict of ndarray
        ``period_day``, ``phase`` (mean longitude at MJD 0 in turns, counted from the conjunction with star 1 behind),
        ``radius_1``, ``radius_2`` (in units of the orbit), ``mass_ratio``, ``temperature_1``, ``temperature_2`` [K],
        ``cos_inclination``, ``e_along`` and ``e_ahead`` (eccentricity times cosine and sine of the longitude of
        periastron, counted from that conjunction), ``color_gi``, ``metallicity``.
    """
    color = rng.uniform(0.1, 1.6, count)
    hot = effective_temperature(color)
    mass = (hot / _SUN_K) ** 1.7
    ratio = rng.uniform(0.25, 1.0, count)
    radius_1, radius_2 = mass**0.85 * _SUN_RADIUS_AU, (mass * ratio) ** 0.85 * _SUN_RADIUS_AU
    period = np.exp(rng.uniform(np.log(0.5), np.log(20.0), count))
    orbit = np.cbrt(mass * (1.0 + ratio) * (period / 365.25) ** 2)
    too_close = np.maximum((radius_1 + radius_2) / (_WIDEST * orbit), 1.0)
    period, orbit = period * too_close**1.5, orbit * too_close
    touch = (radius_1 + radius_2) / orbit
    e = np.where(period > 4.0, np.minimum(rng.rayleigh(0.15, count), 0.5), 0.0)
    direction = rng.uniform(0.0, 2.0 * np.pi, count)
    return {
        "period_day": period,
        "phase": rng.random(count),
        "radius_1": radius_1 / orbit,
        "radius_2": radius_2 / orbit,
        "mass_ratio": ratio,
        "temperature_1": hot,
        "temperature_2": hot * ratio**0.55,
        "cos_inclination": 0.93 * touch * rng.random(count),
        "e_along": e * np.cos(direction),
        "e_ahead": e * np.sin(direction),
        "color_gi": color,
        "metallicity": rng.normal(-0.4, 0.3, count),
    }


def eclipsing_change(star: Columns, look: Look) -> Vector:
    """Return how much fainter than out of eclipse binaries are.

    Parameters
    ----------
    star : dict of ndarray
        As drawn.
    look : Look
        When and in which light.

    Returns
    -------
    ndarray, float64, shape (n,)
        Change [mag]. Each disc is a stack of uniform discs that add up to linear limb darkening; what of them the
        other star covers is the overlap of circles. Tides: Morris (1985, ApJ 295, 143), eq. 1, leading term.
    """
    sin_i = np.sqrt(1.0 - star["cos_inclination"] ** 2)
    from_conjunction, distance = _orbit(star, look.times)
    facing = np.cos(from_conjunction)
    across = distance * np.sqrt(np.maximum(1.0 - (sin_i * facing) ** 2, 0.0))
    far_is_1 = facing > 0.0
    light = star["radius_1"] ** 2 * 10.0 ** (-0.4 * blackbody_mag(look.bandpass, star["temperature_1"]))
    second = star["radius_2"] ** 2 * 10.0 ** (-0.4 * blackbody_mag(look.bandpass, star["temperature_2"]))
    share = light / (light + second)
    tide = 1.3 * star["mass_ratio"] * star["radius_1"] ** 3 * sin_i**2 * (2.0 * facing**2 - 1.0) * share
    glow = 0.3 * (star["radius_2"] ** 2 * share - star["radius_1"] ** 2 * (1.0 - share)) * sin_i
    flux = 1.0 - tide - glow * facing
    rows = np.flatnonzero(across < star["radius_1"] + star["radius_2"])
    behind = np.where(far_is_1, star["radius_1"], star["radius_2"])[rows]
    front = np.where(far_is_1, star["radius_2"], star["radius_1"])[rows]
    lost = covered(across[rows], behind, front, darkening(look.bandpass.pivot_nm))
    flux[rows] -= np.where(far_is_1, share, 1.0 - share)[rows] * lost
    return -2.5 * np.log10(flux)


def darkening(wavelength_nm: float) -> float:
    """Return a linear limb-darkening coefficient of a star like the Sun.

    Parameters
    ----------
    wavelength_nm : float
        Wavelength [nm].

    Returns
    -------
    float
        0.9 at 350 nm to 0.4 at 1000 nm.
    """
    return float(np.interp(wavelength_nm, [350.0, 500.0, 700.0, 1000.0], [0.90, 0.72, 0.55, 0.40]))


def covered(apart: Vector, behind: Vector, front: Vector, dark: float) -> Vector:
    """Return the share of a limb-darkened disc's light that a dark disc covers.

    Parameters
    ----------
    apart, behind, front : ndarray, float64, shape (n,)
        Distance of the centres, and radii of the disc behind and of the one in front.
    dark : float
        Linear limb-darkening coefficient.

    Returns
    -------
    ndarray, float64, shape (n,)
        0 to 1; the brightness steps between four rings of equal area.
    """
    edges = np.sqrt(np.arange(1, _RINGS + 1) / _RINGS)
    middle = np.sqrt((np.arange(_RINGS) + 0.5) / _RINGS)
    bright = 1.0 - dark * (1.0 - np.sqrt(1.0 - middle**2))
    steps = bright - np.append(bright[1:], 0.0)
    total = float(np.sum(steps * edges**2))
    lost = np.zeros(apart.size)
    for edge, step in zip(edges, steps, strict=True):
        lost += step * overlap_area(apart, edge * behind, front)
    return lost / (np.pi * behind**2 * total)


def overlap_area(apart: Vector, r1: Vector, r2: Vector) -> Vector:
    """Return the area that two circles share.

    Parameters
    ----------
    apart, r1, r2 : ndarray, float64, shape (n,)
        Distance of the centres and radii.

    Returns
    -------
    ndarray, float64, shape (n,)
        Area of the lens.
    """
    small = np.minimum(r1, r2)
    d = np.clip(apart, np.abs(r1 - r2), r1 + r2)
    d = np.maximum(d, 1e-12)
    angle_1 = np.arccos(np.clip((d**2 + r1**2 - r2**2) / (2.0 * d * r1), -1.0, 1.0))
    angle_2 = np.arccos(np.clip((d**2 + r2**2 - r1**2) / (2.0 * d * r2), -1.0, 1.0))
    kite = 0.5 * np.sqrt(np.maximum((r1 + r2 - d) * (d + r1 - r2) * (d - r1 + r2) * (d + r1 + r2), 0.0))
    lens = r1**2 * angle_1 + r2**2 * angle_2 - kite
    return np.where(apart <= np.abs(r1 - r2), np.pi * small**2, lens)


def _orbit(star: Columns, times: Vector) -> tuple[Vector, Vector]:
    """Return the angle from the conjunction with star 1 behind, and the distance, in units of the orbit."""
    turns = times / star["period_day"] + star["phase"]
    mean = 2.0 * np.pi * (turns - np.floor(turns))
    angle, distance = mean.copy(), np.ones(mean.size)
    rows = np.flatnonzero((star["e_along"] != 0.0) | (star["e_ahead"] != 0.0))
    h, k = star["e_ahead"][rows], star["e_along"][rows]
    # Equinoctial Kepler equation with longitudes counted from the conjunction.
    longitude = mean[rows]
    eccentric = longitude - h * np.cos(longitude) + k * np.sin(longitude)
    for _ in range(4):  # to 1e-12 rad for eccentricities up to 0.5
        cos, sin = np.cos(eccentric), np.sin(eccentric)
        eccentric -= (eccentric - k * sin + h * cos - longitude) / (1.0 - k * cos - h * sin)
    beta = 1.0 / (1.0 + np.sqrt(1.0 - h**2 - k**2))
    cos, sin = np.cos(eccentric), np.sin(eccentric)
    x = (1.0 - beta * h**2) * cos + beta * h * k * sin - k
    y = (1.0 - beta * k**2) * sin + beta * h * k * cos - h
    angle[rows], distance[rows] = np.arctan2(y, x), np.hypot(x, y)
    return angle, distance
