"""Flares and rotating spots of magnetically active stars."""

import numpy as np
from numpy.typing import NDArray

from etendue.kernels.random_walk import flare_flux
from etendue.simulate.light.lsst_bands import lsst_band
from etendue.simulate.light.star_spectra import effective_temperature
from etendue.simulate.population.blackbody import blackbody_mag
from etendue.simulate.population.layer import Columns
from etendue.simulate.population.variable_kind import Look

Vector = NDArray[np.float64]

_FLARE_K = 9500.0
_SPOT_COOLER = 0.85
_SPOTS = 2


def draw_flaring(rng: np.random.Generator, count: int, span: tuple[float, float]) -> Columns:
    """Draw flaring M dwarfs.

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
        ``rate_day`` (flares per day), ``smallest`` (peak of the smallest over the star, in r), ``width_day`` (of the
        smallest), ``word``, ``color_gi``, ``metallicity``.
    """
    return {
        "rate_day": np.exp(rng.normal(np.log(2.0), 1.0, count)).clip(0.05, 20.0),
        "smallest": np.exp(rng.normal(np.log(0.004), 0.5, count)),
        "width_day": np.exp(rng.normal(np.log(3.0), 0.4, count)) / 1440.0,
        "word": rng.integers(0, 2**63, count, dtype=np.uint64),
        "color_gi": rng.uniform(2.1, 3.2, count),
        "metallicity": rng.normal(-0.1, 0.2, count),
    }


def flare_change(star: Columns, look: Look) -> Vector:
    """Return how much fainter than quiet flaring stars are; 0 or negative.

    Parameters
    ----------
    star : dict of ndarray
        As drawn.
    look : Look
        When and in which light.

    Returns
    -------
    ndarray, float64, shape (n,)
        Change, averaged over the exposure; a flare is a black body of 9500 K, far brighter in u than in i [mag].
    """
    flux = np.empty(look.times.size)
    exposure = max(look.exposure_time_s, 1e-3) / 86400.0
    flare_flux(flux, star["word"], star["rate_day"], star["smallest"], star["width_day"], look.times, exposure)
    hot = np.array(_FLARE_K)
    flare_color = blackbody_mag(look.bandpass, hot) - blackbody_mag(lsst_band("r"), hot)
    return -2.5 * np.log10(1.0 + flux * 10.0 ** (-0.4 * (flare_color - look.color)))


def draw_spotted(rng: np.random.Generator, count: int, span: tuple[float, float]) -> Columns:
    """Draw spotted G to M dwarfs.

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
        ``period_day`` (at the equator), ``shear`` (share by which the poles are slower), ``inclination_deg``, and for
        two spots ``latitude_k`` [deg], ``phase_k`` [turns], ``area_k`` (of the disc), ``life_day_k``; ``color_gi``,
        ``metallicity``.
    """
    columns: Columns = {
        "period_day": np.exp(rng.normal(np.log(8.0), 0.9, count)).clip(0.3, 60.0),
        "shear": rng.uniform(0.0, 0.1, count),
        "inclination_deg": np.degrees(np.arccos(rng.random(count))),
        "color_gi": rng.uniform(0.7, 3.0, count),
        "metallicity": rng.normal(-0.1, 0.2, count),
    }
    for k in range(_SPOTS):
        columns[f"latitude_{k}"] = rng.uniform(-70.0, 70.0, count)
        columns[f"phase_{k}"] = rng.random(count)
        columns[f"area_{k}"] = np.exp(rng.normal(np.log(0.05), 0.7, count)).clip(0.003, 0.25)
        columns[f"life_day_{k}"] = columns["period_day"] * rng.uniform(8.0, 60.0, count)
    return columns


def spot_change(star: Columns, look: Look) -> Vector:
    """Return how much fainter than without spots stars are.

    Parameters
    ----------
    star : dict of ndarray
        As drawn.
    look : Look
        When and in which light.

    Returns
    -------
    ndarray, float64, shape (n,)
        Change [mag]: small spots, foreshortened, 15% cooler than the star, that wax and wane over their life.
    """
    temperature = effective_temperature(star["color_gi"])
    cooler = blackbody_mag(look.bandpass, _SPOT_COOLER * temperature) - blackbody_mag(look.bandpass, temperature)
    contrast = 1.0 - 10.0 ** (-0.4 * cooler)
    tilt = np.radians(star["inclination_deg"])
    lost = np.zeros(look.times.size)
    for k in range(_SPOTS):
        latitude = np.radians(star[f"latitude_{k}"])
        period = star["period_day"] / (1.0 - star["shear"] * np.sin(latitude) ** 2)
        turn = 2.0 * np.pi * (look.times / period + star[f"phase_{k}"])
        facing = np.cos(tilt) * np.sin(latitude) + np.sin(tilt) * np.cos(latitude) * np.cos(turn)
        size = 0.65 + 0.35 * np.sin(2.0 * np.pi * look.times / star[f"life_day_{k}"] + 7.0 * star[f"phase_{k}"])
        lost += star[f"area_{k}"] * size * np.maximum(facing, 0.0)
    return -2.5 * np.log10(1.0 - contrast * np.minimum(lost, 0.8))
