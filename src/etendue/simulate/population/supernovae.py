"""Spectral time series of supernovae: absolute AB magnitudes over rest wavelength and time."""

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from etendue.simulate.light.reddening import extinction_law
from etendue.simulate.population.blackbody import planck
from etendue.simulate.population.layer import Columns

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_B_NM, _V_NM = 440.0, 550.0

# Type Ia of stretch 1: B since its maximum, rounded from the templates of Leibundgut (1988) and Nugent et al. (2002,
# PASP 114, 803); rest frame days and mag.
_IA_DAYS = np.array(
    [-19.0, -18.0, -17.0, -15.0, -12.0, -10.0, -7.0, -5.0, -2.0, 0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 60.0,
     80.0, 100.0, 300.0]
)  # fmt: skip
_IA_B = np.array(
    [12.0, 7.5, 5.6, 3.4, 1.75, 1.05, 0.45, 0.20, 0.02, 0.0, 0.14, 0.55, 1.10, 1.68, 2.22, 2.65, 3.00, 3.35, 3.67,
     3.98, 7.0]
)  # fmt: skip
_IA_CURVE = PchipInterpolator(_IA_DAYS, _IA_B)
# Magnitude (AB) minus that at 440 nm, from the mean colours of normal ones: rows are days, columns wavelengths. The
# second maximum near day 25 beyond 750 nm comes from these.
_IA_COLOR_DAYS = np.array([-15.0, -10.0, 0.0, 10.0, 15.0, 22.0, 30.0, 40.0, 60.0, 100.0])
_IA_COLOR_NM = np.array([200.0, 250.0, 300.0, 360.0, 440.0, 550.0, 650.0, 800.0, 900.0, 1000.0, 1250.0])
_IA_COLOR = np.array(
    [
        [2.6, 1.6, 0.9, 0.40, 0.0, 0.05, 0.15, 0.40, 0.55, 0.70, 0.95],
        [2.7, 1.7, 1.0, 0.40, 0.0, 0.11, 0.25, 0.64, 0.75, 0.95, 1.20],
        [3.6, 2.5, 1.5, 0.45, 0.0, 0.18, 0.37, 0.91, 1.00, 1.20, 1.60],
        [4.6, 3.4, 2.2, 0.70, 0.0, -0.12, 0.12, 0.62, 0.70, 0.95, 1.60],
        [5.1, 4.0, 2.6, 0.90, 0.0, -0.44, -0.40, -0.11, -0.05, 0.10, 0.90],
        [5.4, 4.2, 2.9, 1.10, 0.0, -0.75, -0.92, -0.92, -0.95, -0.85, -0.20],
        [5.4, 4.2, 3.0, 1.30, 0.0, -1.04, -1.25, -1.36, -1.35, -1.30, -0.70],
        [5.2, 4.0, 3.0, 1.30, 0.0, -0.92, -1.12, -1.14, -1.05, -0.90, -0.30],
        [4.8, 3.6, 2.8, 1.20, 0.0, -0.64, -0.80, -0.81, -0.50, -0.20, 0.40],
        [4.5, 3.4, 2.7, 1.20, 0.0, -0.29, -0.20, -0.16, 0.20, 0.50, 1.20],
    ]
)
# Absorption: wavelength, width [nm], depth [mag] of Ca II H and K, S II, Si II, Ca II triplet.
_IA_LINES = ((375.0, 12.0, 0.55), (540.0, 9.0, 0.20), (612.0, 8.0, 0.35), (828.0, 18.0, 0.35))
_IA_PEAK_B = -19.35  # AB, H0 = 70
_IA_STRETCH_SLOPE, _IA_COLOR_SLOPE = -1.5, 3.1

_II_DAYS = np.array([0.0, 0.5, 1.0, 2.0, 4.0, 7.0, 10.0])
_II_RISE = np.array([8.0, 3.2, 2.2, 1.25, 0.50, 0.10, 0.0])
_II_TEMPERATURE_DAYS = np.array([0.0, 1.0, 3.0, 7.0, 15.0, 30.0, 50.0, 100.0])
_II_TEMPERATURE = np.array([30000.0, 24000.0, 17000.0, 12500.0, 9500.0, 7000.0, 5900.0, 5200.0])


def draw_supernovae_ia(rng: np.random.Generator, count: int) -> Columns:
    """Draw type Ia supernovae.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    count : int
        How many.

    Returns
    -------
    dict of ndarray
        ``stretch`` (0.7 to 1.2), ``color`` (E(B-V) about the mean), ``offset_mag`` (scatter left after both).
    """
    return {
        "stretch": np.where(rng.random(count) < 0.75, rng.normal(1.0, 0.07, count), rng.normal(0.82, 0.06, count)).clip(
            0.65, 1.2
        ),
        "color": rng.normal(-0.06, 0.05, count) + rng.exponential(0.08, count),
        "offset_mag": rng.normal(0.0, 0.1, count),
    }


def supernova_ia(event: Columns, days: Vector, wave_nm: Matrix) -> Matrix:
    """Return spectra of type Ia supernovae.

    Parameters
    ----------
    event : dict of ndarray
        As drawn.
    days : ndarray, float64, shape (n,)
        Since maximum in B, rest frame [day].
    wave_nm : ndarray, float64, shape (n, m)
        Rest wavelengths [nm].

    Returns
    -------
    ndarray, float64, shape (n, m)
        Absolute AB magnitudes: stretched in time, standardised as by Tripp (1998), reddened by colour [mag].
    """
    phase = days / event["stretch"]
    peak = _IA_PEAK_B + _IA_STRETCH_SLOPE * (event["stretch"] - 1.0) + _IA_COLOR_SLOPE * event["color"]
    in_b = peak + event["offset_mag"] + _IA_CURVE(np.clip(phase, _IA_DAYS[0], _IA_DAYS[-1]))
    law = extinction_law(wave_nm) - extinction_law(np.array([_B_NM]))
    mag = in_b[:, None] + _bilinear(phase, wave_nm) + event["color"][:, None] * law
    for line, width, depth in _IA_LINES:
        mag += depth * np.exp(-0.5 * ((wave_nm - line) / width) ** 2)
    return np.where((phase > _IA_DAYS[0])[:, None], mag, np.inf)


def draw_supernovae_ii(rng: np.random.Generator, count: int) -> Columns:
    """Draw plateau supernovae.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    count : int
        How many.

    Returns
    -------
    dict of ndarray
        ``plateau_mag`` (absolute, in V, day 10), ``plateau_day`` (length), ``decline`` (mag in 100 days), ``drop_mag``
        (from plateau to tail), ``host_excess`` (E(B-V) of the host's dust).
    """
    plateau = rng.normal(-16.8, 0.9, count)
    return {
        "plateau_mag": plateau,
        "plateau_day": rng.normal(100.0, 12.0, count).clip(60.0, 140.0),
        "decline": np.maximum(1.2 - 0.5 * (plateau + 16.8) + rng.normal(0.0, 0.5, count), 0.0),
        "drop_mag": rng.normal(2.0, 0.4, count).clip(1.0, 3.5),
        "host_excess": rng.exponential(0.06, count),
    }


def supernova_ii(event: Columns, days: Vector, wave_nm: Matrix) -> Matrix:
    """Return spectra of plateau supernovae.

    Parameters
    ----------
    event : dict of ndarray
        As drawn.
    days : ndarray, float64, shape (n,)
        Since the explosion, rest frame [day].
    wave_nm : ndarray, float64, shape (n, m)
        Rest wavelengths [nm].

    Returns
    -------
    ndarray, float64, shape (n, m)
        Absolute AB magnitudes: a cooling black body, blanketed in the blue once hydrogen recombines, with the plateau,
        the drop and the radioactive tail (0.98 mag in 100 days) of V prescribed [mag].
    """
    t = np.maximum(days, 1e-3)
    drop = event["drop_mag"] / (1.0 + np.exp(-(t - event["plateau_day"]) / 4.0))
    slope = np.where(t < event["plateau_day"], event["decline"], 0.98) / 100.0
    plateau = event["decline"] / 100.0 * (np.minimum(t, event["plateau_day"]) - 10.0)
    tail = slope * np.maximum(t - event["plateau_day"], 0.0)
    in_v = event["plateau_mag"] + np.interp(t, _II_DAYS, _II_RISE) + plateau + drop + tail
    temperature = np.interp(t, _II_TEMPERATURE_DAYS, _II_TEMPERATURE)[:, None]
    color = -2.5 * np.log10(planck(wave_nm, temperature) / planck(np.array([[_V_NM]]), temperature))
    blanket = np.clip((t[:, None] - 12.0) / 40.0, 0.0, 1.0) * np.clip((470.0 - wave_nm) / 60.0, 0.0, 4.0) * 0.8
    hydrogen = -0.25 * np.clip(t[:, None] / 30.0, 0.0, 1.0) * np.exp(-0.5 * ((wave_nm - 656.0) / 9.0) ** 2)
    mag = in_v[:, None] + color + blanket + hydrogen + event["host_excess"][:, None] * extinction_law(wave_nm)
    return np.where((days > 0.0)[:, None], mag, np.inf)


def _bilinear(phase: Vector, wave_nm: Matrix) -> Matrix:
    """Interpolate the colours of type Ia in time and wavelength."""
    day, into = _place(_IA_COLOR_DAYS, phase)
    column, part = _place(_IA_COLOR_NM, wave_nm)
    day, into = day[:, None], into[:, None]
    early = _IA_COLOR[day, column] * (1.0 - part) + _IA_COLOR[day, column + 1] * part
    late = _IA_COLOR[day + 1, column] * (1.0 - part) + _IA_COLOR[day + 1, column + 1] * part
    return early * (1.0 - into) + late * into


def _place(nodes: Vector, at: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    left = np.clip(np.searchsorted(nodes, at, side="right") - 1, 0, nodes.size - 2)
    return left, np.clip((at - nodes[left]) / (nodes[left + 1] - nodes[left]), 0.0, 1.0)
