"""Spectral time series of kilonovae, tidal disruptions and afterglows: absolute AB magnitudes."""

import numpy as np
from numpy.typing import NDArray

from etendue.simulate.light.reddening import extinction_law
from etendue.simulate.population.blackbody import planck
from etendue.simulate.population.layer import Columns

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_STEFAN_BOLTZMANN = 5.670374e-5  # erg/s/cm2/K4
_TEN_PC_CM = 3.0856776e19
_AB_ZERO = 3.631e-20  # erg/s/cm2/Hz


def thermal_mag(luminosity: Vector, temperature: Vector, wave_nm: Matrix) -> Matrix:
    """Return absolute AB magnitudes of spherical black bodies.

    Parameters
    ----------
    luminosity : ndarray, float64, shape (n,)
        Bolometric [erg/s].
    temperature : ndarray, float64, shape (n,)
        Temperature [K].
    wave_nm : ndarray, float64, shape (n, m)
        Wavelengths [nm].

    Returns
    -------
    ndarray, float64, shape (n, m)
        Magnitudes at 10 pc [mag].
    """
    solid = luminosity / (4.0 * np.pi * _STEFAN_BOLTZMANN * temperature**4) / _TEN_PC_CM**2
    flux = np.pi * planck(wave_nm, temperature[:, None]) * solid[:, None]
    return -2.5 * np.log10(np.maximum(flux, 1e-60) / _AB_ZERO)


def draw_kilonovae(rng: np.random.Generator, count: int) -> Columns:
    """Draw kilonovae about the one of 2017.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    count : int
        How many.

    Returns
    -------
    dict of ndarray
        ``brightness`` and ``pace`` (1 for AT 2017gfo), ``temperature_1`` (after one day) [K].
    """
    return {
        "brightness": np.exp(rng.normal(-0.1, 0.5, count)),
        "pace": np.exp(rng.normal(0.0, 0.25, count)),
        "temperature_1": rng.normal(7500.0, 900.0, count).clip(4500.0, 11000.0),
    }


def kilonova(event: Columns, days: Vector, wave_nm: Matrix) -> Matrix:
    """Return spectra of kilonovae.

    Parameters
    ----------
    event : dict of ndarray
        As drawn.
    days : ndarray, float64, shape (n,)
        Since the merger, rest frame [day].
    wave_nm : ndarray, float64, shape (n, m)
        Rest wavelengths [nm].

    Returns
    -------
    ndarray, float64, shape (n, m)
        Absolute AB magnitudes of a black body whose luminosity (4.5e41 erg/s at one day, as t**-1.25) and temperature
        (as t**-0.6, down to 2500 K) follow those of AT 2017gfo (Drout et al. 2017, Science 358, 1570) [mag].
    """
    t = np.maximum(days * event["pace"], 1e-3)
    rise = -np.expm1(-((t / 0.15) ** 2))
    fade = 1.0 / (1.0 + (t / 8.0) ** 4)
    luminosity = 4.5e41 * event["brightness"] * np.maximum(t, 0.1) ** -1.25 * rise * fade
    temperature = np.clip(event["temperature_1"] * t**-0.6, 2500.0, 25000.0)
    mag = thermal_mag(luminosity, temperature, wave_nm)
    return np.where((days > 0.0)[:, None], mag, np.inf)


def draw_disruptions(rng: np.random.Generator, count: int) -> Columns:
    """Draw tidal disruption events.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    count : int
        How many.

    Returns
    -------
    dict of ndarray
        ``log_luminosity`` (peak, erg/s), ``temperature`` [K], ``rise_day``, ``decay_day``, ``host_excess``.
    """
    return {
        "log_luminosity": rng.normal(43.9, 0.35, count).clip(42.8, 45.3),
        "temperature": np.exp(rng.normal(np.log(22000.0), 0.25, count)).clip(12000.0, 45000.0),
        "rise_day": np.exp(rng.normal(np.log(13.0), 0.3, count)),
        "decay_day": np.exp(rng.normal(np.log(45.0), 0.35, count)),
        "host_excess": rng.exponential(0.05, count),
    }


def disruption(event: Columns, days: Vector, wave_nm: Matrix) -> Matrix:
    """Return spectra of tidal disruption events.

    Parameters
    ----------
    event : dict of ndarray
        As drawn.
    days : ndarray, float64, shape (n,)
        Since maximum, rest frame [day].
    wave_nm : ndarray, float64, shape (n, m)
        Rest wavelengths [nm].

    Returns
    -------
    ndarray, float64, shape (n, m)
        Absolute AB magnitudes of a black body of steady temperature: a Gaussian rise, then ``(1 + t / decay)**(-5/3)``
        (van Velzen et al. 2021, ApJ 908, 4) [mag].
    """
    rising = np.exp(-0.5 * (np.minimum(days, 0.0) / event["rise_day"]) ** 2)
    falling = (1.0 + np.maximum(days, 0.0) / event["decay_day"]) ** (-5.0 / 3.0)
    mag = thermal_mag(10.0 ** event["log_luminosity"] * rising * falling, event["temperature"], wave_nm)
    return mag + event["host_excess"][:, None] * extinction_law(wave_nm)


def draw_afterglows(rng: np.random.Generator, count: int) -> Columns:
    """Draw afterglows of gamma-ray bursts.

    Parameters
    ----------
    rng : numpy.random.Generator
        Random numbers.
    count : int
        How many.

    Returns
    -------
    dict of ndarray
        ``mag_1h`` (absolute AB at 550 nm, one hour after the burst, rest frame), ``decay`` (power of time),
        ``break_day``, ``slope`` (power of frequency), ``host_excess``.
    """
    return {
        "mag_1h": rng.normal(-25.5, 1.4, count),
        "decay": rng.normal(1.1, 0.2, count).clip(0.6, 1.7),
        "break_day": np.exp(rng.normal(np.log(0.6), 0.7, count)),
        "slope": rng.normal(0.8, 0.2, count).clip(0.3, 1.3),
        "host_excess": rng.exponential(0.06, count),
    }


def afterglow(event: Columns, days: Vector, wave_nm: Matrix) -> Matrix:
    """Return spectra of afterglows.

    Parameters
    ----------
    event : dict of ndarray
        As drawn.
    days : ndarray, float64, shape (n,)
        Since the burst, rest frame [day].
    wave_nm : ndarray, float64, shape (n, m)
        Rest wavelengths [nm].

    Returns
    -------
    ndarray, float64, shape (n, m)
        Absolute AB magnitudes of power laws in time, with an onset at 20 s and a jet break after which they fall by one
        power more, and in frequency (brightnesses as of Kann et al. 2010, ApJ 720, 1513) [mag].
    """
    t = np.maximum(days, 1e-9)
    onset = 20.0 / 86400.0
    early = 2.5 * np.log10(1.0 + (onset / t) ** 3)
    late = 2.5 * np.log10(1.0 + t / event["break_day"])
    in_time = event["mag_1h"] + 2.5 * event["decay"] * np.log10(t * 24.0) + early + late
    mag = in_time[:, None] - 2.5 * event["slope"][:, None] * np.log10(wave_nm / 550.0)
    mag += event["host_excess"][:, None] * extinction_law(wave_nm)
    return np.where((days > 0.0)[:, None], mag, np.inf)
